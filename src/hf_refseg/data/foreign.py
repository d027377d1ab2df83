"""Copies of RefCOCO on the Hub that have columns of their own, read as rows of the schema.

lmms-lab/RefCOCO, RefCOCOplus, RefCOCOg:  one polygon per row, the expressions as `answer`, pictures inside; made to ask
                                          language models. Its val and test hold rows of two partitions.
jxu124/refcoco, refcocoplus, refcocog:    one ref per row, records of the official files as JSON texts, no pictures.
"""

import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from ..processing.images import load_image
from .coco_instances import check_segmentation, flat_polygons, segmentation_rle
from .image_sources import ImageFolder
from .official_files import as_id, check_numbers, shown
from .rows import ReferringRows
from .schema import REQUIRED_FIELDS, has_words
from .stored import DatasetRows, check_columns

LMMS_LAB = ("image", "answer", "bbox", "segmentation")
JXU124 = ("ref_id", "ann_id", "sentences", "raw_anns", "raw_image_info")
COCO_NUMBER = re.compile(r"(?:COCO_(?:train|val)2014_)?(\d{1,18})")
OTHER_LAYOUTS = (
    f", neither those of lmms-lab's copies of RefCOCO ({', '.join(LMMS_LAB)}) nor those of jxu124's "
    f"({', '.join(JXU124)}). Rename them, or read the official files"
)
ID_STRIDE = 1000  # sentence ids of row i start at i * ID_STRIDE


def open_table(table, where: str, split: str, images: str | Path | bool | None = None) -> ReferringRows:
    """
    The rows of a table of `datasets`, whether it has the columns of the schema or those of a well-known copy.

    Args:
        table: map-style.
        where: what to call the data set in errors.
        split: the name that rows of a copy get.
        images: folder of the pictures, if they are not in the table; False: rows without pictures.

    Raises:
        FileNotFoundError: there are no pictures.
        ValueError: it has the columns of neither; the message says what lacks. It holds pictures, and `images` names
            others.
    """
    columns = set(table.column_names)
    if "image" in columns and images not in (None, False):
        raise ValueError(f"{where} holds its own pictures: images={images!r} would not be read; leave it out.")
    pictures = ImageFolder(images) if images else None
    needed = REQUIRED_FIELDS if images is not None else ("image", *REQUIRED_FIELDS)
    fitting = [rows for rows, own in ((LmmsLabRows, LMMS_LAB), (Jxu124Rows, JXU124)) if columns >= set(own)]
    if fitting and not columns >= set(REQUIRED_FIELDS):
        rows = fitting[0](table, where, split, pictures)
    else:
        check_columns(table, where, needed, OTHER_LAYOUTS)
        rows = DatasetRows(table, pictures, where)
    if images is None and not rows.with_pictures:
        raise FileNotFoundError(f"{where} holds no pictures: give their folder with images=, or images=False")
    return rows.without_pictures() if images is False else rows


class ForeignRows(ReferringRows):
    """Rows of a table with other columns than the schema's, each made when it is asked for.

    Args:
        table: of `datasets`, map-style.
        where: what to call it in errors.
        split: the field `split` of the rows.
        pictures: where the pictures are, if they are not in the table.
    """

    def __init__(self, table, where: str, split: str, pictures: ImageFolder | None = None):
        self.table, self.where, self.split, self.pictures = table, where, split, pictures
        self.source = where
        self.with_pictures = self.pictures_are_files = pictures is not None

    def __len__(self) -> int:
        return len(self.table)

    def _error(self, index: int, what: object) -> ValueError:
        return ValueError(f"{self.where}, row {index} of {self.split}: {what}")

    def picture(self, index: int) -> Image.Image:
        return self.pictures.open(self.image_record(index))

    def check_picture(self, index: int) -> None:
        self.pictures.check(self.image_record(index))


class LmmsLabRows(ForeignRows):
    """Rows of lmms-lab's copies: a picture, one polygon, a box [x, y, width, height], and expressions."""

    def __init__(self, table, where: str, split: str, pictures: ImageFolder | None = None):
        from datasets import Image as ImageFeature

        super().__init__(table, where, split, pictures)
        self.with_pictures = True
        self.files = table.select_columns("image").cast_column("image", ImageFeature(decode=False))
        self.words = table.remove_columns("image")

    def _stored_picture(self, index: int) -> Image.Image:
        return load_image(self.files[index]["image"], f"{self.where}, row {index}", upright=False)

    def _size(self, index: int) -> tuple[int, int]:
        """(width, height), of which the table has no column: from the beginning of the file."""
        content = self.files[index]["image"]["bytes"]
        try:
            return Image.open(io.BytesIO(content)).size
        except Exception:  # a damaged file, or one by its path: `load_image` says what is wrong
            return self._stored_picture(index).size

    def picture(self, index: int) -> Image.Image:
        return self._stored_picture(index)

    def image_record(self, index: int) -> dict:
        name = str(self.words[index].get("file_name") or f"{index}.jpg")
        number = COCO_NUMBER.match(name)
        width, height = self._size(index)
        return {"image_id": int(number[1]) if number else index, "file_name": name, "height": height, "width": width}

    def image_ids(self) -> Iterator[int]:
        names = self.words["file_name"] if "file_name" in self.words.column_names else [""] * len(self)
        found = (COCO_NUMBER.match(str(name)) for name in names)
        return (int(number[1]) if number else index for index, number in enumerate(found))

    def sentences_of(self, index: int) -> list[str]:
        answer = self.words[index]["answer"]
        texts = [answer] if isinstance(answer, str) else answer
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise self._error(index, f"its answer is {shown(answer)}, expected a text or a list of texts")
        return [text for text in texts if has_words(text)]

    def row(self, index: int) -> dict:
        content, record = self.words[index], self.image_record(index)
        try:
            check_numbers(content["bbox"], 4, "its bbox")
            x, y, width, height = content["bbox"]
            polygons = content["segmentation"]
            polygons = [polygons] if polygons and not isinstance(polygons[0], list) else polygons
            mask = _mask(polygons, record)
        except (ValueError, TypeError, IndexError) as error:
            raise self._error(index, error) from error
        return {
            **record,
            "ref_id": index,
            "ann_ids": [index],
            "category": "",
            "boxes": [[x, y, x + width, y + height]],
            "mask": mask,
            "sentences": _sentences(self.sentences_of(index), index),
            "split": self.split,
            "source": self.source,
        }


class Jxu124Rows(ForeignRows):
    """Rows of jxu124's copies: the records of the official files, annotation and image as JSON texts."""

    def _record(self, index: int, column: str) -> dict:
        try:
            content = json.loads(self.table[index][column])
        except (ValueError, TypeError, RecursionError) as error:
            raise self._error(index, f"its {column} is no JSON ({error})") from error
        if not isinstance(content, dict):
            raise self._error(index, f"its {column} is a {type(content).__name__}, expected an object")
        return content

    def image_record(self, index: int) -> dict:
        image = self._record(index, "raw_image_info")
        try:
            return {
                "image_id": int(as_id(image["id"])),
                "file_name": str(image["file_name"]),
                "height": int(image["height"]),
                "width": int(image["width"]),
            }
        except (KeyError, ValueError, TypeError) as error:
            raise self._error(index, f"its raw_image_info lacks {error}") from error

    def sentences_of(self, index: int) -> list[str]:
        return [sentence["sent"] for sentence in self._worded(self.table[index]["sentences"], index)]

    def _worded(self, sentences: list[dict], index: int) -> list[dict]:
        if not all(isinstance(sentence["sent"], str) for sentence in sentences):
            raise self._error(index, f"its sentences are {shown(sentences)}, expected texts")
        return [sentence for sentence in sentences if has_words(sentence["sent"])]

    def row(self, index: int) -> dict:
        content, record, annotation = self.table[index], self.image_record(index), self._record(index, "raw_anns")
        try:
            x, y, width, height = annotation["bbox"]
            mask = _mask(annotation["segmentation"], record)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise self._error(index, f"its raw_anns: {error!r}") from error
        return {
            **record,
            "ref_id": int(content["ref_id"]),
            "ann_ids": [int(content["ann_id"])],
            "category": "",
            "boxes": [[float(x), float(y), float(x + width), float(y + height)]],
            "mask": mask,
            "sentences": [
                {"sent_id": int(one["sent_id"]), "sent": one["sent"], "tokens": list(one["tokens"])}
                for one in self._worded(content["sentences"], index)
            ],
            "split": self.split,
            "source": self.source,
        }


def _mask(segmentation, record: dict) -> dict:
    segmentation = flat_polygons(segmentation)
    check_segmentation(segmentation, record["height"], record["width"], "its segmentation")
    return segmentation_rle(segmentation, record["height"], record["width"])


def _sentences(texts: Sequence[str], index: int) -> list[dict]:
    return [
        {"sent_id": index * ID_STRIDE + number, "sent": text, "tokens": text.split()}
        for number, text in enumerate(texts)
    ]
