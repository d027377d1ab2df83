"""Reader of folders in RefCOCO's layout: refs + instances.json + images.

    FOLDER/refs.json  or  FOLDER/refs(unc).p, FOLDER/refs(google).p ...   which annotation each sentence means
    FOLDER/instances.json                                                 COCO annotations: images, polygons, boxes
    FOLDER/images/                                                        the pictures instances.json names

The layout of the REFER API (Kazemzadeh et al. 2014; Yu et al. 2016), in which RefCOCO, RefCOCO+, RefCOCOg and RefCLEF
come.
"""

import json
import pickle
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from pycocotools import mask as coco_mask

from .schema import text_rle, union_masks

# Where the REFER API puts the pictures of a data set folder that has none of its own.
OFFICIAL_IMAGES = ("../images/mscoco/images/train2014", "../images/saiapr_tc-12")
REF_FIELDS = ("ref_id", "ann_id", "image_id", "split", "sentences")
SENTENCE_FIELDS = ("sent_id", "sent", "tokens")


def load_refer_folder(
    path: str | Path, split: str | None = None, images: str | Path | None = None, partition: str | None = None
) -> "ReferFolder":
    """Read a folder in RefCOCO's layout.

    Args:
        path: the folder.
        split: "train", "val", "testA" ...; "test" means every split whose name holds "test", and "testA" also refs
            marked "testAB", as in the REFER API. None: all refs.
        images: folder of the pictures; by default `path/images`, else where the REFER API keeps them.
        partition: "unc", "google", "umd", "berkeley": which refs(...) file; needed only where there are several.

    Raises:
        FileNotFoundError: the refs file, instances.json or the folder of pictures is missing.
        ValueError: several refs files and no partition; an unknown partition or split; a file that is not what its
            name says; a ref without sentences, its annotation or image; a polygon of fewer than 3 points.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder; give one with refs.json or refs(...).p and instances.json.")
    refs_file = _refs_file(path, partition)
    return ReferFolder(refs_file, path / "instances.json", _image_folder(path, images), split)


class ReferFolder:
    """Rows of the schema, one per ref, read from one refs file; the picture is opened when a row is asked for.

    Made by `load_refer_folder`. `splits` maps each split present in the file to its number of refs.
    """

    def __init__(self, refs_file: Path, instances_file: Path, image_folder: Path, split: str | None = None):
        self.refs_file, self.instances_file, self.image_folder = refs_file, instances_file, image_folder
        refs = _read_refs(refs_file)
        instances = _read_json(instances_file, dict)
        _require(instances, ("images", "annotations", "categories"), str(instances_file))
        self.images = {image["id"]: image for image in instances["images"]}
        self.annotations = {annotation["id"]: annotation for annotation in instances["annotations"]}
        self.categories = {category["id"]: category["name"] for category in instances["categories"]}
        for number, ref in enumerate(refs):
            _require(ref, REF_FIELDS, f"{refs_file}, ref number {number}")
        self.splits = dict(Counter(ref["split"] for ref in refs))
        self.refs = [ref for ref in refs if split is None or _in_split(ref["split"], split)]
        if not self.refs:
            raise ValueError(f"{refs_file} has no split {split!r}; it has {self.splits}.")
        for ref in self.refs:
            self._check(ref)
        partition = re.fullmatch(r"refs\((.*)\)", refs_file.stem)
        self.source = refs_file.parent.name + (f"/{partition[1]}" if partition else "")

    def _check(self, ref: dict) -> None:
        """Find out now, not an hour into a training, what would make this ref's row impossible."""
        where = f"{self.refs_file}, ref_id {ref['ref_id']}"
        if not ref["sentences"]:
            raise ValueError(f"{where} has no sentences: leave it out.")
        for sentence in ref["sentences"]:
            _require(sentence, SENTENCE_FIELDS, f"{where}, a sentence")
        annotation = self.annotations.get(ref["ann_id"])
        if annotation is None:
            raise ValueError(f"{where}: its annotation {ref['ann_id']} is not in {self.instances_file}.")
        if ref["image_id"] not in self.images:
            raise ValueError(f"{where}: its image {ref['image_id']} is not in {self.instances_file}.")
        if annotation["image_id"] != ref["image_id"]:
            raise ValueError(
                f"{where} is on image {ref['image_id']}, its annotation {ref['ann_id']} on {annotation['image_id']}."
            )
        if annotation["category_id"] not in self.categories:
            raise ValueError(
                f"{self.instances_file}, annotation {annotation['id']}: no category {annotation['category_id']}."
            )
        segmentation = annotation["segmentation"]
        if not segmentation:
            raise ValueError(f"{self.instances_file}, annotation {annotation['id']}: its segmentation is empty.")
        for part in segmentation if isinstance(segmentation, list) else ():
            if isinstance(part, list) and (len(part) < 6 or len(part) % 2):
                raise ValueError(
                    f"{self.instances_file}, annotation {annotation['id']}: a polygon of {len(part)} numbers; "
                    "3 points or more, x and y each, are needed."
                )

    def __len__(self) -> int:
        return len(self.refs)

    def __iter__(self) -> Iterator[dict]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> dict:
        """Row of a ref, its picture decoded to RGB.

        Raises:
            FileNotFoundError, ValueError: the picture is missing, can't be read, or has not the annotated size.
        """
        ref = self.refs[index]
        annotation, image = self.annotations[ref["ann_id"]], self.images[ref["image_id"]]
        height, width = image["height"], image["width"]
        x, y, box_width, box_height = annotation["bbox"]
        return {
            "image": self._open(image),
            "image_id": ref["image_id"],
            "file_name": image["file_name"],
            "height": height,
            "width": width,
            "ref_id": ref["ref_id"],
            "ann_ids": [ref["ann_id"]],
            "category": self.categories[annotation["category_id"]],
            "boxes": [[float(x), float(y), float(x + box_width), float(y + box_height)]],
            "mask": segmentation_rle(annotation["segmentation"], height, width),
            "sentences": [{key: s[key] for key in SENTENCE_FIELDS} for s in ref["sentences"]],
            "split": ref["split"],
            "source": self.source,
        }

    def _open(self, image: dict) -> Image.Image:
        # The ref's own file_name ends in "_<n>" in the official files; the picture's name is that of instances.json.
        file = self.image_folder / image["file_name"]
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; {self.instances_file} names it for image {image['id']}.")
        try:
            with Image.open(file) as opened:
                picture = opened.convert("RGB")
        except OSError as error:
            raise ValueError(f"{file} can't be read as a picture: {error}") from error
        if picture.size != (image["width"], image["height"]):
            raise ValueError(
                f"{file} is {picture.size}, {self.instances_file} says {(image['width'], image['height'])} (W, H)."
            )
        # Masks are drawn on the pixels as stored: a rotation tag must not be applied to one of the two later on.
        picture.info.pop("exif", None)
        return picture


def segmentation_rle(segmentation: list | dict, height: int, width: int) -> dict:
    """RLE (as in the schema) of a COCO segmentation: polygons, a list of RLEs (RefCLEF), or the one RLE of a crowd.

    Parts are united; the REFER API adds them up, which gives 2 where they overlap.
    """
    parts = segmentation if isinstance(segmentation, list) else [segmentation]
    if isinstance(parts[0], dict) and not isinstance(parts[0]["counts"], list):
        return union_masks([text_rle(part) for part in parts], height, width)
    return union_masks([text_rle(rle) for rle in coco_mask.frPyObjects(parts, height, width)], height, width)


def _in_split(ref_split: str, split: str) -> bool:
    if split == "test":
        return "test" in ref_split
    if re.fullmatch("test[A-Z]", split):
        return ref_split.startswith("test") and split[-1] in ref_split
    return ref_split == split


def _refs_file(path: Path, partition: str | None) -> Path:
    found = sorted(file for file in path.glob("refs*") if re.fullmatch(r"refs(\(.+\))?\.(json|p)", file.name))
    names = [file.name for file in found]
    if not found:
        raise FileNotFoundError(f"{path} has neither refs.json nor refs(PARTITION).p.")
    if partition is not None:
        found = [file for file in found if file.stem == f"refs({partition})"]
        if not found:
            raise ValueError(f"{path} has no refs({partition}).p or .json; it has {names}.")
    if len(found) > 1:
        raise ValueError(f"{path} has several refs files, {names}: say which with partition=, e.g. 'unc'.")
    return found[0]


def _image_folder(path: Path, images: str | Path | None) -> Path:
    tried = [Path(images)] if images is not None else [path / "images", *(path / place for place in OFFICIAL_IMAGES)]
    for folder in tried:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"No folder of pictures at {[str(folder) for folder in tried]}; give it with images=.")


def _read_refs(file: Path) -> list[dict]:
    if file.suffix == ".json":
        return _read_json(file, list)
    with open(file, "rb") as stream:
        try:
            refs = _PlainUnpickler(stream, encoding="latin1").load()
        # A file that is no pickle at all can end the unpickler in any of these ways.
        except (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
            raise ValueError(f"{file} is not a refs file of the REFER API: {error}") from error
    return _expect(refs, list, file)


def _read_json(file: Path, kind: type):
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from error
    return _expect(content, kind, file)


def _require(record: dict, fields: tuple[str, ...], where: str) -> None:
    missing = [field for field in fields if field not in record]
    if missing:
        raise ValueError(f"{where} lacks {missing}; it has {sorted(record)}.")


def _expect(content, kind: type, file: Path):
    if not isinstance(content, kind):
        raise ValueError(f"{file} holds a {type(content).__name__} at its top, expected a {kind.__name__}.")
    return content


class _PlainUnpickler(pickle.Unpickler):
    """Reads the official pickles (Python 2, protocol 2: lists, dicts, numbers, strings) and can run nothing."""

    def find_class(self, module: str, name: str):
        raise pickle.UnpicklingError(f"it asks for {module}.{name}; only lists, dicts, numbers and strings are read")
