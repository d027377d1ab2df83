"""Horizontal flips for referring expressions: the picture is mirrored, and so is what the sentences say.

Whole words are swapped: left <-> right, alone or in leftmost, left-most, lefthand, left-hand, leftward(s), leftside,
lefty. Nothing is parsed, so the rare "left" that is not a direction ("left over", "the one left") is swapped too.
"""

import re

import numpy as np
from PIL import Image, ImageOps

from .schema import decode_mask, encode_mask

_SIDE = re.compile(r"\b(left|right)(?=(?:most|hand|side|wards?|ies|y)?\b)", re.IGNORECASE)


def swap_left_right(text: str) -> str:
    """The text with left and right exchanged; upper and lower case stay."""
    return _SIDE.sub(lambda match: _opposite(match.group(1)), text)


def _opposite(word: str) -> str:
    opposite = {"left": "right", "right": "left"}[word.lower()]
    return opposite.upper() if word.isupper() else opposite.title() if word[0].isupper() else opposite


def flip_row(row: dict) -> dict:
    """A row mirrored left to right: its picture, every mask, box and polygon, and every text that mentions a side.

    The given row does not change, and neither do fields that are neither in the schema nor in `MIRRORED`.
    """
    return row | {
        name: mirror(row[name], row["width"]) for name, mirror in MIRRORED.items() if row.get(name) is not None
    }


def _flip_image(image: Image.Image | np.ndarray, width: int) -> Image.Image | np.ndarray:
    return ImageOps.mirror(image) if isinstance(image, Image.Image) else np.ascontiguousarray(image[:, ::-1])


def _flip_mask(rle: dict, width: int) -> dict:
    return type(rle)(encode_mask(decode_mask(rle)[:, ::-1]))


def _flip_masks(rles: list[dict], width: int) -> list[dict]:
    return [_flip_mask(rle, width) for rle in rles]


def _flip_boxes(boxes: list[list[float]], width: int) -> list[list[float]]:
    return [[width - x1, y0, width - x0, y1] for x0, y0, x1, y1 in boxes]


def _flip_polygons(polygons: list, width: int) -> list:
    """The corners of polygons are pixels, so column 0 becomes column width - 1."""
    return [[[[width - 1 - x, y] for x, y in polygon] for polygon in instance] for instance in polygons]


def _flip_instances(instances: list[dict], width: int) -> list[dict]:
    return [
        thing
        | {"box": _flip_boxes([thing["box"]], width)[0], "mask": _flip_mask(thing["mask"], width)}
        | {"attributes": _swap(thing["attributes"], width)}
        for thing in instances
    ]


def _swap(value, width: int):
    """Swaps the sides in every string of a nest of lists and dicts."""
    if isinstance(value, str):
        return swap_left_right(value)
    if isinstance(value, dict):
        return {key: _swap(item, width) for key, item in value.items()}
    return [_swap(item, width) for item in value] if isinstance(value, list | tuple) else value


# How each field of the schema is mirrored. The other fields know no left and right.
MIRRORED = {
    "image": _flip_image,
    "mask": _flip_mask,
    "boxes": _flip_boxes,
    "sentences": _swap,
    "attributes": _swap,
    "relations": _swap,
    "phrase_structure": _swap,
    "instances": _flip_instances,
    "instance_masks": _flip_masks,
    "polygons": _flip_polygons,
}
