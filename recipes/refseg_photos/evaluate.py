"""
The numbers of the card of `refseg-photos`, for any checkpoint that answers photos.

python -m recipes.refseg_photos.evaluate CHECKPOINT --val ../shared/data/coco_cc_expressions \\
    --photos built/photos --refcoco ../shared/data/refcoco_mini --raw ../shared/data --write

Sentences of three sets, photos at their own size, threshold 0.5, one sample per sentence (hu2016). With --raw, photos
of COCO's val2017 are reported apart: published detectors and trunks were trained on train2017.
"""

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_refseg.checkpoints import resolve_checkpoint
from hf_refseg.checkpoints.loading import load_model, load_processor
from hf_refseg.data import ReferringRows, ReferringSegmentationCollator, load
from hf_refseg.data.coco_categories import NOUNS
from hf_refseg.data.photos.collection import val2017_ids
from hf_refseg.evaluation.batches import EvaluationCollator
from hf_refseg.evaluation.comparison import intervals
from hf_refseg.evaluation.evaluators import Evaluators, SegmentationEvaluator
from hf_refseg.evaluation.results import write_eval_results
from hf_refseg.metrics import RefSegMetric, get_protocol
from recipes.refseg_photos_rmi.categories import look_alikes
from recipes.refseg_photos_rmi.evaluate import (
    PROTOCOL,
    AbsentEvaluator,
    SwapEvaluator,
    absent_names,
    share_image_features,
)

logger = logging.getLogger(__name__)

WITH_INTERVALS = ("mIoU", "Pr@0.5")
# what is reported of each set but the first
OF_OTHER_SETS = ("mIoU", "oIoU", "Pr@0.5", *(f"{name}_{end}" for name in WITH_INTERVALS for end in ("low", "high")))
# what is reported of a part of a set
OF_PARTS = ("mIoU", "Pr@0.5")
LOOK_ALIKES_PER_PHOTO = 6
# Categories of COCO that PASCAL VOC has too: what many trunks and detectors know.
VOC = frozenset(
    "airplane bicycle bird boat bottle bus car cat chair cow dog horse motorcycle person sheep couch train tv".split()
) | {"dining table", "potted plant"}


class PhotoEvaluator(SegmentationEvaluator):
    """
    The same metrics, and 95 % intervals of `WITH_INTERVALS` by drawing photos: `mIoU_low`, `mIoU_high`.

    Args:
        rows: that will be evaluated.
        parts: of them, the numbers of their rows by a name; `compute` returns the metrics of each part as `parts`.
    """

    def __init__(self, processor, protocol: str, rows: ReferringRows, parts: Mapping[str, Collection[int]]):
        super().__init__(processor, protocol)
        self.image_ids, self.parts = list(rows.image_ids()), parts

    def compute(self) -> dict[str, Any]:
        counted = [(sample, number) for number, (samples, _) in self._results for sample in samples]
        samples, numbers = zip(*counted, strict=True)
        ends = intervals(samples, [self.image_ids[number] for number in numbers], self.protocol)
        of_names = {
            f"{name}_{end}": value
            for name in WITH_INTERVALS
            for end, value in zip(("low", "high"), ends[name], strict=True)
        }
        of_parts = {name: self._of_part(counted, part) for name, part in self.parts.items()}
        return {**super().compute(), **of_names, "parts": of_parts}

    def _of_part(self, counted: Sequence[tuple], part: Collection[int]) -> dict[str, Any]:
        metric = RefSegMetric(self.protocol.name)
        for sample, number in counted:
            if number in part:
                metric.add_sample(sample)
        return metric.compute()


def parts_of(rows: ReferringRows, val2017: Collection[int]) -> dict[str, set[int]]:
    """
    Parts of a set by their names, as numbers of rows; parts that are empty, or everything, are left out.

    Args:
        val2017: the COCO ids of that split, as far as they are known; rows of other photos are `train2017`. None known:
            no part is made of them.

    Returns:
        `val2017` and `train2017`, and `beyond_voc`: what is said of things of categories that PASCAL VOC has not.
    """
    unseen = {number for number, image_id in enumerate(rows.image_ids()) if image_id in val2017}
    categories = [row["category"] for row in rows.without_pictures()]
    parts = {
        "val2017": unseen,
        "train2017": set(range(len(rows))) - unseen if val2017 else set(),
        "beyond_voc": {number for number, category in enumerate(categories) if category and category not in VOC},
    }
    return {name: part for name, part in parts.items() if 0 < len(part) < len(rows)}


def look_alike_names(rows: ReferringRows, seed: int = 0) -> dict[int, list[str]]:
    """Categories that are not in a photo, but something like them is: "dog" for a photo of a cat. By the `ref_id` of
    the last row of each photo."""
    last_row = {image_id: index for index, image_id in enumerate(rows.image_ids())}
    rng, names = np.random.default_rng(seed), {}
    for _, index in sorted(last_row.items()):
        present = {thing["category"] for thing in rows.instances_of(index)}
        similar = [name for name in NOUNS if name not in present and look_alikes(name) & present]
        names[rows.row(index)["ref_id"]] = rng.permutation(similar).tolist()[:LOOK_ALIKES_PER_PHOTO]
    return names


def measure(model, processor, rows: ReferringRows, val2017: Collection[int] = ()) -> dict[str, Any]:
    """The metrics of one set of sentences: masks, left and right exchanged, absent things and look-alikes; and `parts`,
    the metrics of masks for each of `parts_of`."""
    collator = ReferringSegmentationCollator(processor, sentence="all", labels=False)
    collate = EvaluationCollator(collator, get_protocol(PROTOCOL))
    evaluators = [
        PhotoEvaluator(processor, PROTOCOL, rows, parts_of(rows, val2017)),
        SwapEvaluator(processor),
        AbsentEvaluator(processor, absent_names(rows)),
    ]
    metrics = Evaluators(collate, evaluators, share_image_features).evaluate(model, rows, batch_size=1)
    similar = [AbsentEvaluator(processor, look_alike_names(rows))]
    asked = Evaluators(collate, similar, share_image_features).evaluate(model, rows, batch_size=1)
    return {**metrics, "look_alike_rate": asked["absent_rate"], "look_alike_pairs": asked["absent_pairs"]}


def evaluate(
    model, processor, val: ReferringRows, others: Mapping[str, ReferringRows], val2017: Collection[int] = ()
) -> tuple[dict, dict]:
    """
    Everything that the card says.

    Args:
        val: the first set, of which all metrics are reported.
        others: further sets by their names, which their metrics begin with.
        val2017: see `parts_of`.

    Returns:
        metrics, and counts.
    """
    measured = measure(model, processor, val, val2017)
    metrics = {name: value for name, value in measured.items() if isinstance(value, float)}
    pairs = ("absent_pairs", "look_alike_pairs", "swap_sentences")
    counts = {"rows": len(val), "expressions": measured["num"], **{name: measured[name] for name in pairs}}
    _add_parts(metrics, counts, measured["parts"])
    for name, rows in others.items():
        measured = measure(model, processor, rows, val2017)
        metrics |= {f"{name}_{metric}": measured[metric] for metric in OF_OTHER_SETS}
        counts[f"{name}_expressions"] = measured["num"]
        _add_parts(metrics, counts, {f"{name}_{part}": numbers for part, numbers in measured["parts"].items()})
    return metrics, counts


def _add_parts(metrics: dict, counts: dict, parts: Mapping[str, Mapping]) -> None:
    for name, numbers in parts.items():
        metrics |= {f"{name}_{metric}": numbers[metric] for metric in OF_PARTS}
        counts[f"{name}_expressions"] = numbers["num"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="shipped name or folder of a model")
    parser.add_argument("--val", required=True, help="coco_cc_expressions")
    parser.add_argument("--photos", required=True, help="what dataset_scripts/build_photos.py built: its val_authored")
    parser.add_argument("--refcoco", required=True, help="refcoco_mini, sentences of people")
    parser.add_argument("--raw", type=Path, help="folder of the raw sets: their files say which photos are of val2017")
    parser.add_argument("--write", action="store_true", help="write eval_results.json into the checkpoint's folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model, processor = load_model(options.checkpoint, dtype=torch.float32), load_processor(options.checkpoint)
    others = {
        "authored": load(options.photos, "val_authored").in_memory("val_authored"),
        "refcoco": load(options.refcoco, None),
    }
    val2017 = () if options.raw is None else val2017_ids(options.raw)
    metrics, counts = evaluate(model, processor, load(options.val, "val"), others, val2017)
    logger.info(json.dumps({**metrics, **counts}, indent=2))
    if options.write:
        words = sys.argv[1:] if arguments is None else arguments
        command = shlex.join(["python", "-m", "recipes.refseg_photos.evaluate", *words])
        settings = {"split": "val", "counts": counts, "protocol": PROTOCOL, "command": command}
        write_eval_results(resolve_checkpoint(options.checkpoint), metrics, dataset="coco_cc_expressions", **settings)


if __name__ == "__main__":
    main()
