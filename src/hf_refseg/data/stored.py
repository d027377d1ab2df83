"""Rows stored by `datasets`: built data sets, folders of `save_to_disk`, and any `datasets.Dataset` of the schema."""

import copy
from collections.abc import Iterator, Sequence
from functools import cached_property

from PIL import Image

from .image_sources import ImageFolder, ImageTable, annotated_picture
from .rows import RECORD_FIELDS, Counts, ReferringRows
from .schema import REQUIRED_FIELDS, has_words


class DatasetRows(ReferringRows):
    """The rows of a map-style `datasets.Dataset` with the columns of the schema. Nothing is read until it is asked for.

    Args:
        dataset: the table. Its column `image`, where it has one, is read for pictures only.
        pictures: where the pictures are, if they are not in the table.
        name: what to call the data set in errors.

    Raises:
        ValueError: the table has no rows, lacks columns of the schema, or has a sentence without words.

    Attributes:
        resize: whether a picture of another size than annotated is resized instead of being refused.
    """

    resize = False

    def __init__(self, dataset, pictures: ImageFolder | ImageTable | None = None, name: str = "the data set"):
        from datasets import Image as ImageFeature

        check_columns(dataset, name, REQUIRED_FIELDS)
        if not len(dataset):
            raise ValueError(f"{name} has no rows")
        own = "image" in dataset.column_names
        self.pictures, self.name = pictures, name
        self.whole = dataset.remove_columns("image") if own else dataset
        # as files: `datasets` would decode them in a way of its own
        files = dataset.select_columns("image").cast_column("image", ImageFeature(decode=False)) if own else None
        self.images = files if pictures is None else None
        self.with_pictures = self.images is not None or pictures is not None
        self.pictures_are_files = pictures is not None
        self._use(self.whole)
        check_sentences(self.whole, name)
        first = self.table[0]
        self.source, self.split = first["source"], first["split"]

    def _use(self, table) -> None:
        """Keeps views of the columns that are asked for alone: making one takes longer than reading a row."""
        self.table, self.texts, self.sources = table, table.select_columns("sentences"), table.select_columns("source")
        self.records = table.select_columns([name for name in RECORD_FIELDS if name in table.column_names])
        self.objects = table.select_columns("instances") if "instances" in table.column_names else None

    def __len__(self) -> int:
        return len(self.table)

    def row(self, index: int) -> dict:
        return self.table[index]

    def picture(self, index: int) -> Image.Image:
        if self.images is None:
            return self.pictures.open(self.image_record(index))
        record = self.image_record(index)
        where = f"{self.name}, image_id {record['image_id']}"
        return annotated_picture(self.images[index]["image"], record, where, self.resize)

    def check_picture(self, index: int) -> None:
        self.pictures.check(self.image_record(index))

    def with_resized_pictures(self) -> "DatasetRows":
        rows = copy.copy(self)
        rows.resize = True
        if rows.pictures is not None:
            rows.pictures = copy.copy(rows.pictures)
            rows.pictures.resize = True
        return rows

    def image_record(self, index: int) -> dict:
        return self.records[index]

    def source_of(self, index: int) -> str:
        return self.sources[index]["source"]

    def image_ids(self) -> Iterator[int]:
        return iter(self.table["image_id"])

    def sentences_of(self, index: int) -> list[str]:
        return [sentence["sent"] for sentence in self.texts[index]["sentences"]]

    def sentences(self) -> Iterator[str]:
        return (sentence["sent"] for row in self.texts for sentence in row["sentences"])

    def counts(self) -> Counts:
        sentences = sum(len(sentences) for sentences in self.table["sentences"])
        return Counts(len(set(self.table["image_id"])), len(self.table), sentences)

    def instances_of(self, index: int) -> list[dict]:
        instances = None if self.objects is None else self.objects[index]["instances"]
        if instances is None:
            raise ValueError(
                f"{self.name} was stored without the objects of its images (column instances); build it again with "
                "--with-instances, or read the official files"
            )
        return instances

    @cached_property
    def categories(self) -> list[str]:
        """The names in all rows of the split and, where there are any, in their `instances`, sorted."""
        found = set(self.whole["category"])
        if self.objects is not None:
            found |= _categories_of_instances(self.whole)
        return sorted(found - {""}) or super().categories

    def _select(self, numbers: Sequence[int]) -> "DatasetRows":
        rows = copy.copy(self)
        rows._use(self.table.select(numbers))
        rows.images = None if self.images is None else self.images.select(numbers)
        return rows


def check_columns(dataset, name: str, columns: Sequence[str], hint: str = "") -> None:
    """Raises ValueError naming the data set `name`, the columns that it lacks and those that it has; `hint` ends it."""
    missing = [column for column in columns if column not in dataset.column_names]
    if missing:
        raise ValueError(
            f"{name} has no columns {', '.join(missing)}; rows have all that hf_refseg.data.schema lists. Its columns "
            f"are {', '.join(sorted(dataset.column_names))}{hint}"
        )


def check_sentences(table, name: str) -> None:
    """Raises ValueError naming a row with a sentence that no model can answer. Looks for one in Arrow: of every row its
    sentences alone."""
    import pyarrow
    import pyarrow.compute as arrow

    nothing = pyarrow.array(["", "."])  # as `has_words` has it
    for batch in table.select_columns(["sentences"]).with_format("arrow").iter(10_000):
        try:
            texts = arrow.utf8_trim_whitespace(arrow.struct_field(arrow.list_flatten(batch["sentences"]), "sent"))
        except pyarrow.ArrowException as error:
            raise ValueError(f"{name}: its sentences are not those of hf_refseg.data.schema: {error}") from error
        if arrow.any(arrow.is_in(texts, value_set=nothing)).as_py():
            texts_of = (row["sentences"] for row in table.select_columns(["sentences"]))
            silent = (i for i, row in enumerate(texts_of) if not all(has_words(one["sent"]) for one in row))
            raise ValueError(f"{name}, row {next(silent)} has a sentence without words: filter such sentences out")


def _categories_of_instances(table) -> set[str]:
    """Read in Arrow: of every object its category alone, without its mask."""
    import pyarrow.compute

    found = set()
    for batch in table.select_columns("instances").with_format("arrow").iter(1_000):
        objects = pyarrow.compute.list_flatten(batch["instances"])
        found |= set(pyarrow.compute.unique(pyarrow.compute.struct_field(objects, "category")).to_pylist())
    return found
