"""
COCO JSON as annotation tools export it, with or without expressions.

    CVAT            annotations/instances_default.json (or _Train, _Validation), images/default/
    Label Studio    result.json, images/
    Roboflow        train/_annotations.coco.json beside its photos, valid/, test/

An annotation's expressions are a text of its own (`expression`, `caption`, ... or a CVAT attribute of such a name), of
which ";" and new lines part several. Where it has none, its label is the expression: "the mug" where there is one in
the photo, "the mug on the left" where there are several and its place says which.
"""

from collections.abc import Iterator
from pathlib import Path

from .coco_instances import CocoInstances
from .image_sources import ImageFolder
from .official_files import as_id, check_numbers, read_json, require, shown
from .rows import FileRows, ReferringRows
from .schema import has_words
from .splits import SYNONYMS

TEXT_FIELDS = (
    *("expression", "expressions", "caption", "description", "phrase", "referring_expression", "sentence", "text"),
)
CLEARLY_APART = 0.1  # of the photo's width, between the centers of two things that left and right tell apart
ID_STRIDE = 1000  # sentence ids of annotation number i start at i * ID_STRIDE


def find_exports(folder: Path) -> dict[str, Path]:
    """
    The COCO files of an export by split; empty where there are none.

    Raises:
        ValueError: two files of one split.
    """
    found: dict[str, Path] = {}
    for path in sorted([*folder.glob("*.json"), *folder.glob("*/*.json")]):
        if is_coco(path):
            split = split_of(path, folder)
            if split in found:
                raise ValueError(f"{found[split]} and {path} both hold the split {split}; keep one of them in {folder}")
            found[split] = path
    return found


def is_coco(path: Path) -> bool:
    """Whether a file is JSON with COCO's three lists."""
    try:
        return {"images", "annotations", "categories"} <= read_json(path, dict).keys()
    except (ValueError, OSError):
        return False


def split_of(path: Path, folder: Path) -> str:
    """The split of an export by the name of its file (CVAT) or folder (Roboflow); "train" where neither is one."""
    words = {path.stem.lower().removeprefix("instances_"), "" if path.parent == folder else path.parent.name.lower()}
    return next((names[0] for names in SYNONYMS if words & set(names)), "train")


def open_exports(folder: Path, exports: dict[str, Path]) -> dict[str, ReferringRows]:
    """The rows of each split; raises as [`CocoPhrases`]."""
    return {split: CocoPhrases(path, folder, split) for split, path in exports.items()}


class CocoPhrases(FileRows):
    """
    Rows of the schema, one per outlined object that an expression can refer to.

    Args:
        file: the JSON.
        folder: the export.
        split: the name of its split.

    `notes` counts what is left out: boxes without an outline, and objects that no place tells from others of their
    label.

    Raises:
        FileNotFoundError: the photos are not there.
        ValueError: the file is damaged, or nothing is left.
    """

    def __init__(self, file: Path, folder: Path, split: str):
        self.file, self.split, self.source, self.splits = file, split, folder.name, (split,)
        self.coco = CocoInstances(file)
        self._sentences: dict[int, list[str]] = {}
        boxes = unclear = 0
        for image_id, ann_ids in self.coco.annotations_of_image.items():
            self.coco.check_image(image_id, str(file))
            outlined = [ann_id for ann_id in ann_ids if self.coco.annotations[ann_id].get("segmentation")]
            boxes += len(ann_ids) - len(outlined)
            for ann_id in ann_ids:
                self._check(ann_id, image_id, ann_id in outlined)
            for ann_id in outlined:
                sentences = self._own_sentences(ann_id) or self._sentences_by_place(ann_id, ann_ids)
                unclear += not sentences
                if sentences:
                    self._sentences[ann_id] = sentences
        self.notes = {"boxes without an outline, left out": boxes, "objects that look like others, left out": unclear}
        self._ann_ids = list(self._sentences)
        if not self._ann_ids:
            raise ValueError(
                f"{file} has no outlined object with an expression ({boxes} boxes without an outline, {unclear} "
                "objects that look like others by their label): draw polygons or masks, not boxes, and give objects a "
                "text"
            )
        super().__init__(self._find_pictures(folder))

    def _check(self, ann_id: int, image_id: int, has_outline: bool) -> None:
        """Raises ValueError for a damaged annotation; of one without an outline label and box are read."""
        if has_outline:
            self.coco.check_annotation(ann_id, image_id, str(self.file))
            return
        annotation, where = self.coco.annotations[ann_id], f"{self.file}, annotation {ann_id}"
        require(annotation, ("category_id", "bbox"), where)
        annotation["category_id"] = as_id(annotation["category_id"])
        if annotation["category_id"] not in self.coco.categories:
            raise ValueError(f"{where}: no category {shown(annotation['category_id'])}")
        check_numbers(annotation["bbox"], 4, f"{where}, its bbox")

    def _own_sentences(self, ann_id: int) -> list[str]:
        """The texts that the annotator wrote."""
        annotation = self.coco.annotations[ann_id]
        attributes = annotation.get("attributes")
        fields = {**(attributes if isinstance(attributes, dict) else {}), **annotation}
        texts = []
        for name, value in fields.items():
            if name.lower() in TEXT_FIELDS:
                for text in value if isinstance(value, list) else [value]:
                    if not isinstance(text, str):
                        raise ValueError(f"{self.file}, annotation {ann_id}: its {name} is {shown(text)}, no text")
                    texts += text.replace("\n", ";").split(";")
        return [text.strip() for text in texts if has_words(text)]

    def _sentences_by_place(self, ann_id: int, ann_ids: list[int]) -> list[str]:
        """An expression made of the label, which is true of this object alone; none where there is none."""
        name = self.coco.category(ann_id).replace("_", " ").replace("-", " ").strip().lower()
        same = [other for other in ann_ids if self.coco.category(other) == self.coco.category(ann_id)]
        rivals = [other for other in same if other != ann_id]
        if not has_words(name):
            return []
        if not rivals:
            return [f"the {name}"]
        margin = CLEARLY_APART * self.coco.images[self.coco.annotations[ann_id]["image_id"]]["width"]
        center, centers = self._center(ann_id), [self._center(other) for other in rivals]
        if center + margin < min(centers):
            return [f"the {name} on the left"]
        return [f"the {name} on the right"] if center - margin > max(centers) else []

    def _center(self, ann_id: int) -> float:
        left, _, right, _ = self.coco.box(ann_id)
        return (left + right) / 2

    def _find_pictures(self, folder: Path) -> ImageFolder:
        """The first folder that holds the first photo."""
        subset = self.file.stem.removeprefix("instances_")
        places = [self.file.parent, folder / "images" / subset, folder / "images", folder]
        record = self.image_record(0)
        for place in places:
            if place.is_dir():
                pictures = ImageFolder(place)
                try:
                    pictures.find(record)
                except FileNotFoundError:
                    continue
                return pictures
        raise FileNotFoundError(
            f"the photo {record['file_name']} of {self.file} is in none of {', '.join(map(str, places))}: export the "
            "photos too, or put them into images/"
        )

    def of_split(self, split: str | None) -> "CocoPhrases":
        if split not in (None, self.split):
            raise ValueError(f"{self.file} is the split {self.split}, not {split}")
        return self

    def __len__(self) -> int:
        return len(self._ann_ids)

    def image_ids(self) -> Iterator[int]:
        return (self.coco.annotations[ann_id]["image_id"] for ann_id in self._ann_ids)

    def sentences_of(self, index: int) -> list[str]:
        return self._sentences[self._ann_ids[index]]

    def image_record(self, index: int) -> dict:
        return self.coco.image_record(self.coco.annotations[self._ann_ids[index]]["image_id"])

    def row(self, index: int) -> dict:
        ann_id = self._ann_ids[index]
        return {
            **self.image_record(index),
            "ref_id": ann_id,
            "ann_ids": [ann_id],
            "category": self.coco.category(ann_id),
            "boxes": [self.coco.box(ann_id)],
            "mask": self.coco.mask(ann_id),
            "sentences": [
                {"sent_id": index * ID_STRIDE + place, "sent": text, "tokens": text.split()}
                for place, text in enumerate(self.sentences_of(index))
            ],
            "split": self.split,
            "source": self.source,
        }
