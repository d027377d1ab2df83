"""What a model reaches on photos: masks under a protocol, left and right exchanged, and things that are not there.

python -m recipes.refseg_photos_rmi.evaluate CHECKPOINT --data ../shared/data/coco_cc_expressions --split val
"""

import argparse
import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_refseg.data import ReferringRows, ReferringSegmentationCollator, load, swap_left_right
from hf_refseg.evaluation.batches import EvaluationCollator
from hf_refseg.evaluation.evaluators import Evaluator, Evaluators, SegmentationEvaluator, in_place_of_images
from hf_refseg.evaluation.results import EVAL_RESULTS_FILE, write_eval_results
from hf_refseg.metrics import get_protocol, mask_counts

from .categories import absent_categories

logger = logging.getLogger(__name__)

PROTOCOL = "hu2016"
# Share of the photo. A mask that covers less does not claim to have found anything.
ABSENT_AREA = 0.01


class QuestionEvaluator(Evaluator):
    """Asks other expressions about the photos of a batch than those of its rows."""

    def __init__(self, processor):
        super().__init__()
        self.processor = processor

    def question(self, texts: Sequence[str], images: Sequence[int]) -> dict[str, torch.Tensor]:
        """Model inputs of expressions, each about the image of the batch with that number."""
        words = self.processor(text=list(texts), allow_unknown=True, return_tensors="pt")
        return {**words, "image_index": torch.tensor(images)}

    def masks(self, model, batch: Mapping[str, Any], question: Mapping[str, torch.Tensor]) -> list[np.ndarray]:
        """The answers: one (H, W) bool mask per expression, at the size of the photo."""
        inputs = batch["inputs"]
        words = {name: tensor.to(model.device) for name, tensor in question.items()}
        results = self.processor.post_process_referring_segmentation(
            model(image_features=inputs["image_features"], **words),
            target_sizes=[(row["height"], row["width"]) for row in batch["rows"]],
        )
        return [result["mask"].cpu().numpy() for result in results]


class SwapEvaluator(QuestionEvaluator):
    """
    Whether left and right matter: sentences with either of them, as written and with the two exchanged.

    `compute` returns `swap_sentences`, their number; `swap_iou`, the mean IoU of the masks before and after; and
    `swap_miou_before` and `swap_miou_after`, the mean IoU with the target of the sentence as it was written.
    """

    def batch(self, rows: Sequence[dict]) -> dict[str, Any]:
        written = [(place, sentence["sent"]) for place, row in enumerate(rows) for sentence in row["sentences"]]
        written = [(place, text) for place, text in written if swap_left_right(text) != text]
        if not written:
            return {"swap": None, "swap_places": []}
        places, texts = zip(*written, strict=True)
        question = self.question([*texts, *map(swap_left_right, texts)], [*places, *places])
        return {"swap": question, "swap_places": places}

    def add(self, model: torch.nn.Module, batch: Mapping[str, Any]) -> None:
        places = batch["swap_places"]
        if not places:
            return
        masks = self.masks(model, batch, batch["swap"])
        ious: dict[int, list[tuple[float, float, float]]] = {}
        for place, before, after in zip(places, masks[: len(places)], masks[len(places) :], strict=True):
            target = batch["targets"][place]
            ious.setdefault(batch["numbers"][place], []).append(
                (_iou(before, after), _iou(before, target), _iou(after, target))
            )
        self._results += ious.items()

    def compute(self) -> dict[str, Any]:
        ious = [entry for of_row in self._take_results() for entry in of_row]
        means = np.mean(ious, axis=0).tolist() if ious else [float("nan")] * 3
        names = ("swap_iou", "swap_miou_before", "swap_miou_after")
        return {**dict(zip(names, means, strict=True)), "swap_sentences": len(ious)}

    def summary(self, metrics: Mapping[str, Any]) -> str:
        return f"left and right exchanged: mIoU {metrics['swap_miou_before']:.3f} -> {metrics['swap_miou_after']:.3f}"


class AbsentEvaluator(QuestionEvaluator):
    """
    How often a thing that is not in the photo is painted all the same.

    Args:
        names: the absent categories to ask for with each row, by its `ref_id`.

    `compute` returns `absent_pairs`, the number of questions, and `absent_rate`, the share of them whose mask covers
    more than `ABSENT_AREA` of the photo.
    """

    def __init__(self, processor, names: Mapping[int, Sequence[str]]):
        super().__init__(processor)
        self.names = names

    def batch(self, rows: Sequence[dict]) -> dict[str, Any]:
        asked = [(place, f"the {name}") for place, row in enumerate(rows) for name in self.names.get(row["ref_id"], ())]
        if not asked:
            return {"absent": None, "absent_places": []}
        places, texts = zip(*asked, strict=True)
        return {"absent": self.question(texts, places), "absent_places": places}

    def add(self, model: torch.nn.Module, batch: Mapping[str, Any]) -> None:
        if not batch["absent_places"]:
            return
        painted: dict[int, list[bool]] = {}
        masks = self.masks(model, batch, batch["absent"])
        for place, mask in zip(batch["absent_places"], masks, strict=True):
            painted.setdefault(batch["numbers"][place], []).append(bool(mask.mean() > ABSENT_AREA))
        self._results += painted.items()

    def compute(self) -> dict[str, Any]:
        painted = [answer for of_row in self._take_results() for answer in of_row]
        return {"absent_rate": float(np.mean(painted)) if painted else float("nan"), "absent_pairs": len(painted)}

    def summary(self, metrics: Mapping[str, Any]) -> str:
        return f"{metrics['absent_rate']:.3f} of {metrics['absent_pairs']} absent things painted"


def _iou(mask: np.ndarray, other: np.ndarray) -> float:
    intersection, union = mask_counts(mask, other)[:2]
    return intersection / union if union else 1.0


def absent_names(rows: ReferringRows, count: int = 100, seed: int = 0) -> dict[int, list[str]]:
    """`count` categories to ask for in vain, by the `ref_id` of the last row of the photo that lacks them.

    Nothing like the category is annotated in the photo. Photos take turns, and each gets categories drawn at random.
    """
    last_row = {image_id: index for index, image_id in enumerate(rows.image_ids())}
    rng, drawn = np.random.default_rng(seed), {}
    for _, index in sorted(last_row.items()):
        present = {thing["category"] for thing in rows.instances_of(index)}
        drawn[rows.row(index)["ref_id"]] = rng.permutation(absent_categories(present)).tolist()
    names: dict[int, list[str]] = {}
    turns = [
        (ref_id, of_photo[turn]) for turn in range(80) for ref_id, of_photo in drawn.items() if turn < len(of_photo)
    ]
    for ref_id, name in turns[:count]:
        names.setdefault(ref_id, []).append(name)
    return names


def share_image_features(model: torch.nn.Module, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs with what the model makes of the photos in place of their pixels: all evaluators ask about it."""
    return in_place_of_images(inputs, image_features=model.get_image_features(**inputs))


def evaluate(model, processor, folder: str | Path, split: str = "val") -> dict[str, float | int | str]:
    """
    Runs a model over a folder in RefCOCO's layout.

    Returns:
        What [`SegmentationEvaluator`], [`SwapEvaluator`] and [`AbsentEvaluator`] compute: one sample per sentence,
        photos at their own size, threshold 0.5.
    """
    rows = load(folder, split)
    collator = ReferringSegmentationCollator(processor, sentence="all", labels=False)
    asked = Evaluators(
        EvaluationCollator(collator, get_protocol(PROTOCOL)),
        [
            SegmentationEvaluator(processor, PROTOCOL),
            SwapEvaluator(processor),
            AbsentEvaluator(processor, absent_names(rows)),
        ],
        share=share_image_features,
    )
    metrics = asked.evaluate(model, rows, batch_size=1)
    logger.info(asked.summary(metrics))
    return {**metrics, "rows": len(rows)}


def write_results(model: str | Path, results: Mapping[str, Any], data: str | Path, split: str) -> dict:
    """Writes what `evaluate` returned into the folder of the model; returns the content of the file."""
    command = ["python", "-m", "recipes.refseg_photos_rmi.evaluate", str(model), "--data", str(data), "--split", split]
    counts = {name: results[name] for name in ("rows", "absent_pairs", "swap_sentences")}
    return write_eval_results(
        model,
        {name: value for name, value in results.items() if isinstance(value, float)},
        dataset=Path(data).name,
        split=split,
        counts={"expressions": results["num"], **counts},
        protocol=PROTOCOL,
        command=shlex.join(command),
    )


def main(arguments: Sequence[str] | None = None):
    from transformers import AutoProcessor

    from hf_refseg.checkpoints.loading import load_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder of a model")
    parser.add_argument("--data", required=True, help="folder in RefCOCO's layout: refs.json, instances.json, images/")
    parser.add_argument("--split", default="val")
    parser.add_argument("--write", action="store_true", help=f"write {EVAL_RESULTS_FILE} into the checkpoint's folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model = load_model(options.checkpoint, dtype=torch.float32)
    results = evaluate(model, AutoProcessor.from_pretrained(options.checkpoint), options.data, options.split)
    logger.info(json.dumps(results, indent=2))
    if options.write:
        write_results(options.checkpoint, results, options.data, options.split)


if __name__ == "__main__":
    main()
