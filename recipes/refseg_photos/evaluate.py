"""
The numbers of the card of `refseg-photos`, for any checkpoint that answers photos.

python -m recipes.refseg_photos.evaluate CHECKPOINT --val ../shared/data/coco_cc_expressions \\
    --photos built/photos --refcoco ../shared/data/refcoco_mini --write

Sentences of three sets, photos at their own size, threshold 0.5, one sample per sentence (hu2016).
"""

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hf_refseg.checkpoints import resolve_checkpoint
from hf_refseg.checkpoints.loading import load_model, load_processor
from hf_refseg.data import ReferringRows, ReferringSegmentationCollator, load
from hf_refseg.data.coco_categories import NOUNS
from hf_refseg.evaluation.batches import EvaluationCollator
from hf_refseg.evaluation.comparison import intervals
from hf_refseg.evaluation.evaluators import Evaluators, SegmentationEvaluator
from hf_refseg.evaluation.results import write_eval_results
from hf_refseg.metrics import get_protocol
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
LOOK_ALIKES_PER_PHOTO = 6


class IntervalEvaluator(SegmentationEvaluator):
    """The same metrics, and 95 % intervals of `WITH_INTERVALS` by drawing photos: `mIoU_low`, `mIoU_high`."""

    def __init__(self, processor, protocol: str, rows: ReferringRows):
        super().__init__(processor, protocol)
        self.image_ids = list(rows.image_ids())

    def compute(self) -> dict[str, Any]:
        counted = [(sample, self.image_ids[number]) for number, (samples, _) in self._results for sample in samples]
        ends = intervals(*zip(*counted, strict=True), self.protocol)
        of_names = {
            f"{name}_{end}": value
            for name in WITH_INTERVALS
            for end, value in zip(("low", "high"), ends[name], strict=True)
        }
        return {**super().compute(), **of_names}


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


def measure(model, processor, rows: ReferringRows) -> dict[str, Any]:
    """The metrics of one set of sentences: masks, left and right exchanged, absent things and look-alikes."""
    collator = ReferringSegmentationCollator(processor, sentence="all", labels=False)
    collate = EvaluationCollator(collator, get_protocol(PROTOCOL))
    evaluators = [
        IntervalEvaluator(processor, PROTOCOL, rows),
        SwapEvaluator(processor),
        AbsentEvaluator(processor, absent_names(rows)),
    ]
    metrics = Evaluators(collate, evaluators, share_image_features).evaluate(model, rows, batch_size=1)
    similar = [AbsentEvaluator(processor, look_alike_names(rows))]
    asked = Evaluators(collate, similar, share_image_features).evaluate(model, rows, batch_size=1)
    return {**metrics, "look_alike_rate": asked["absent_rate"], "look_alike_pairs": asked["absent_pairs"]}


def evaluate(model, processor, val: ReferringRows, others: Mapping[str, ReferringRows]) -> tuple[dict, dict]:
    """
    Everything that the card says.

    Args:
        val: the first set, of which all metrics are reported.
        others: further sets by their names, which their metrics begin with.

    Returns:
        metrics, and counts.
    """
    measured = measure(model, processor, val)
    metrics = {name: value for name, value in measured.items() if isinstance(value, float)}
    pairs = ("absent_pairs", "look_alike_pairs", "swap_sentences")
    counts = {"rows": len(val), "expressions": measured["num"], **{name: measured[name] for name in pairs}}
    for name, rows in others.items():
        measured = measure(model, processor, rows)
        metrics |= {f"{name}_{metric}": measured[metric] for metric in OF_OTHER_SETS}
        counts[f"{name}_expressions"] = measured["num"]
    return metrics, counts


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="shipped name or folder of a model")
    parser.add_argument("--val", required=True, help="coco_cc_expressions")
    parser.add_argument("--photos", required=True, help="what dataset_scripts/build_photos.py built: its val_authored")
    parser.add_argument("--refcoco", required=True, help="refcoco_mini, sentences of people")
    parser.add_argument("--write", action="store_true", help="write eval_results.json into the checkpoint's folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model, processor = load_model(options.checkpoint, dtype=torch.float32), load_processor(options.checkpoint)
    others = {
        "authored": load(options.photos, "val_authored").in_memory("val_authored"),
        "refcoco": load(options.refcoco, None),
    }
    metrics, counts = evaluate(model, processor, load(options.val, "val"), others)
    logger.info(json.dumps({**metrics, **counts}, indent=2))
    if options.write:
        words = sys.argv[1:] if arguments is None else arguments
        command = shlex.join(["python", "-m", "recipes.refseg_photos.evaluate", *words])
        settings = {"split": "val", "counts": counts, "protocol": PROTOCOL, "command": command}
        write_eval_results(resolve_checkpoint(options.checkpoint), metrics, dataset="coco_cc_expressions", **settings)


if __name__ == "__main__":
    main()
