"""Batches of evaluation: every sentence of a row, its target at the original size, and which row it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from ..data.collator import ReferringSegmentationCollator
from ..metrics import Protocol, Sample, make_sample


class NumberedRows(Dataset):
    """A map-style dataset whose rows carry their number, so that a row that is seen twice counts once.

    Distributed sampling repeats rows until every process has as many as the others.

    Raises:
        ValueError: the dataset has no length, as with a stream.
    """

    def __init__(self, rows: Sequence[dict]):
        try:
            self.length = len(rows)
        except TypeError as error:
            raise ValueError(
                f"evaluation needs a dataset of known length, got a stream ({type(rows).__name__}): "
                "use the map-style dataset, or take a fixed number of rows into a list"
            ) from error
        self.rows = rows

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[int, dict]:
        return index, self.rows[index]


@dataclass
class EvaluationCollator:
    """Turns numbered rows into one batch that has each image once and each of its sentences as an expression.

    Args:
        collator: `ReferringSegmentationCollator` with `sentence="all"` and no flips.
        protocol: decides which sentences of a row are evaluated.

    Returns of a call:
        `dict`: `inputs` (what the model takes), `numbers` (of the rows), `rows` (with only these sentences),
        `targets` (per row a bool array `(H, W)` at the original size) and `expressions_per_row`.

    Raises (of a call):
        ValueError: rows can't be evaluated, and the message names them: no sentences, a sentence without words, a
            damaged mask, a mask that does not have its image's size.
    """

    collator: ReferringSegmentationCollator
    protocol: Protocol

    def __call__(self, numbered_rows: list[tuple[int, dict]]) -> dict[str, Any]:
        numbers, rows = zip(*numbered_rows, strict=True)
        try:
            rows = [{**row, "sentences": self.protocol.sentences(row)} for row in rows]
            prepared = [self.collator.prepare(row) for row in rows]
            targets = [np.asarray(row["mask"]) for row in prepared]  # decoded once, for the labels too
            inputs = self.collator.collate(
                [row | {"mask": target} for row, target in zip(prepared, targets, strict=True)]
            )
        except ValueError as error:
            names = ", ".join(f"{row['source']} {row['split']} ref_id={row['ref_id']}" for row in rows)
            raise ValueError(f"can't evaluate {names}: {error}") from error
        return {
            "inputs": inputs,
            "numbers": list(numbers),
            "rows": rows,
            "targets": targets,
            "expressions_per_row": [len(row["sentences"]) for row in rows],
        }


def batch_samples(
    results: Sequence[Mapping[str, Any]], batch: Mapping[str, Any], protocol: Protocol
) -> list[tuple[int, list[Sample]]]:
    """Reduces one batch of post-processed results to integers, so that no mask is kept after its batch.

    Args:
        results: one per expression, with a `mask` `(H, W)` at the original size and a `box`, or None for it.
        batch: what [`EvaluationCollator`] returned.

    Returns: for each row its number and one sample per sentence. Boxes are counted if the protocol's rule applies:
        "single" needs a referent with exactly one box.
    """
    samples, first = [], 0
    columns = (batch["numbers"], batch["rows"], batch["targets"], batch["expressions_per_row"])
    for number, row, target, num in zip(*columns, strict=True):
        target_boxes = row["boxes"] if protocol.box_rule != "single" or len(row["boxes"]) == 1 else None
        of_row = []
        for result in results[first : first + num]:
            pred_boxes = None if target_boxes is None else [result["box"]] if result["box"] is not None else []
            mask = torch.as_tensor(result["mask"]).cpu().numpy()
            of_row.append(make_sample(protocol, mask, target, pred_boxes=pred_boxes, target_boxes=target_boxes))
        samples.append((number, of_row))
        first += num
    return samples
