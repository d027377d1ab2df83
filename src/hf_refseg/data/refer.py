"""Reader of folders in RefCOCO's layout: refs + instances.json + images.

    FOLDER/refs.json  or  FOLDER/refs(unc).p, FOLDER/refs(google).p ...   the annotation each sentence refers to
    FOLDER/instances.json                                                 COCO annotations: images, polygons, boxes
    FOLDER/images/                                                        the pictures named in instances.json

This is the layout of the REFER API (Kazemzadeh et al. 2014; Yu et al. 2016) for RefCOCO, RefCOCO+, RefCOCOg and
RefCLEF. gRefCOCO's `grefs(unc).json` has several annotations, or none, per ref: see `hf_refseg.data.grefcoco`.
"""

import copy
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .coco_instances import CocoInstances, segmentation_rle
from .damaged_records import DamagedRecords
from .image_sources import ImageFolder, find_image_folder
from .official_files import as_id, by_id, read_json, read_pickled_list, require, shown
from .rows import Counts, FileRows
from .schema import has_words
from .splits import spellings

__all__ = ["OFFICIAL_IMAGES", "ReferFolder", "load_refer_folder", "segmentation_rle"]

# Where the REFER API keeps the pictures of a data set folder without pictures of its own.
OFFICIAL_IMAGES = ("images", "../images/mscoco/images/train2014", "../images/saiapr_tc-12")
REF_FIELDS = ("ref_id", "ann_id", "image_id", "split", "sentences")
SENTENCE_FIELDS = ("sent_id", "sent", "tokens")


def load_refer_folder(
    path: str | Path,
    split: str | None = None,
    images: str | Path | bool | None = None,
    partition: str | None = None,
    skip_unreadable: bool = False,
) -> "ReferFolder":
    """Read a folder in RefCOCO's layout.

    Args:
        path: the folder.
        split: "train", "val", "testA" ... As in the REFER API, "test" is every split with "test" in its name, and
            "testA" includes refs marked "testAB". None: all refs.
        images: folder of the pictures; by default `path/images`, or else where the REFER API keeps them. False: rows
            without pictures.
        partition: "unc", "google", "umd", "berkeley": which refs(...) file; needed only if there are several.
        skip_unreadable: leave out refs whose records are damaged, and count them in `notes`; otherwise the first is an
            error.

    Raises:
        FileNotFoundError: the refs file, instances.json or the folder of pictures is missing.
        ValueError: several refs files and no partition; an unknown partition or split; a file with other content than
            its name says; the same id twice; a ref without sentences, annotation or image; a polygon of fewer than 3
            points; a mask that does not have its image's size.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder; give one with refs.json or refs(...).p and instances.json.")
    refs_file = find_refs_file(path, "refs", partition)
    pictures = None if images is False else find_image_folder(images, path, OFFICIAL_IMAGES)
    return ReferFolder(refs_file, path / "instances.json", pictures, split, skip_unreadable)


class ReferFolder(FileRows):
    """Rows of the schema, one per ref of a refs file; the picture is opened when a row is asked for.

    Made by `load_refer_folder`. `splits` maps each split in the file to its number of refs; `refs`, `images` and
    `annotations` are the records of the files. As in the REFER API, a ref whose polygons cover no
    pixel has an empty mask.
    """

    def __init__(
        self,
        refs_file: Path,
        instances_file: Path,
        pictures: ImageFolder | None = None,
        split: str | None = None,
        skip_unreadable: bool = False,
    ):
        super().__init__(pictures)
        self.refs_file = self.file = refs_file
        listed = _read_refs(refs_file)
        self.coco = CocoInstances(instances_file)
        refs, self._damaged = [], DamagedRecords(skip_unreadable)
        for number, ref in enumerate(listed):
            with self._damaged.left_out():
                require(ref, REF_FIELDS, f"{refs_file}, ref number {number}")
                if not isinstance(ref["ref_id"], (int, float, str)):
                    raise ValueError(f"{refs_file}, ref number {number}: its ref_id is {shown(ref['ref_id'])}.")
                self._check(ref)
                refs.append(ref)
        by_id(refs, f"{refs_file}, refs", "ref_id")
        self.splits = dict(Counter(ref["split"] for ref in refs))
        partition = re.fullmatch(r"g?refs\((.*)\)", refs_file.stem)
        self.source = refs_file.parent.name + (f"/{partition[1]}" if partition else "")
        self._all_refs = refs
        self._choose(split)

    def of_split(self, split: str | None) -> "ReferFolder":
        rows = copy.copy(self)
        rows._choose(split)
        return rows

    def _choose(self, split: str | None) -> None:
        for name in [None] if split is None else spellings(split):
            refs = [ref for ref in self._all_refs if name is None or _in_split(ref["split"], name)]
            if refs:
                self.split, self._listed_refs = name, refs
                self.refs = [ref for ref in refs if worded(ref["sentences"])]
                if not self.refs:
                    raise ValueError(f"{self.refs_file}: no ref of {name or 'any split'} has a sentence with words.")
                self.notes = self._note()
                return
        raise ValueError(f"{self.refs_file} has no split {split!r}; it has {self.splits}.")

    def _note(self) -> dict[str, int]:
        """What is odd in the split, and what its rows leave out of it."""
        sentences = [sentence for ref in self._listed_refs for sentence in ref["sentences"]]
        oddities = {
            # The REFER API keeps the last sentence of an id in its table; rows keep every sentence.
            "sentences whose sent_id was used before": len(sentences) - len({s["sent_id"] for s in sentences}),
            "sentences without a word, left out": len(sentences) - len(worded(sentences)),
            # gRefCOCO's official file has such refs, which its authors' API passes over.
            "refs without a sentence, left out": len(self._listed_refs) - len(self.refs),
            "refs of all splits whose records are damaged, left out": self._damaged.count,
        }
        return {what: number for what, number in oddities.items() if number}

    def counts(self) -> Counts:
        """Of the official file, with what the rows leave out."""
        images = {ref["image_id"] for ref in self._listed_refs}
        return Counts(len(images), len(self._listed_refs), sum(len(ref["sentences"]) for ref in self._listed_refs))

    @property
    def images(self) -> dict[int, dict]:
        return self.coco.images

    @property
    def annotations(self) -> dict[int, dict]:
        return self.coco.annotations

    @property
    def categories(self) -> list[str]:
        """In the order of their ids."""
        return self.coco.category_names()

    def _check(self, ref: dict) -> None:
        where = f"{self.refs_file}, ref_id {ref['ref_id']}"
        ref["image_id"] = self.coco.image_number(ref["image_id"])
        if not isinstance(ref["split"], str) or not isinstance(ref["image_id"], int):
            raise ValueError(
                f"{where}: its split is {shown(ref['split'])}, its image_id {shown(ref['image_id'])}, expected a "
                "name and an image of instances.json."
            )
        if not isinstance(ref["sentences"], list):
            raise ValueError(f"{where}: its sentences are {shown(ref['sentences'])}, expected a list.")
        for sentence in ref["sentences"]:
            require(sentence, SENTENCE_FIELDS, f"{where}, a sentence")
            sentence["sent_id"] = as_id(sentence["sent_id"])
            tokens = sentence["tokens"]
            texts = isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)
            if not texts or not isinstance(sentence["sent"], str) or not isinstance(sentence["sent_id"], int):
                raise ValueError(
                    f"{where}, sent_id {shown(sentence['sent_id'])}: sent is {shown(sentence['sent'])}, tokens "
                    f"are {shown(tokens)}; expected a number, the expression and the list of its words."
                )
        self.coco.check_image(ref["image_id"], where)
        ann_ids = ref["ann_id"]
        ref["ann_id"] = [as_id(ann_id) for ann_id in ann_ids] if isinstance(ann_ids, list) else as_id(ann_ids)
        for ann_id in self.ann_ids(ref):
            if not isinstance(ann_id, int):
                raise ValueError(f"{where}: its annotation is {shown(ann_id)}, expected a number.")
            self.coco.check_annotation(ann_id, ref["image_id"], where)

    def ann_ids(self, ref: dict) -> list[int]:
        """The annotations a ref refers to; in RefCOCO it is one."""
        if isinstance(ref["ann_id"], list):
            raise ValueError(
                f"{self.refs_file}, ref_id {ref['ref_id']}: ann_id is the list {ref['ann_id']}, as in gRefCOCO, whose "
                "file is named grefs(unc).json."
            )
        return [ref["ann_id"]]

    def __len__(self) -> int:
        return len(self.refs)

    def image_ids(self) -> Iterator[int]:
        return (ref["image_id"] for ref in self.refs)

    def sentences_of(self, index: int) -> list[str]:
        return [sentence["sent"] for sentence in worded(self.refs[index]["sentences"])]

    def image_record(self, index: int) -> dict:
        # In the official files a ref's own file_name ends in "_<n>"; only instances.json has the picture's name.
        return self.coco.image_record(self.refs[index]["image_id"])

    def instances_of(self, index: int) -> list[dict]:
        return self.coco.instances_of(self.refs[index]["image_id"])

    def row(self, index: int) -> dict:
        ref, record = self.refs[index], self.image_record(index)
        ann_ids = self.ann_ids(ref)
        return {
            **record,
            "ref_id": ref["ref_id"],
            "ann_ids": ann_ids,
            "category": self.coco.category(ann_ids[0]),
            "boxes": [self.coco.box(ann_ids[0])],
            "mask": self.coco.mask(ann_ids[0]),
            "sentences": [{key: s[key] for key in SENTENCE_FIELDS} for s in worded(ref["sentences"])],
            "split": ref["split"],
            "source": self.source,
        }


def worded(sentences: list[dict]) -> list[dict]:
    return [sentence for sentence in sentences if has_words(sentence["sent"])]


def _in_split(ref_split: str, split: str) -> bool:
    if split == "test":
        return "test" in ref_split
    if re.fullmatch("test[A-Z]", split):
        return ref_split.startswith("test") and split[-1] in ref_split
    return ref_split == split


def find_refs_file(path: Path, stem: str, partition: str | None) -> Path:
    """`stem(partition).p` or `.json` of a folder, `stem` being "refs" or "grefs".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is none of that partition, or there are several and no partition was given.
    """
    pattern = re.escape(stem) + r"(\(.+\))?\.(json|p)"
    found = sorted(file for file in path.glob(f"{stem}*") if re.fullmatch(pattern, file.name))
    names = [file.name for file in found]
    if not found:
        raise FileNotFoundError(f"{path} has neither {stem}.json nor {stem}(PARTITION).p.")
    if partition is not None:
        found = [file for file in found if file.stem == f"{stem}({partition})"]
        if not found:
            raise ValueError(f"{path} has no {stem}({partition}).p or .json; it has {names}.")
    if len(found) > 1:
        raise ValueError(f"{path} has several refs files, {names}: say which with partition=, e.g. 'unc'.")
    return found[0]


def _read_refs(file: Path) -> list[dict]:
    return read_json(file, list) if file.suffix == ".json" else read_pickled_list(file)
