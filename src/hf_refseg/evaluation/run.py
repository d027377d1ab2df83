"""Runs a model over a data set, in one process or several, and counts under a named protocol."""

import contextlib
import dataclasses
import hashlib
import logging
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch.utils.data import DataLoader
from tqdm import tqdm

from ..checkpoints import resolve_checkpoint
from ..checkpoints.loading import load_model
from ..data import ReferringSegmentationCollator, encode_mask, load
from ..metrics import PhraseCutSubsets, Protocol, get_protocol
from ..processing.processor import REFINEMENTS
from ..processing.resizing import check_interpolation
from ..writing import claimed_folder, naming_the_disk, require_place
from .batches import EvaluationCollator, NumberedRows, batch_samples
from .commands import DTYPES
from .contact_sheet import CONTACT_SHEET_FILE, draw_contact_sheet
from .progress import BatchLog, open_run, read_batches
from .results import RESULTS_FILE, collect_samples, make_results, write_eval_results, write_results

logger = logging.getLogger(__name__)

ODD_PICTURES = ("skip_unreadable", "resize_pictures")  # what to do with them, as `load` takes it


@dataclass
class Evaluation:
    """What to evaluate, and how.

    Args:
        model: shipped name, folder or Hub id.
        dataset, split, images, partition, root: see `hf_refseg.data.load`.
        protocol: name of a metric protocol; it also sets the mask threshold and which sentences are asked.
        output: folder of results.json, contact_sheet.png and the predictions; the run in it is resumed.
        batch_size: rows per forward pass, each with its picture and all of its sentences.
        dtype: of the weights.
        refine: passed to the processor's post-processing.
        interpolation: `"clean"` or `"paper"`: the way back from the network's masks to the image's size.
        phrasecut_counts: PhraseCut's name_att_rel_count.json, for its 43 subsets.
        limit: only the first rows, at most this many.
        skip_unreadable, resize_pictures: see `hf_refseg.data.load`; results.json tells what was left out.
        max_length: words that are read of an expression; None: as many as in the model's training.
        num_workers: processes that read rows while the model runs.
    """

    model: str
    dataset: str
    split: str
    protocol: str
    output: Path
    images: str | None = None
    partition: str | None = None
    root: str | None = None
    batch_size: int = 1
    dtype: str = "float32"
    refine: str | None = None
    interpolation: str = "clean"
    phrasecut_counts: str | None = None
    limit: int | None = None
    skip_unreadable: bool = False
    resize_pictures: bool = False
    max_length: int | None = None
    num_workers: int = 0

    def check(self) -> None:
        for name, least in (("batch_size", 1), ("limit", 1), ("max_length", 1), ("num_workers", 0)):
            number = getattr(self, name)
            if number is not None and number < least:
                raise ValueError(f"{name} is {number}; it must be {least} or more")
        if self.dtype not in DTYPES:
            raise ValueError(f"unknown dtype {self.dtype!r}; use one of {', '.join(DTYPES)}")
        if self.refine is not None and self.refine not in REFINEMENTS:
            raise ValueError(f"unknown refine {self.refine!r}; post-processing knows {list(REFINEMENTS)}")
        check_interpolation(self.interpolation)
        require_place(self.output)

    @property
    def command(self) -> str:
        """The command line that gives these numbers again, without where and how fast."""
        words = ["hf-refseg", "evaluate"]
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default and field.name not in ("output", "num_workers"):
                words += [f"--{field.name.replace('_', '-')}", *([] if value is True else [str(value)])]
        return shlex.join(words)


def run(evaluation: Evaluation) -> dict | None:
    """Evaluates the batches that are not done yet. Returns the content of results.json, in the main process only.

    Raises ValueError for wrong options, for a folder that holds another run, and for rows that can't be evaluated; the
    message names them. Raises FileExistsError where another evaluation writes into the folder, OSError where its disk
    is full.
    """
    with contextlib.ExitStack() as claims, naming_the_disk(evaluation.output):
        return _run(evaluation, claims)


def _run(evaluation: Evaluation, claims: contextlib.ExitStack) -> dict | None:
    evaluation.check()
    protocol = get_protocol(evaluation.protocol)
    subsets_of = _subsets(evaluation.phrasecut_counts)
    options = {name: getattr(evaluation, name) for name in ("images", "partition", "root", *ODD_PICTURES)}
    rows = load(evaluation.dataset, evaluation.split, num_samples=evaluation.limit, **options)
    num_rows = len(rows)
    if not num_rows:
        raise ValueError(f"{evaluation.dataset} {evaluation.split} has no rows to evaluate")
    # accelerate must be told: without an accelerator it takes each process for the only one
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    state = PartialState(cpu=cpu)
    model, processor = _load(evaluation)
    settings = _settings(evaluation, num_rows, model, state.device)
    if state.is_main_process:
        open_run(evaluation.output, settings)
        claims.enter_context(claimed_folder(evaluation.output, "evaluation", "--output"))
    state.wait_for_everyone()
    done = read_batches(evaluation.output)
    state.wait_for_everyone()  # nobody writes before everybody has read
    size = evaluation.batch_size
    batches = [range(first, min(first + size, num_rows)) for first in range(0, num_rows, size)]
    todo = [number for number in range(len(batches)) if number not in done]
    todo = todo[state.process_index :: state.num_processes]
    if done and state.is_main_process:
        logger.info(f"{len(done)} of {len(batches)} batches were done before")
    loader = DataLoader(
        NumberedRows(rows),
        batch_sampler=[list(batches[number]) for number in todo],
        collate_fn=EvaluationCollator(_collator(evaluation, processor), protocol),
        num_workers=evaluation.num_workers,
    )
    progress = tqdm(loader, desc=f"{evaluation.split}, {protocol.name}", disable=not state.is_main_process)
    segment = _segmenter(evaluation, model.to(state.device).eval(), processor, protocol)
    with BatchLog(evaluation.output, state.process_index) as log:
        start = time.perf_counter()
        for number, batch in zip(todo, progress, strict=True):
            results = segment(batch)
            samples = _records(results, batch, protocol, subsets_of)
            now = time.perf_counter()
            log.append({"batch": number, "seconds": round(now - start, 4), "samples": samples})
            start = now
    state.wait_for_everyone()
    results = None
    if state.is_main_process:
        finished = read_batches(evaluation.output)
        if len(finished) < len(batches):
            raise ValueError(
                f"{evaluation.output} holds {len(finished)} of {len(batches)} batches: all processes must write to one "
                "folder; put --output on a disk that they share"
            )
        samples = collect_samples(finished)
        seconds = sum(batch["seconds"] for batch in finished.values())
        results = make_results(samples, protocol, settings, seconds)
        texts = [sample["text"] for sample in samples]
        results["counts"]["cut_off"] = sum(bool(processor.unread_words(text, evaluation.max_length)) for text in texts)
        results["notes"] = dict(rows.notes)
        _warn(results, protocol)
        draw_contact_sheet(samples, rows, protocol).save(evaluation.output / CONTACT_SHEET_FILE)
        write_results(results, evaluation.output / RESULTS_FILE)
        write_eval_results(
            evaluation.output,
            {name: value for name, value in results["metrics"].items() if isinstance(value, float | dict)},
            dataset=evaluation.dataset,
            split=evaluation.split,
            counts=results["counts"],
            protocol=protocol.name,
            command=evaluation.command,
        )
    state.destroy_process_group()
    return results


def _load(evaluation: Evaluation):
    from transformers import AutoProcessor

    model = load_model(evaluation.model, dtype=getattr(torch, evaluation.dtype))
    return model, AutoProcessor.from_pretrained(resolve_checkpoint(evaluation.model))


def _collator(evaluation: Evaluation, processor) -> ReferringSegmentationCollator:
    length = {} if evaluation.max_length is None else {"max_length": evaluation.max_length}
    return ReferringSegmentationCollator(processor, sentence="all", labels=False, processor_kwargs=length)


def _settings(evaluation: Evaluation, num_rows: int, model: torch.nn.Module, device: torch.device) -> dict:
    """Everything that the numbers depend on, in one flat dict."""
    names = ("model", "dataset", "split", "partition", "protocol", "batch_size", "dtype", "refine", "interpolation")
    names += (*ODD_PICTURES, "max_length")
    fingerprint = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        fingerprint.update(name.encode())
        fingerprint.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return {
        **{name: getattr(evaluation, name) for name in names},
        "num_rows": num_rows,
        "subsets": evaluation.phrasecut_counts is not None,
        "weights_sha256": fingerprint.hexdigest(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def _segmenter(evaluation: Evaluation, model, processor, protocol: Protocol) -> Callable[[dict], list[dict]]:
    @torch.inference_mode()
    def segment(batch: dict) -> list[dict]:
        inputs = batch["inputs"]
        outputs = model(**inputs.to(model.device))
        results = processor.post_process_referring_segmentation(
            outputs,
            target_sizes=inputs["original_sizes"],
            threshold=protocol.probability_threshold,
            interpolation=evaluation.interpolation,
            refine=evaluation.refine,
            images=[row["image"] for row in batch["rows"]],
        )
        return [{**result, "mask": result["mask"].cpu().numpy()} for result in results]

    return segment


def _records(results: list[dict], batch: dict, protocol: Protocol, subsets_of) -> list[dict]:
    """What is stored of each expression: its ids, its counts, and the predicted mask as run lengths."""
    records, answers = [], iter(results)
    counted = batch_samples(results, batch, protocol)
    for row, target, (number, samples) in zip(batch["rows"], batch["targets"], counted, strict=True):
        subsets = subsets_of(row, target.mean()) if subsets_of else []
        for position, (sentence, sample) in enumerate(zip(row["sentences"], samples, strict=True)):
            record = {"row": number, "sentence": position, "image_id": row["image_id"], "ref_id": row["ref_id"]}
            record |= {"sent_id": sentence["sent_id"], "text": sentence["sent"], "subsets": subsets}
            records.append(record | {"counts": list(sample), "mask": encode_mask(next(answers)["mask"])})
    return records


def _subsets(path: str | None) -> Callable | None:
    if path is None:
        return None
    subsets = PhraseCutSubsets.from_file(path)

    def subsets_of(row: dict, target_share: float) -> list[str]:
        if not row.get("phrase_structure"):
            raise ValueError(
                f"{row['source']} ref_id={row['ref_id']} has no phrase_structure, so it belongs to no subset of "
                "PhraseCut; leave out --phrasecut-counts"
            )
        return subsets(row["phrase_structure"], len(row["boxes"]), target_share, row.get("coco_id"))

    return subsets_of


def _warn(results: dict, protocol: Protocol) -> None:
    for what, number in results["notes"].items():
        logger.warning(f"{number} {what}")
    if cut_off := results["counts"]["cut_off"]:
        logger.warning(
            f"{cut_off} of {results['counts']['expressions']} expressions are longer than the model reads: their last "
            "words were left out; --max-length reads more"
        )
    missed = results["counts"]["no_target"]
    if missed and not protocol.knows_no_target:
        logger.warning(
            f"{missed} of {results['counts']['expressions']} expressions have no target, and protocol "
            f"{protocol.name} has no rule for them: they count as IoU 0 whatever the model predicts, and its mask adds "
            "to the union. Protocol grefcoco scores them"
        )
