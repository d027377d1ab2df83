"""COCO's images with all of their objects, from instances.json: what a detector is trained on."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path

from .coco_instances import CocoInstances
from .image_sources import ImageFolder, find_image_folder
from .leaks import image_identities, read_identities
from .rows import Counts, ReferringRows
from .schema import union_masks


def load_coco_images(
    path: str | Path,
    split: str,
    images: str | Path | bool | None = None,
    exclude_images: str | Path | None = None,
) -> "CocoImages":
    """Read COCO's annotations of one split.

    Args:
        path: folder with `instances_<split>.json` (also in its `annotations`), or with one `instances.json`.
        split: e.g. "train2014"; with one file only it is the name the rows get.
        images: folder of the pictures; by default `path/<split>` or `path/images`. False: rows without pictures.
        exclude_images: text file of images to leave out, as `dataset_scripts/list_seen_images.py` writes: MAttNet's
            detector has seen no image of the validation and test splits of RefCOCO and RefCOCOg.

    Raises:
        FileNotFoundError: no such file, or no folder of pictures.
        ValueError: a damaged file, or no image is left.
    """
    path = Path(path)
    names = (f"annotations/instances_{split}.json", f"instances_{split}.json", "instances.json")
    file = next((path / name for name in names if (path / name).is_file()), None)
    if file is None:
        raise FileNotFoundError(f"{path} holds none of {', '.join(names)}; give COCO's folder, and the name of a split")
    pictures = None if images is False else find_image_folder(images, path, (split, "images"))
    exclude = frozenset() if exclude_images is None else frozenset(read_identities(exclude_images))
    return CocoImages(file, pictures, split, exclude)


class CocoImages(ReferringRows):
    """
    Rows of the schema, one per image that has objects: no sentence, no referent, and `instances` with masks.

    Crowds and objects whose box has no area are left out, as the original detector does; `notes` counts them.

    Raises:
        ValueError: an object lies in an image that the file does not list; no image is left.
    """

    def __init__(self, file: Path, pictures: ImageFolder | None, split: str, exclude: frozenset[str] = frozenset()):
        self.file, self.pictures, self.split, self.source = file, pictures, split, "coco"
        self.instances = CocoInstances(file)
        crowds, flat, single = 0, 0, {}
        for image_id, ann_ids in self.instances.annotations_of_image.items():
            self.instances.check_image(image_id, str(file))
            kept = [ann_id for ann_id in ann_ids if not self.instances.annotations[ann_id].get("iscrowd")]
            for ann_id in kept:
                self.instances.check_annotation(ann_id, image_id, str(file))
            single[image_id] = [ann_id for ann_id in kept if _has_area(self.instances.box(ann_id))]
            crowds += len(ann_ids) - len(kept)
            flat += len(kept) - len(single[image_id])
        kept = [image_id for image_id, ann_ids in single.items() if ann_ids]
        self.image_ids = [
            image_id
            for image_id in kept
            if not image_identities({**self.instances.image_record(image_id), "source": self.source}) & exclude
        ]
        if not self.image_ids:
            raise ValueError(f"{file} has {len(kept)} images with objects, and none is left by exclude_images")
        excluded = len(kept) - len(self.image_ids)
        self.notes = {
            "crowds left out": crowds,
            "objects without area left out": flat,
            "images left out as excluded": excluded,
        }
        self._ann_ids = single

    def __len__(self) -> int:
        return len(self.image_ids)

    def category_names(self) -> list[str]:
        """The names of the categories in the order of their ids."""
        return [name for _, name in sorted(self.instances.categories.items())]

    def image_record(self, index: int) -> dict:
        return self.instances.image_record(self.image_ids[index])

    def sentences(self) -> Iterator[str]:
        return iter(())

    def counts(self) -> Counts:
        return Counts(len(self), 0, 0)

    def select(self, indices: Sequence[int]) -> "CocoImages":
        """The rows with these numbers only."""
        rows = copy.copy(self)
        rows.image_ids = [self.image_ids[index] for index in indices]
        return rows

    def row(self, index: int) -> dict:
        record = self.image_record(index)
        image_id, file = record["image_id"], self.instances
        return {
            **record,
            "ref_id": image_id,
            "ann_ids": [],
            "category": "",
            "boxes": [],
            "mask": union_masks([], record["height"], record["width"]),
            "sentences": [],
            "split": self.split,
            "source": self.source,
            "instances": [
                {
                    "ann_id": ann_id,
                    "category": file.category(ann_id),
                    "attributes": [],
                    "box": file.box(ann_id),
                    "mask": file.mask(ann_id),
                }
                for ann_id in self._ann_ids[image_id]
            ],
        }


def _has_area(box: list[float]) -> bool:
    return box[2] > box[0] and box[3] > box[1]
