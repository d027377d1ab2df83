"""Reads a build again as its users will: from Parquet by `datasets`, mapped and streaming."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np

from ..catalogue import PublishedDataset
from ..rows import FileRows
from ..schema import decode_mask
from ..statistics import split_files
from .referring import annotated_rows, kept_indices


class VerificationError(RuntimeError):
    """A built data set differs from what was written: the disk is damaged, or this package has a bug."""


def verify_folder(
    out: Path,
    part: PublishedDataset,
    opened: dict[str, FileRows],
    exclude: frozenset[str],
    with_instances: bool = False,
) -> None:
    """Loads one configuration through its card, as a user does, mapped and streaming, and compares rows.

    Args:
        opened: the rows by official split; the first, the middle and the last row must come back exactly.
        exclude: identities of the images that were left out.
        with_instances: whether rows carry the objects of their images.

    Raises:
        VerificationError: the number of rows, or a row, differs.
    """
    with tempfile.TemporaryDirectory() as cache:
        for split, official in part.splits.items():
            rows, where = opened[official], f"{out}, {part.name} {split}"
            kept = kept_indices(rows, exclude)
            stored = datasets.load_dataset(str(out), part.name, split=split, cache_dir=cache)
            if len(stored) != len(kept):
                raise VerificationError(f"{where}: {len(kept)} rows were written, {len(stored)} are there.")
            numbers = sorted({0, len(kept) // 2, len(kept) - 1})
            made = list(annotated_rows(rows, [kept[number] for number in numbers], with_instances))
            for number, row in zip(numbers, made, strict=True):
                _compare(stored[number], row, f"{where}, row {number}")
            streamed = datasets.load_dataset(str(out), part.name, split=split, streaming=True)
            _compare(next(iter(streamed)), made[0], f"{where}, first row streamed")


def verify_pictures(folder: Path, records: Sequence[dict]) -> dict:
    """Reads the table of pictures: each must be there once and in order; the first and the last are decoded."""
    files = split_files(folder)["pictures"]
    with tempfile.TemporaryDirectory() as cache:
        names = {"pictures": [str(file) for file in files]}
        stored = datasets.load_dataset("parquet", data_files=names, split="pictures", cache_dir=cache)
        expected = [record["image_id"] for record in records]
        if list(stored["image_id"]) != expected:
            raise VerificationError(f"{folder} has {len(stored)} pictures, not the {len(expected)} of the rows.")
        for number in (0, len(records) - 1):
            if stored[number]["image"].size != (records[number]["width"], records[number]["height"]):
                raise VerificationError(f"{folder}, picture {number} has another size than its annotations.")
    return {"images": len(records), "bytes": sum(file.stat().st_size for file in files)}


def _compare(stored: dict, made: dict, where: str) -> None:
    for name, value in made.items():
        if stored[name] != value:
            raise VerificationError(f"{where}: {name} reads back as {stored[name]!r}, it was {value!r}.")
    if not np.array_equal(decode_mask(stored["mask"]), decode_mask(made["mask"])):
        raise VerificationError(f"{where}: its mask decodes to other pixels.")
