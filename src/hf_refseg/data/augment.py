"""Horizontal flips for referring expressions: the picture is mirrored, and so is what the sentences say.

Words are swapped whole: left <-> right, alone or in leftmost, left-most, lefthand, left-hand, leftward(s), leftside,
lefty. Nothing is parsed, so the rare "left" that is no direction ("left over", "the one left") is swapped too.
"""

import re

import numpy as np
from PIL import Image, ImageOps

from .schema import decode_mask, encode_mask

_SIDE = re.compile(r"\b(left|right)(?=(?:most|hand|side|wards?|ies|y)?\b)", re.IGNORECASE)


def swap_left_right(text: str) -> str:
    """The text with left and right exchanged, upper and lower case kept."""
    return _SIDE.sub(lambda match: _opposite(match.group(1)), text)


def _opposite(word: str) -> str:
    opposite = {"left": "right", "right": "left"}[word.lower()]
    return opposite.upper() if word.isupper() else opposite.title() if word[0].isupper() else opposite


def flip_row(row: dict) -> dict:
    """Mirror a row of the schema: image, mask, boxes, instances, and every text in it that names a side.

    The row given is left as it is.
    """
    width = row["width"]
    image = row["image"]
    flipped = row | {
        "image": ImageOps.mirror(image) if isinstance(image, Image.Image) else np.ascontiguousarray(image[:, ::-1]),
        "mask": _flip_mask(row["mask"]),
        "boxes": [_flip_box(box, width) for box in row["boxes"]],
        "sentences": [_swap(sentence) for sentence in row["sentences"]],
    }
    flipped |= {key: _swap(row[key]) for key in ("attributes", "relations", "phrase_structure") if key in row}
    if row.get("instances") is not None:
        flipped["instances"] = [
            _swap(instance) | {"box": _flip_box(instance["box"], width), "mask": _flip_mask(instance["mask"])}
            for instance in row["instances"]
        ]
    return flipped


def _flip_mask(rle: dict) -> dict:
    return encode_mask(decode_mask(rle)[:, ::-1])


def _flip_box(box: list[float], width: int) -> list[float]:
    x0, y0, x1, y1 = box
    return [width - x1, y0, width - x0, y1]


def _swap(value):
    """Swap the sides in every string of a nest of lists and dicts, masks excepted."""
    if isinstance(value, str):
        return swap_left_right(value)
    if isinstance(value, dict):
        return {key: item if key == "mask" else _swap(item) for key, item in value.items()}
    return [_swap(item) for item in value] if isinstance(value, list | tuple) else value
