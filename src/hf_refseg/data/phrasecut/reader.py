"""Reader of VGPhraseCut's official files.

    refer_{train,val,test,miniv}.json   tasks: a phrase, its structure, instance boxes and polygons
    image_data_split.json               size, split and COCO id of every image
    name_att_rel_count.json             categories, attributes and predicates by frequency
    skip.json                           phrases that annotators gave up on; they are in no split
    images/<image_id>.jpg               Visual Genome

`refer_val.json` lacks the 100 images of miniv. The published validation set is val + miniv.
"""

import json
from array import array
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from tqdm import tqdm

from ..damaged_records import DamagedRecords
from ..image_sources import ImageFolder, find_image_folder
from ..official_files import by_id, check_numbers, check_size, iterate_json_list, read_json, require, shown
from ..rows import Counts, FileRows
from ..schema import encode_mask, has_words, union_masks
from ..splits import find_split
from .polygons import count_points, polygons_to_mask

SPLITS = ("train", "val", "test", "miniv")
TASK_FIELDS = ("task_id", "image_id", "ann_ids", "phrase", "instance_boxes", "Polygons", "phrase_structure")
KINDS = {"task_id": str, "image_id": int, "ann_ids": list, "Polygons": list, "instance_boxes": list, "phrase": str}
STRUCTURE_KINDS = {"name": str, "attributes": list, "relation_ids": list, "relation_descriptions": list, "type": str}
IMAGE_FIELDS = ("image_id", "width", "height", "split")
IMAGE_FILES = ("image_data_split.json", "image_data_split3000.json")


def load_phrasecut(
    path: str | Path, split: str, images: str | Path | bool | None = None, skip_unreadable: bool = False
) -> "PhraseCutFolder":
    """Read one split of VGPhraseCut.

    Args:
        path: the folder of the official files (VGPhraseCut_v0).
        split: "train", "val" (without miniv), "test" or "miniv".
        images: folder of Visual Genome's pictures; by default `path/images`. False: rows without pictures.
        skip_unreadable: leave out tasks whose records are damaged, and count them in `notes`; otherwise the first is
            an error.

    Raises:
        FileNotFoundError: a file or the folder of pictures is missing.
        ValueError: an unknown split; a broken file; a task that lacks a field, is there twice, or has an image that is
            unknown or of another split.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder; give the one with refer_train.json.")
    split = find_split(split, SPLITS, "VGPhraseCut")
    pictures = None if images is False else find_image_folder(images, path, ["images"])
    return PhraseCutFolder(path, split, pictures, skip_unreadable)


class PhraseCutFolder(FileRows):
    """Rows of the schema, one per task, read one at a time from a file that may be larger than memory.

    The mask is the union of all polygons, drawn as in the original. `instance_masks` has each instance; the authors
    made instances from polygons by heuristics, so their number is noisy.
    """

    source = "phrasecut"
    splits = SPLITS

    def __init__(self, path: Path, split: str, pictures: ImageFolder | None = None, skip_unreadable: bool = False):
        super().__init__(pictures)
        self.path, self.split, self.skip_unreadable = path, split, skip_unreadable
        self.file = path / f"refer_{split}.json"
        # Read first: indexing the tasks may take a minute, and this finds faults at once.
        self.info = _read_image_info(path)
        self._index()

    def _index(self) -> None:
        """Passes over the file once: stores where each record is, and makes every check that needs no mask."""
        self.start, self.end, self._image_ids = array("q"), array("q"), array("q")
        task_ids: set[str] = set()
        faults, damaged = Counter(), DamagedRecords(self.skip_unreadable)
        bar = tqdm(unit="phrase", desc=f"index of {self.file.name}", leave=False, mininterval=1.0)
        for number, (start, end, task) in enumerate(iterate_json_list(self.file)):
            bar.update()
            with damaged.left_out():
                points = self._check(task, number, task_ids)
                task_ids.add(task["task_id"])
                if not has_words(task["phrase"]):
                    faults["phrases without a word, left out"] += 1
                    continue
                faults["polygons of one point, not drawn"] += sum(count < 2 for count in points)
                faults["polygons of two points, drawn as lines"] += points.count(2)
                self.start.append(start)
                self.end.append(end)
                self._image_ids.append(task["image_id"])
        bar.close()
        faults["tasks whose records are damaged, left out"] = damaged.count
        self.notes = {what: number for what, number in faults.items() if number}

    def _check(self, task: dict, number: int, seen: set[str]) -> list[int]:
        """How many points each polygon of a task has; raises ValueError for a damaged record."""
        require(task, TASK_FIELDS, f"{self.file}, record number {number}")
        where = f"{self.file}, task {task['task_id']}"
        check_kinds(task, KINDS, where)
        if task["task_id"] in seen:
            raise ValueError(f"{where} is there twice.")
        structure, of_structure = task["phrase_structure"], f"{where}, its phrase_structure"
        require(structure, tuple(STRUCTURE_KINDS), of_structure)
        check_kinds(structure, STRUCTURE_KINDS, of_structure)
        for word in structure["attributes"]:
            if not isinstance(word, str):
                raise ValueError(f"{where}: its attributes hold {shown(word)}, expected words.")
        for pair in structure["relation_descriptions"]:
            if not isinstance(pair, list) or [type(word) for word in pair] != [str, str]:
                raise ValueError(
                    f"{where}: its relation_descriptions hold {shown(pair)}, expected [predicate, object] in words."
                )
        for box in task["instance_boxes"]:
            check_numbers(box, 4, f"{where}, one of its instance_boxes")
        image = self.info.get(task["image_id"])
        if image is None:
            raise ValueError(f"{where}: its image {task['image_id']} is not in {IMAGE_FILES[0]}.")
        if image["split"] != self.split:
            raise ValueError(
                f"{where}: its image {task['image_id']} is of split {image['split']!r} in {IMAGE_FILES[0]}; the two "
                f"files are of different releases (train and test changed in April 2020), or {self.file.name} is of "
                "another split than its name says."
            )
        if len(task["Polygons"]) != len(task["instance_boxes"]):
            raise ValueError(
                f"{where} has {len(task['Polygons'])} lists of polygons for {len(task['instance_boxes'])} boxes."
            )
        return count_points(task["Polygons"], where)

    def of_split(self, split: str) -> "PhraseCutFolder":
        """The rows of another split, which has a file of its own."""
        split = find_split(split, SPLITS, "VGPhraseCut")
        return PhraseCutFolder(self.path, split, self.pictures, self.skip_unreadable)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def categories(self) -> list[str]:
        """Those of name_att_rel_count.json, the most frequent first."""
        return [name for name, _ in name_counts(self.path)["cat"]]

    def image_ids(self) -> Iterator[int]:
        return iter(self._image_ids)

    def task(self, index: int) -> dict:
        """The official record, read from the file."""
        with open(self.file, "rb") as stream:
            stream.seek(self.start[index])
            return json.loads(stream.read(self.end[index] - self.start[index]))

    def sentences_of(self, index: int) -> list[str]:
        return [self.task(index)["phrase"]]

    def counts(self) -> Counts:
        return Counts(len(set(self._image_ids)), len(self), len(self))

    @cached_property
    def _tasks_of_image(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for index, image_id in enumerate(self._image_ids):
            found.setdefault(image_id, []).append(index)
        return found

    def instances_of(self, index: int) -> list[dict]:
        """The objects that the phrases about the image refer to; others are not annotated.

        An object of several phrases is listed once, with the mask from the first and the attributes from all. Its
        `ann_id` is Visual Genome's, or None if a task does not have as many ids as instances.
        """
        by_id, nameless = {}, []
        for other in self._tasks_of_image[self._image_ids[index]]:
            row = self.row(other)
            known = len(row["ann_ids"]) == len(row["boxes"])
            ann_ids = row["ann_ids"] if known else [None] * len(row["boxes"])
            for ann_id, box, mask in zip(ann_ids, row["boxes"], row["instance_masks"], strict=True):
                attributes = row["phrase_structure"]["attributes"]
                if ann_id in by_id:
                    here = by_id[ann_id]["attributes"]
                    here += [attribute for attribute in attributes if attribute not in here]
                    continue
                thing = {"ann_id": ann_id, "category": row["category"], "attributes": list(attributes)}
                thing |= {"box": box, "mask": mask}
                if ann_id is None:
                    nameless.append(thing)
                else:
                    by_id[ann_id] = thing
        return [*by_id.values(), *nameless]

    def image_record(self, index: int) -> dict:
        image = self.info[self._image_ids[index]]
        return {
            "image_id": image["image_id"],
            "file_name": f"{image['image_id']}.jpg",
            "height": int(image["height"]),
            "width": int(image["width"]),
            # 0 means "not in COCO" too.
            "coco_id": image.get("coco_id") or None,
        }

    def row(self, index: int) -> dict:
        task, record = self.task(index), self.image_record(index)
        structure = task["phrase_structure"]
        height, width = record["height"], record["width"]
        masks = [encode_mask(polygons_to_mask(polygons, height, width)) for polygons in task["Polygons"]]
        polygons = [
            [[[float(x), float(y)] for x, y in polygon] for polygon in polygons] for polygons in task["Polygons"]
        ]
        sentence = {"sent_id": index, "sent": task["phrase"], "tokens": task["phrase"].split()}
        return {
            **record,
            "ref_id": index,
            "task_id": task["task_id"],
            "ann_ids": task["ann_ids"],
            "category": structure["name"],
            "boxes": [[float(x), float(y), float(x + w), float(y + h)] for x, y, w, h in task["instance_boxes"]],
            "mask": masks[0] if len(masks) == 1 else union_masks(masks, height, width),
            "instance_masks": masks,
            "polygons": polygons,
            "sentences": [sentence],
            "phrase_structure": {
                "name": structure["name"],
                "attributes": structure["attributes"],
                "relation_descriptions": [{"predicate": p, "object": o} for p, o in structure["relation_descriptions"]],
                "type": structure["type"],
            },
            "relation_ids": structure["relation_ids"],
            "split": self.split,
            "source": self.source,
        }


def check_kinds(record: dict, kinds: dict[str, type], where: str) -> None:
    """Raises ValueError that names `where` for a field of a record that is not of its kind."""
    for field, kind in kinds.items():
        if not isinstance(record[field], kind):
            raise ValueError(f"{where}: its {field} is {str(record[field])[:40]!r}, expected {kind.__name__}.")


def _read_image_info(path: Path) -> dict[int, dict]:
    file = next((path / name for name in IMAGE_FILES if (path / name).is_file()), path / IMAGE_FILES[0])
    images = by_id(read_json(file, list), f"{file}, images", "image_id")
    for image_id, image in images.items():
        require(image, IMAGE_FIELDS, f"{file}, image {image_id}")
        check_size(image["height"], image["width"], f"{file}, image {image_id}")
    return images


def name_counts(path: str | Path) -> dict[str, list[list]]:
    """name_att_rel_count.json: {"cat": [[name, count], ...], "att": ..., "rel": ...}, most frequent first.

    Raises:
        FileNotFoundError, ValueError: the file is missing, broken, or lacks one of the three lists.
    """
    file = Path(path) / "name_att_rel_count.json"
    content = read_json(file, dict)
    require(content, ("cat", "att", "rel"), str(file))
    return content


def read_skipped(path: str | Path) -> Iterator[dict]:
    """The records of skip.json, the phrases that annotators gave up on; the reason is always in `reason`.

    Raises:
        FileNotFoundError, ValueError: the file is missing or broken, or a record has no reason.
    """
    file = Path(path) / "skip.json"
    for _, _, record in iterate_json_list(file):
        # This field has two names: in the README, and in the authors' code.
        reason = record.pop("skip_reason", record.get("reason"))
        if reason is None:
            raise ValueError(f"{file}, task {record.get('task_id')}: neither reason nor skip_reason is given.")
        yield record | {"reason": reason}
