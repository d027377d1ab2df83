"""Pictures, masks and sentences of a user's own, without any of the official layouts: a folder, or lists in memory.

    FOLDER/metadata.jsonl    {"file_name": "photos/1.jpg", "mask": "masks/1.png", "text": "the dog on the left"}
    FOLDER/photos/1.jpg
    FOLDER/masks/1.png       0 is the background, one other value what the text refers to

One line per referent, as `datasets`' imagefolder has it; `text` may be a list of sentences that refer to the same
thing, and `split` (default "train") says what the line is for. Paths are relative to the folder.
"""

import copy
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..mask_values import foreground
from ..processing.images import image_size, load_image
from .damaged_records import DamagedRecords
from .image_sources import ImageFolder
from .official_files import read_text, require, shown
from .rows import FileRows, HeldRows
from .schema import box_from_mask, encode_mask, has_words
from .splits import find_split

METADATA = "metadata.jsonl"
FIELDS = ("file_name", "mask", "text")
ID_STRIDE = 1000  # sentence ids of row i start at i * ID_STRIDE


def load_triples(folder: str | Path, split: str | None = None, skip_unreadable: bool = False) -> "TripleFolder":
    """Rows of a folder with `metadata.jsonl`; see the top of this file.

    Args:
        folder: the folder.
        split: "train" ...; None: all lines.
        skip_unreadable: leave out lines that are damaged, or whose files are missing, and count them in `notes`;
            otherwise the first is an error.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line that is not of this form, naming it; an unknown split.
    """
    return TripleFolder(Path(folder), split, skip_unreadable)


def rows_from_triples(triples: Iterable[tuple], split: str = "train", source: str = "triples") -> HeldRows:
    """Rows of the schema made of `(image, mask, sentence)`, kept in memory.

    Args:
        triples: the image is anything that `load_image` reads; the mask (H, W) at its size, bool or 0 and one other
            value; a sentence, or a list of those that refer to the same thing.
        split, source: fields of the rows.

    Raises:
        ValueError: a picture or mask that can't be read, or that do not fit; a sentence without words; nothing.
    """
    rows, numbers = [], {}
    for number, (image, mask, text) in enumerate(triples):
        picture = load_image(image, f"the image of triple {number}")
        mask = foreground(mask, f"the mask of triple {number}")
        if mask.shape[::-1] != picture.size:
            raise ValueError(
                f"the mask of triple {number} is {mask.shape[::-1]}, its image {picture.size} (width, height)"
            )
        sentences = [text] if isinstance(text, str) else list(text)
        if not sentences or not all(isinstance(sentence, str) and has_words(sentence) for sentence in sentences):
            raise ValueError(f"triple {number}: its sentence is {shown(text)}; give a text, or a list of them")
        image_id = numbers.setdefault(id(image), len(numbers))
        record = {"image_id": image_id, "file_name": f"{image_id}.png"}
        rows.append({"image": picture, **make_row(number, record, mask, sentences, split, source)})
    return HeldRows(rows)


def make_row(number: int, record: dict, mask: np.ndarray, sentences: Sequence[str], split: str, source: str) -> dict:
    """A row of the schema of one referent, whose box is that of its mask (H, W)."""
    height, width = mask.shape
    box = box_from_mask(mask)
    return {
        **record,
        "height": height,
        "width": width,
        "ref_id": number,
        "ann_ids": [number],
        "category": "",
        "boxes": [] if box is None else [box],
        "mask": encode_mask(mask),
        "sentences": [
            {"sent_id": number * ID_STRIDE + place, "sent": sentence, "tokens": sentence.split()}
            for place, sentence in enumerate(sentences)
        ],
        "split": split,
        "source": source,
    }


class TripleFolder(FileRows):
    """The lines of a `metadata.jsonl`. A mask is read when its row is asked for; what is not there is told at once."""

    listing = METADATA  # what lists the masks

    def __init__(self, folder: Path, split: str | None = None, skip_unreadable: bool = False):
        super().__init__(ImageFolder(folder))
        self.folder, self.file, self.source = folder, folder / self.listing, folder.name
        self._lines, self._damaged = [], DamagedRecords(skip_unreadable)
        for number, line in enumerate(self._read(), 1):
            with self._damaged.left_out():
                if line.strip():
                    self._lines.append(self._checked(number, line))
        self.splits = dict(Counter(line["split"] for line in self._lines))
        names = dict.fromkeys(line["file_name"] for line in self._lines)
        self._image_id = {name: number for number, name in enumerate(names)}
        self._choose(split)

    def _read(self) -> list[str]:
        if not self.file.is_file():
            raise FileNotFoundError(f"{self.file} is missing; it has one line per mask, {{{', '.join(FIELDS)}}}")
        return read_text(self.file).split("\n")  # splitlines() would part texts at U+2028

    def _checked(self, number: int, line: str) -> dict:
        where = f"{self.file}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where} is not JSON: {error}") from error
        require(record, FIELDS, where)
        text, split = record["text"], record.get("split", "train")
        sentences = [text] if isinstance(text, str) else text
        if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
            raise ValueError(f"{where}: its text is {shown(text)}, expected a sentence or a list of sentences")
        for name, value in (("file_name", record["file_name"]), ("mask", record["mask"]), ("split", split)):
            if not isinstance(value, str):
                raise ValueError(f"{where}: its {name} is {shown(value)}, expected a text")
        paths = {name: record[name].replace("\\", "/") for name in ("file_name", "mask")}  # as Windows writes them
        for path in paths.values():
            if not Path(os.path.normpath(self.folder / path)).is_relative_to(os.path.normpath(self.folder)):
                raise ValueError(f"{where}: {path} lies outside of {self.folder}; paths are relative to the folder")
            if not os.path.isfile(self.folder / path):  # as `ImageFolder` looks for it
                raise FileNotFoundError(f"{where}: there is no file {self.folder / path}")
        return {"number": number, "split": split, "sentences": sentences, **paths}

    def of_split(self, split: str | None) -> "TripleFolder":
        rows = copy.copy(self)
        rows._choose(split)
        return rows

    def _choose(self, split: str | None) -> None:
        self.split = None if split is None else find_split(split, self.splits, str(self.file))
        listed = [line for line in self._lines if self.split in (None, line["split"])]
        worded = [line | {"sentences": [text for text in line["sentences"] if has_words(text)]} for line in listed]
        self.lines = [line for line in worded if line["sentences"]]
        oddities = {
            "sentences without a word, left out": sum(len(line["sentences"]) for line in listed)
            - sum(len(line["sentences"]) for line in worded),
            "masks without a sentence, left out": len(listed) - len(self.lines),
            "lines of all splits that are damaged, left out": self._damaged.count,
        }
        self.notes = {what: number for what, number in oddities.items() if number}
        if not self.lines:
            raise ValueError(f"{self.file}: no line of {self.split or 'any split'} has a text with words")

    def __len__(self) -> int:
        return len(self.lines)

    def image_ids(self) -> Iterator[int]:
        return (self._image_id[line["file_name"]] for line in self.lines)

    def sentences_of(self, index: int) -> list[str]:
        return self.lines[index]["sentences"]

    def image_record(self, index: int) -> dict:
        height, width = self._mask(index).shape
        return {**self._name(index), "height": height, "width": width}

    def check_picture(self, index: int) -> None:
        mask = self.folder / self.lines[index]["mask"]
        width, height = image_size(mask, upright=False)
        self.pictures.check({**self._name(index), "height": height, "width": width})

    def file_name_of(self, index: int) -> str:
        return self.lines[index]["file_name"]  # without reading the mask, which has the size

    def _name(self, index: int) -> dict:
        name = self.lines[index]["file_name"]
        return {"image_id": self._image_id[name], "file_name": name}

    def _mask(self, index: int) -> np.ndarray:
        file = self.folder / self.lines[index]["mask"]
        try:
            with Image.open(file) as picture:
                values = np.asarray(picture)
        except Exception as error:  # as of pictures: Pillow's formats raise whatever a damaged file makes them hit
            raise ValueError(f"{file} can't be read as a mask: {error}") from error
        return foreground(values, str(file))

    def row(self, index: int) -> dict:
        line = self.lines[index]
        record = self._name(index)
        return make_row(line["number"], record, self._mask(index), line["sentences"], line["split"], self.source)
