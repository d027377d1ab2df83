"""Evaluation rows and batches: every sentence of a row, its target at the original size, and which row it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Dataset

from ..data.schema import decode_mask
from ..metrics import Protocol, mask_counts


class NumberedRows(Dataset):
    """A map-style dataset whose rows carry their own number, by which samples seen twice are told apart.

    Distributed sampling repeats rows until every process has as many; the number lets them count once.

    Raises:
        ValueError: if the dataset has no length, as streams have none.
    """

    def __init__(self, rows: Sequence[dict]):
        if not hasattr(rows, "__len__"):
            raise ValueError(
                f"evaluation needs a dataset of known length, got a stream ({type(rows).__name__}): "
                "use the map-style dataset, or take a fixed number of rows into a list"
            )
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[int, dict]:
        return index, self.rows[index]


@dataclass
class EvaluationCollator:
    """Turns numbered rows into one batch in which each image stands once and each of its sentences is an expression.

    Args:
        collator: `ReferringSegmentationCollator` with `sentence="all"` and no flips.

    Returns of a call:
        `dict`: `inputs` (what the model takes), `targets` (per row a bool array `(H, W)` at the original size), `rows`
        (their numbers) and `expressions_per_row`.
    """

    collator: Any

    def __call__(self, numbered_rows: list[tuple[int, dict]]) -> dict[str, Any]:
        numbers, rows = zip(*numbered_rows, strict=True)
        return {
            "inputs": self.collator(list(rows)),
            "targets": [decode_mask(row["mask"]) for row in rows],
            "rows": list(numbers),
            "expressions_per_row": [len(row["sentences"]) for row in rows],
        }


def batch_counts(results: Sequence[Mapping[str, Any]], batch: Mapping[str, Any], protocol: Protocol):
    """Reduce one batch of post-processed results to counts at once, so that no mask outlives its batch.

    Args:
        results: one per expression, with a `mask` `(H, W)` at the original size.
        batch: what [`EvaluationCollator`] returned.

    Returns:
        `list[tuple[int, list[tuple[int, int, bool]]]]`: per row its number, and for each of its sentences
        (intersection, union, has_target).
    """
    counts, first = [], 0
    for number, target, num in zip(batch["rows"], batch["targets"], batch["expressions_per_row"], strict=True):
        masks = (torch.as_tensor(result["mask"]).cpu().numpy() for result in results[first : first + num])
        counts.append((number, [mask_counts(mask, target, size=protocol.size) for mask in masks]))
        first += num
    return counts
