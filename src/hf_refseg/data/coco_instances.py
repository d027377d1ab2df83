"""instances.json, COCO's file of images and annotations; its segmentations become masks of the schema."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from .official_files import as_id, by_id, check_numbers, check_size, read_json, require, shown
from .run_lengths import check_rle
from .schema import text_rle, union_masks

# Of all polygons of a mask, in pixels: pycocotools takes memory for five points of each.
LONGEST_OUTLINE = 5_000_000
IMAGE_FIELDS = ("id", "file_name", "height", "width")
ANNOTATION_FIELDS = ("id", "image_id", "category_id", "bbox", "segmentation")


class CocoInstances:
    """Images, annotations and names of categories by their ids.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is cut off, not a COCO file, or has an id twice.
    """

    def __init__(self, file: Path):
        self.file = file
        content = read_json(file, dict)
        require(content, ("images", "annotations", "categories"), str(file))
        for name in ("images", "annotations", "categories"):
            if not isinstance(content[name], list):
                raise ValueError(f"{file}: its {name} are a {type(content[name]).__name__}, expected a list.")
        images = by_id(content["images"], f"{file}, images")
        # The schema has numbers; ids that are names are numbered in the order of the file.
        self.number_of = {} if all(isinstance(image_id, int) for image_id in images) else number_names(images)
        self.images = {self.image_number(image_id): image for image_id, image in images.items()}
        self.annotations = by_id(content["annotations"], f"{file}, annotations")
        categories = by_id(content["categories"], f"{file}, categories")
        for number, category in categories.items():
            require(category, ("name",), f"{file}, category {number}")
            if not isinstance(category["name"], str):
                raise ValueError(f"{file}, category {number}: its name is {shown(category['name'])}, no text.")
        self.categories = {number: category["name"] for number, category in categories.items()}
        for ann_id, annotation in self.annotations.items():
            require(annotation, ("image_id",), f"{file}, annotation {ann_id}")
            annotation["image_id"] = self.image_number(annotation["image_id"])
            if isinstance(annotation["image_id"], (list, dict)):
                raise ValueError(f"{file}, annotation {ann_id}: its image_id is {shown(annotation['image_id'])}.")

    def image_number(self, image_id):
        """The number of an image by its id in any file of the data set."""
        image_id = as_id(image_id)
        return self.number_of.get(image_id, image_id) if isinstance(image_id, str) else image_id

    @cached_property
    def annotations_of_image(self) -> dict[int, list[int]]:
        """The annotation ids of each image that has annotations, in the order of the file."""
        found = {}
        for ann_id, annotation in self.annotations.items():
            found.setdefault(annotation["image_id"], []).append(ann_id)
        return found

    def category_names(self) -> list[str]:
        """The names of the categories in the order of their ids."""
        return [name for _, name in sorted(self.categories.items())]

    def instances_of(self, image_id: int) -> list[dict]:
        """Every annotated object of an image, in the order of the file, as the schema's field `instances` has them.

        Raises:
            ValueError: the annotation of one of them is damaged.
        """
        ann_ids = self.annotations_of_image.get(image_id, [])
        for ann_id in ann_ids:
            self.check_annotation(ann_id, image_id, f"{self.file}, image {image_id}")
        return [self.instance(ann_id) for ann_id in ann_ids]

    def instance(self, ann_id: int) -> dict:
        """One object as the schema's field `instances` has it; COCO annotates no attributes."""
        return {
            "ann_id": ann_id,
            "category": self.category(ann_id),
            "attributes": [],
            "box": self.box(ann_id),
            "mask": self.mask(ann_id),
        }

    def image_record(self, image_id: int) -> dict:
        image = self.images[image_id]
        sides = {key: int(image[key]) for key in ("height", "width")}
        return {"image_id": image_id, "file_name": image["file_name"].replace("\\", "/"), **sides}

    def category(self, ann_id: int) -> str:
        return self.categories[self.annotations[ann_id]["category_id"]]

    def box(self, ann_id: int) -> list[float]:
        """The annotated box, [x0, y0, x1, y1] with exclusive end. It is not always the box of the mask."""
        x, y, width, height = self.annotations[ann_id]["bbox"]
        return [float(x), float(y), float(x + width), float(y + height)]

    def mask(self, ann_id: int) -> dict:
        annotation = self.annotations[ann_id]
        image = self.images[annotation["image_id"]]
        try:
            return segmentation_rle(annotation["segmentation"], image["height"], image["width"])
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.file}, annotation {ann_id}: {error}") from error

    def check_image(self, image_id: int, where: str) -> None:
        """Raises ValueError if the image of a record is missing, lacks a field, or has no size."""
        if image_id not in self.images:
            raise ValueError(f"{where}: its image {image_id} is not in {self.file}.")
        image, here = self.images[image_id], f"{self.file}, image {image_id}"
        require(image, IMAGE_FIELDS, here)
        check_size(image["height"], image["width"], here)
        if not isinstance(image["file_name"], str):
            raise ValueError(f"{here}: its file_name is {shown(image['file_name'])}, expected that of its picture.")

    def check_annotation(self, ann_id: int, image_id: int, where: str) -> None:
        """Raises ValueError now, and not an hour into a training, if a record's mask can't be made."""
        annotation = self.annotations.get(ann_id)
        if annotation is None:
            raise ValueError(f"{where}: its annotation {ann_id} is not in {self.file}.")
        here = f"{self.file}, annotation {ann_id}"
        require(annotation, ANNOTATION_FIELDS, here)
        if annotation["image_id"] != image_id:
            raise ValueError(f"{where} is on image {image_id}, its annotation {ann_id} on {annotation['image_id']}.")
        annotation["category_id"] = as_id(annotation["category_id"])
        if not isinstance(annotation["category_id"], int | str) or annotation["category_id"] not in self.categories:
            raise ValueError(f"{here}: no category {shown(annotation['category_id'])}.")
        check_numbers(annotation["bbox"], 4, f"{here}, its bbox")
        if min(annotation["bbox"][2:]) < 0:
            raise ValueError(f"{here}: its bbox is {annotation['bbox']}; [x, y, width, height], none of them below 0.")
        image = self.images[image_id]
        annotation["segmentation"] = flat_polygons(annotation["segmentation"])
        check_segmentation(annotation["segmentation"], image["height"], image["width"], here)


def number_names(names: Iterable) -> dict[str, int]:
    """A number for each name among ids, none of which is the number of another."""
    numbers = [name for name in names if isinstance(name, int)]
    first = max(numbers, default=0) + 1
    return {name: first + index for index, name in enumerate(name for name in names if isinstance(name, str))}


def flat_polygons(segmentation):
    """Polygons whose points are pairs [[x, y], ...] as COCO has them, [x, y, ...]; anything else as it is."""
    if not isinstance(segmentation, list):
        return segmentation
    return [[side for point in part for side in point] if _is_pairs(part) else part for part in segmentation]


def _is_pairs(part) -> bool:
    return isinstance(part, list) and bool(part) and all(isinstance(xy, list) and len(xy) == 2 for xy in part)


def check_segmentation(segmentation: list | dict, height: int, width: int, where: str) -> None:
    """Raises ValueError that names `where` for what is no mask of an image of this size; pycocotools would crash."""
    if not segmentation:
        raise ValueError(f"{where}: its segmentation is empty.")
    outline = 0.0
    for part in segmentation if isinstance(segmentation, list) else [segmentation]:
        if isinstance(part, dict):
            require(part, ("size", "counts"), f"{where}, its run lengths")
            try:
                size = check_rle(part)["size"]
            except ValueError as error:
                raise ValueError(f"{where}: {error}.") from error
            if size != [height, width]:
                raise ValueError(f"{where}: its mask is {size}, its image {[height, width]} (height, width).")
        elif not isinstance(part, list):
            raise ValueError(f"{where}: its segmentation holds {shown(part)}, expected a polygon or run lengths.")
        elif len(part) < 6 or len(part) % 2:
            raise ValueError(f"{where}: a polygon of {len(part)} numbers; 3 points or more, x and y each, are needed.")
        else:
            check_numbers(part, len(part), f"{where}, a polygon")
            outline += _outline(part)
    if outline > LONGEST_OUTLINE:
        raise ValueError(
            f"{where}: the outlines of its polygons are {outline:,.0f} pixels long; {LONGEST_OUTLINE:,} are the most."
        )


def _outline(polygon: list[float]) -> float:
    """How many pixels long the closed line through the points [x, y, x, y, ...] is."""
    points = np.array(polygon, dtype=np.float64).reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())


def segmentation_rle(segmentation: list | dict, height: int, width: int) -> dict:
    """RLE (as in the schema) of a COCO segmentation: polygons, a list of RLEs (RefCLEF), or a single RLE (crowds).

    The mask is the union of the parts. The REFER API adds them, which gives 2 where they overlap, and fails on crowds.
    """
    parts = segmentation if isinstance(segmentation, list) else [segmentation]
    if isinstance(parts[0], dict) and not isinstance(parts[0]["counts"], list):
        return union_masks([text_rle(part) for part in parts], height, width)
    return union_masks([text_rle(rle) for rle in coco_mask.frPyObjects(parts, height, width)], height, width)
