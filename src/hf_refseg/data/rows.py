"""The one protocol of all data sets: sequences of rows of `hf_refseg.data.schema`, read when they are asked for."""

import copy
import logging
import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from tqdm import tqdm

from .image_sources import ImageFolder, ImageTable
from .run_lengths import check_rle
from .schema import REQUIRED_FIELDS, RleMask

logger = logging.getLogger(__name__)

SHOWN = 5  # rows that are left out are named up to this number
RECORD_FIELDS = ("image_id", "file_name", "height", "width", "coco_id")


class Counts(NamedTuple):
    """The figures a split is published with. One ref is one referent (a task of PhraseCut, a region of ReferIt)."""

    images: int
    refs: int
    sentences: int


class ReferringRows(Sequence):
    """The rows of one split. `rows[3]` is a row, `rows[:3]` are rows again.

    A subclass gives `__len__`, `row`, `picture`, `image_record`, and `categories` and `instances_of` where its files
    have them. Streams ([`StreamedRows`]) offer the same words where they make sense without a length.

    Attributes:
        is_stream: False here: there is a length and an index.
        with_pictures: whether a row has the field `image`.
        with_objects: whether every row has the field `instances`, see `with_instances`.
        pictures_are_files: whether `check_picture` can look at a picture without reading it.
        source: the field `source` of the rows.
        split: the name of the split in the data set, None for all of them.
        notes: what was left out or is unusual in the files, {what: how often}. Cards and reports show it.
    """

    is_stream = False
    with_pictures = True
    with_objects = False
    pictures_are_files = False
    source: str
    split: str | None = None
    notes: Mapping[str, int] = {}

    # ---- What a data set says of itself ----

    def row(self, index: int) -> dict:
        """The row without its picture; index in [0, len)."""
        raise NotImplementedError

    def picture(self, index: int) -> Image.Image:
        """The picture of a row in RGB, opened now; index in [0, len)."""
        raise NotImplementedError

    def image_record(self, index: int) -> dict:
        """image_id, file_name, height and width (and coco_id where the data set has it), without making a mask."""
        raise NotImplementedError

    @property
    def categories(self) -> list[str]:
        """The names of the categories of the objects, in the data set's own order: the order of a detector's labels.

        Raises:
            ValueError: the data set has no categories.
        """
        raise ValueError(f"{self.source} has no categories, so there is nothing to detect in it")

    @property
    def attribute_names(self) -> list[str]:
        """The attributes that `instances_of` annotates objects with; empty where nobody annotated any."""
        return []

    def instances_of(self, index: int) -> list[dict]:
        """Every annotated object of a row's image, as the schema's field `instances` has them.

        Raises:
            ValueError: the data set does not know all objects of its images.
        """
        raise ValueError(
            f"{self.source} does not list the objects of its images; use a data set that does, such as RefShapes, a "
            "COCO folder, or official files of RefCOCO"
        )

    # ---- What can be asked of every data set ----

    def source_of(self, index: int) -> str:
        """The field `source` of one row."""
        return self.source

    def file_name_of(self, index: int) -> str:
        """The field `file_name` of one row."""
        return self.image_record(index)["file_name"]

    def image_ids(self) -> Iterator[int]:
        """The image of every row."""
        return (self.image_record(index)["image_id"] for index in range(len(self)))

    def sentences_of(self, index: int) -> list[str]:
        """The expressions of one row, without opening its picture."""
        return [sentence["sent"] for sentence in self.row(index)["sentences"]]

    def sentences(self) -> Iterator[str]:
        """Every expression, without opening a picture."""
        return (sentence for index in range(len(self)) for sentence in self.sentences_of(index))

    def vocabulary_texts(self) -> Iterator[str]:
        """Texts that together hold every word of the expressions: what a vocabulary is made of."""
        return self.sentences()

    def counts(self) -> Counts:
        """Images, refs and sentences of these rows, without making masks."""
        sentences = sum(len(self.sentences_of(index)) for index in range(len(self)))
        return Counts(len(set(self.image_ids())), len(self), sentences)

    def by_image(self) -> Sequence[list[dict]]:
        """The rows of each image as one list; only its first row has the picture and what `with_instances` adds."""
        return RowsByImage(self)

    # ---- Other rows made of these ----

    def select(self, indices: Sequence[int]) -> "ReferringRows":
        """The rows with these numbers, in this order.

        Raises:
            IndexError: a number is not in [-len, len).
        """
        return self._select([self._number(index) for index in indices])

    def of_sources(self, sources: Collection[str]) -> "ReferringRows":
        """The rows whose field `source` is one of these.

        Raises:
            ValueError: there are none.
        """
        of_rows = [self.source_of(index) for index in range(len(self))]
        kept = [index for index, source in enumerate(of_rows) if source in sources]
        if not kept:
            raise ValueError(f"no row is of the sources {sorted(sources)}; there are {sorted(set(of_rows))}")
        return self.select(kept)

    def _select(self, numbers: Sequence[int]) -> "ReferringRows":
        return SelectedRows(self, numbers)

    def take(self, count: int) -> "ReferringRows":
        """The first `count` rows, or all of them where there are fewer.

        Raises:
            ValueError: a negative number.
        """
        if count < 0:
            raise ValueError(f"take({count}): give a number of rows, 0 or more")
        return self.select(range(min(count, len(self))))

    def check_picture(self, index: int) -> None:
        """Looks at the beginning of the file of a row's picture; index in [0, len).

        Raises:
            FileNotFoundError, ValueError: it is missing, no picture, or has not the annotated size.
        """
        raise NotImplementedError

    def with_checked_pictures(self) -> "ReferringRows":
        """These rows, after a look at the beginning of every picture's file.

        Raises:
            FileNotFoundError, ValueError: pictures are missing or have not the annotated size; it names the first, and
                says how many there are.
        """
        if not (self.with_pictures and self.pictures_are_files):
            return self
        first_of_image: dict[int, int] = {}
        for index, image_id in enumerate(self.image_ids()):
            first_of_image.setdefault(image_id, index)
        numbers = tqdm(first_of_image.values(), "sizes of pictures", leave=False, delay=2)
        errors = [error for error in (_error_of(self.check_picture, index) for index in numbers) if error is not None]
        if errors:
            others = f" ({len(errors)} of {len(first_of_image):,} pictures are like this.)" if len(errors) > 1 else ""
            kind = FileNotFoundError if isinstance(errors[0], FileNotFoundError) else ValueError
            raise kind(f"{errors[0]}{others}") from errors[0]
        return self

    def readable(self) -> "ReferringRows":
        """The rows whose picture and mask can be read, or these rows where all can. Reads every picture once.

        The others are logged, and counted in `notes`.

        Raises:
            ValueError: no row can be read.
        """
        kept, left_out, tried = [], {}, {}
        for index, image_id in enumerate(tqdm(self.image_ids(), "readable rows", total=len(self), leave=False)):
            if image_id not in tried:
                tried[image_id] = _error_of(self.picture, index) if self.with_pictures else None
            error = tried[image_id] or _error_of(lambda number: check_rle(self.row(number)["mask"]), index)
            if error is None:
                kept.append(index)
            else:
                left_out[index] = error
        if not left_out:
            return self
        for index, error in list(left_out.items())[:SHOWN]:
            logger.warning("row %d of %s %s is left out: %s", index, self.source, self.split, error)
        if not kept:
            raise ValueError(f"no row of {self.source} {self.split} can be read; the last one: {error}")
        rows = self._select(kept)
        rows.notes = {**self.notes, "rows whose picture or mask cannot be read, left out": len(left_out)}
        return rows

    def with_resized_pictures(self) -> "ReferringRows":
        """The same rows, whose pictures are resized to the annotated size where they have another.

        Raises:
            ValueError: the pictures are not read from files.
        """
        raise ValueError(f"{self.source} does not read its pictures from files: leave out resize_pictures")

    def without_pictures(self) -> "ReferringRows":
        """The same rows without the field `image`: fast, and possible where there are no pictures."""
        rows = copy.copy(self)
        rows.with_pictures = False
        return rows

    def with_instances(self) -> "ReferringRows":
        """The same rows with the field `instances`, their own or else that of `instances_of`."""
        rows = copy.copy(self)
        rows.with_objects = True
        return rows

    def in_memory(self, label: str = "rows") -> "ReferringRows":
        """The same rows, read now, once, and kept. `label` names the progress bar."""
        return HeldRows(list(tqdm(self, label, leave=False)), self)

    # ---- Access ----

    def complete_row(self, index: int) -> dict:
        """The row with its picture; index in [0, len). For data sets that make both at once."""
        return {"image": self.picture(index), **self.row(index)}

    def __getitem__(self, index: int | slice) -> "dict | ReferringRows":
        """One row, whose mask decodes itself when numpy asks for an array; of a slice the rows in it.

        Raises:
            IndexError: the index is not in [-len, len).
            TypeError: it is neither a whole number nor a slice.
            FileNotFoundError, ValueError: the picture is missing, can't be read, or has not the annotated size.
        """
        if isinstance(index, slice):
            return self.select(range(len(self))[index])
        number = self._number(index)
        row = self.complete_row(number) if self.with_pictures else self.row(number)
        if self.with_objects and row.get("instances") is None:
            row["instances"] = self.instances_of(number)
        row["mask"] = RleMask(row["mask"])
        return row

    def _number(self, index: int) -> int:
        """An index as a number in [0, len)."""
        try:
            number = operator.index(index)
        except TypeError:
            raise TypeError(
                f"rows[{index!r}]: rows have numbers. rows[0] is a row, rows[:10] and rows.select([0, 5]) are rows, "
                "rows.sentences() are the expressions of all of them"
            ) from None
        if not -len(self) <= number < len(self):
            raise IndexError(f"row {number} of {self.source} {self.split}, which has {len(self)} rows")
        return number % len(self)

    def __iter__(self) -> Iterator[dict]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r}, split={self.split!r}, {len(self)} rows)"


class FileRows(ReferringRows):
    """Rows of official files.

    Args:
        pictures: where the pictures are; None for rows without pictures.

    Attributes:
        file: the official file that lists the rows.
        splits: the official names of the splits in the files.
    """

    pictures_are_files = True
    file: Path
    splits: Mapping[str, int] | Sequence[str] = ()

    def __init__(self, pictures: ImageFolder | ImageTable | None):
        self.pictures = pictures
        self.with_pictures = pictures is not None

    def picture(self, index: int) -> Image.Image:
        return self.pictures.open(self.image_record(index))

    def check_picture(self, index: int) -> None:
        self.pictures.check(self.image_record(index))

    def with_resized_pictures(self) -> "FileRows":
        rows = copy.copy(self)
        if rows.pictures is not None:
            rows.pictures = copy.copy(rows.pictures)
            rows.pictures.resize = True
        return rows

    def of_split(self, split: str | None) -> "FileRows":
        """The rows of another split of the same files, None for all; what has been read is not read again."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, {self.pictures!r})"


class SelectedRows(ReferringRows):
    """Some rows of others, in a chosen order: what a slice and `take` give.

    Args:
        rows: the rows to choose from.
        indices: their numbers, each in [0, len).
    """

    def __init__(self, rows: ReferringRows, indices: Sequence[int]):
        self.rows, self.indices = rows, indices
        for name in ("source", "split", "notes", "with_pictures", "with_objects", "pictures_are_files"):
            setattr(self, name, getattr(rows, name))

    def __len__(self) -> int:
        return len(self.indices)

    def row(self, index: int) -> dict:
        return self.rows.row(self.indices[index])

    def picture(self, index: int) -> Image.Image:
        return self.rows.picture(self.indices[index])

    def check_picture(self, index: int) -> None:
        self.rows.check_picture(self.indices[index])

    def complete_row(self, index: int) -> dict:
        return self.rows.complete_row(self.indices[index])

    def image_record(self, index: int) -> dict:
        return self.rows.image_record(self.indices[index])

    def instances_of(self, index: int) -> list[dict]:
        return self.rows.instances_of(self.indices[index])

    def source_of(self, index: int) -> str:
        return self.rows.source_of(self.indices[index])

    def sentences_of(self, index: int) -> list[str]:
        return self.rows.sentences_of(self.indices[index])

    @property
    def categories(self) -> list[str]:
        return self.rows.categories

    @property
    def attribute_names(self) -> list[str]:
        return self.rows.attribute_names


class HeldRows(ReferringRows):
    """Rows that are kept in memory: those of `rows.in_memory()`, or dicts that a user made.

    Args:
        rows: dicts of the schema, all with the field `image` or all without it.
        origin: the rows that they were read from, which still answer for their categories and objects. None where a
            user made them: their objects are those of their own field `instances`, and so are their categories.

    Raises:
        ValueError: a row lacks a field of the schema, or there are none and no `origin`.
    """

    def __init__(self, rows: Sequence[dict], origin: ReferringRows | None = None):
        self.held, self.origin = list(rows), origin
        for number, row in enumerate(self.held):
            missing = [name for name in REQUIRED_FIELDS if name not in row]
            if missing:
                raise ValueError(f"row {number} lacks {missing} of hf_refseg.data.schema; it has {sorted(row)}")
        self.with_pictures = all("image" in row for row in self.held)
        if origin is not None:
            self.source, self.split, self.notes = origin.source, origin.split, origin.notes
        elif self.held:
            self.source, self.split = self.held[0]["source"], self.held[0]["split"]
        else:
            raise ValueError("there are no rows; give at least one")

    def __len__(self) -> int:
        return len(self.held)

    def row(self, index: int) -> dict:
        return {name: value for name, value in self.held[index].items() if name != "image"}

    def picture(self, index: int) -> Image.Image:
        return self.held[index]["image"]

    def image_record(self, index: int) -> dict:
        return {name: self.held[index][name] for name in RECORD_FIELDS if name in self.held[index]}

    def source_of(self, index: int) -> str:
        return self.held[index]["source"]

    def instances_of(self, index: int) -> list[dict]:
        own = self.held[index].get("instances")
        if own is not None:
            return own
        return super().instances_of(index) if self.origin is None else self.origin.instances_of(index)

    @cached_property
    def categories(self) -> list[str]:
        if self.origin is not None:
            return self.origin.categories
        return sorted({thing["category"] for index in range(len(self)) for thing in self.instances_of(index)})

    @property
    def attribute_names(self) -> list[str]:
        return [] if self.origin is None else self.origin.attribute_names

    def vocabulary_texts(self) -> Iterator[str]:
        return self.sentences() if self.origin is None else self.origin.vocabulary_texts()


def _error_of(call: Callable[[int], object], index: int) -> Exception | None:
    """What keeps a row from being read."""
    try:
        call(index)
    except (ValueError, OSError) as error:
        return error
    return None


class RowsByImage(Sequence):
    """The rows of each image as one list; see [`ReferringRows.by_image`]."""

    def __init__(self, rows: ReferringRows):
        self.rows = rows
        of_image: dict[int, list[int]] = {}
        for index, image_id in enumerate(rows.image_ids()):
            of_image.setdefault(image_id, []).append(index)
        self._indices = list(of_image.values())

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> list[dict]:
        first, *others = self._indices[index]
        return [self.rows[first], *(self.rows.row(other) for other in others)]
