"""What all readers are: sequences of rows of `hf_refseg.data.schema`, whose pictures are opened when asked for."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .image_sources import ImageFolder, ImageTable
from .schema import RleMask


class Counts(NamedTuple):
    """The figures a split is published with. One ref is one referent (a task of PhraseCut, a region of ReferIt)."""

    images: int
    refs: int
    sentences: int


class ReferringRows(Sequence):
    """Map-style rows of one split. A subclass gives `__len__`, `row` and `image_record`.

    Attributes:
        pictures: where `__getitem__` gets the field `image` from; None leaves the field out.
        source: the field `source` of every row.
        split: the official name of the split, None for all.
        file: the official file that lists them.
        notes: what was left out or is odd in the files, {what: how often}; never silent, in cards and reports.
    """

    pictures: ImageFolder | ImageTable | None = None
    source: str
    split: str | None = None
    notes: dict[str, int]
    file: Path

    def row(self, index: int) -> dict:
        """The row without its picture; index in [0, len)."""
        raise NotImplementedError

    def image_record(self, index: int) -> dict:
        """image_id, file_name, height and width (and coco_id where the data set tells it), without making a mask."""
        raise NotImplementedError

    def instances_of(self, index: int) -> list[dict] | None:
        """Every annotated object of a row's image as {"ann_id", "category", "attributes", "box"}, without making masks;
        None where the files do not tell, or the rows have the field `instances` themselves."""
        return None

    def sentences(self) -> Iterator[str]:
        """Every expression, without opening a picture: what vocabularies are made of."""
        return (sentence["sent"] for index in range(len(self)) for sentence in self.row(index)["sentences"])

    def counts(self) -> Counts:
        """Images, refs and sentences of these rows, without making masks."""
        raise NotImplementedError

    def without_pictures(self) -> "ReferringRows":
        """The same rows without the field `image`: fast, and possible where there are no pictures."""
        rows = copy.copy(self)
        rows.pictures = None
        return rows

    def __getitem__(self, index: int) -> dict:
        """The row of a referent, with its picture in RGB; its mask decodes itself when an array is asked for.

        Raises:
            IndexError: the index is not in [-len, len).
            FileNotFoundError, ValueError: the picture is missing, can't be read, or has not the annotated size.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {self.source} {self.split}, which has {len(self)} rows")
        row = self.row(int(index) % len(self))
        row["mask"] = RleMask(row["mask"])
        return row if self.pictures is None else {"image": self.pictures.open(row), **row}

    def __iter__(self) -> Iterator[dict]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r}, split={self.split!r}, {len(self)} rows, {self.pictures!r})"
