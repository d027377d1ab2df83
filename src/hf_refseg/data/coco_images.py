"""COCO's images with all of their objects, from instances.json: what a detector is trained on."""

from collections.abc import Iterator
from pathlib import Path

from .coco_instances import CocoInstances
from .damaged_records import DamagedRecords
from .image_sources import ImageFolder, find_image_folder
from .leaks import image_identities, read_identities
from .rows import FileRows
from .schema import union_masks
from .splits import spellings


def load_coco_images(
    path: str | Path,
    split: str,
    images: str | Path | bool | None = None,
    exclude_images: str | Path | None = None,
    skip_unreadable: bool = False,
) -> "CocoImages":
    """Read COCO's annotations of one split.

    Args:
        path: folder with `instances_<split>.json` (also in its `annotations`), or with one `instances.json`.
        split: e.g. "train2014"; if there is only one file, it is just the name that the rows get.
        images: folder of the pictures; by default `path/<split>` or `path/images`. False: rows without pictures.
        exclude_images: text file of images to leave out, written by `dataset_scripts/list_seen_images.py`. MAttNet's
            detector must not see the validation and test images of RefCOCO and RefCOCOg.
        skip_unreadable: leave out images whose record, or that of one of their objects, is damaged, and count them in
            `notes`; otherwise the first is an error.

    Raises:
        FileNotFoundError: the file or the folder of pictures is missing.
        ValueError: a damaged file, or no image is left.
    """
    path = Path(path)
    stems = [f"instances_{name}.json" for name in spellings(split)]
    names = [*(f"annotations/{stem}" for stem in stems), *stems, "instances.json"]
    file = next((path / name for name in names if (path / name).is_file()), None)
    if file is None:
        raise FileNotFoundError(f"{path} holds none of {', '.join(names)}; give COCO's folder, and the name of a split")
    pictures = None if images is False else find_image_folder(images, path, (split, "images"))
    exclude = frozenset() if exclude_images is None else frozenset(read_identities(exclude_images))
    return CocoImages(file, pictures, split, exclude, skip_unreadable)


class CocoImages(FileRows):
    """Rows of the schema, one per image that has objects: no sentence, no referent, and `instances` with masks.

    As in the original detector, crowds and objects whose box has no area are left out; `notes` counts them.

    Raises:
        ValueError: an object lies in an image that the file does not list; no image is left.
    """

    def __init__(
        self,
        file: Path,
        pictures: ImageFolder | None,
        split: str,
        exclude: frozenset[str] = frozenset(),
        skip_unreadable: bool = False,
    ):
        super().__init__(pictures)
        self.file, self.split, self.source = file, split, "coco"
        self.coco = CocoInstances(file)
        crowds, flat, single, damaged = 0, 0, {}, DamagedRecords(skip_unreadable)
        for image_id, ann_ids in self.coco.annotations_of_image.items():
            with damaged.left_out():
                self.coco.check_image(image_id, str(file))
                kept = [ann_id for ann_id in ann_ids if not self.coco.annotations[ann_id].get("iscrowd")]
                for ann_id in kept:
                    self.coco.check_annotation(ann_id, image_id, str(file))
                single[image_id] = [ann_id for ann_id in kept if _has_area(self.coco.box(ann_id))]
                crowds += len(ann_ids) - len(kept)
                flat += len(kept) - len(single[image_id])
        kept = [image_id for image_id, ann_ids in single.items() if ann_ids]
        self._image_ids = [
            image_id
            for image_id in kept
            if not image_identities({**self.coco.image_record(image_id), "source": self.source}) & exclude
        ]
        if not self._image_ids:
            raise ValueError(f"{file} has {len(kept)} images with objects, and none is left by exclude_images")
        excluded = len(kept) - len(self._image_ids)
        self.notes = {
            "crowds left out": crowds,
            "objects without area left out": flat,
            "images left out as excluded": excluded,
            **({"images whose records are damaged, left out": damaged.count} if damaged.count else {}),
        }
        self._ann_ids = single

    def __len__(self) -> int:
        return len(self._image_ids)

    @property
    def categories(self) -> list[str]:
        """In the order of their ids."""
        return self.coco.category_names()

    def image_ids(self) -> Iterator[int]:
        return iter(self._image_ids)

    def image_record(self, index: int) -> dict:
        return self.coco.image_record(self._image_ids[index])

    def sentences_of(self, index: int) -> list[str]:
        return []

    def instances_of(self, index: int) -> list[dict]:
        """Crowds and objects without area are not among them."""
        return [self.coco.instance(ann_id) for ann_id in self._ann_ids[self._image_ids[index]]]

    def row(self, index: int) -> dict:
        record = self.image_record(index)
        return {
            **record,
            "ref_id": record["image_id"],
            "ann_ids": [],
            "category": "",
            "boxes": [],
            "mask": union_masks([], record["height"], record["width"]),
            "sentences": [],
            "split": self.split,
            "source": self.source,
            "instances": self.instances_of(index),
        }


def _has_area(box: list[float]) -> bool:
    return box[2] > box[0] and box[3] > box[1]
