"""Crops of photos, for what learns from the objects in them: they are larger there, and some are cut off."""

import numpy as np
import torch
from PIL import Image, ImageEnhance

from ..processing.images import load_image
from ..processing.masks import mask_box
from .schema import decode_mask, encode_mask

SIDES = (0.5, 0.85)  # of a crop, in shares of the photo's
STRETCH = 0.15  # by which its height may differ from the photo's proportions
LEAST_INSIDE, LEAST_AREA = 0.5, 0.004  # of an object that is kept: the share of it in the crop, its share of the crop
LIGHT = 0.25  # most by which the brightness, contrast and colors of a crop are changed
TRIES = 4


def change_light(image: Image.Image, rng: np.random.Generator, most: float) -> Image.Image:
    """A photo whose brightness, contrast and colors are changed, each by up to the share `most`."""
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(1 - most, 1 + most))
    return image


def crop_row(row: dict, rng: np.random.Generator) -> dict:
    """
    A random part of a row's picture in other light, with the objects (`instances`) of which at least half lies in it.
    For detectors: what is said about the picture stays. So does the row, if no part of `TRIES` holds an object.
    """
    height, width = row["height"], row["width"]
    for _ in range(TRIES):
        share = rng.uniform(*SIDES)
        size = round(width * share), min(height, round(height * share * rng.uniform(1 - STRETCH, 1 + STRETCH)))
        left, top = rng.integers(width - size[0] + 1), rng.integers(height - size[1] + 1)
        frame = (int(left), int(top), int(left) + size[0], int(top) + size[1])
        inside = [crop_instance(thing, frame) for thing in row["instances"]]
        inside = [thing for thing in inside if thing is not None]
        if inside:
            image = change_light(load_image(row["image"], upright=False).crop(frame), rng, LIGHT)
            return row | {"image": image, "width": size[0], "height": size[1], "instances": inside}
    return row


def crop_instance(thing: dict, frame: tuple[int, int, int, int]) -> dict | None:
    """An object in a frame, xyxy with x2 and y2 outside; None where too little of it is left."""
    x1, y1, x2, y2 = frame
    whole = decode_mask(thing["mask"]).astype(bool)
    mask = whole[y1:y2, x1:x2]
    if mask.sum() < max(LEAST_INSIDE * whole.sum(), LEAST_AREA * mask.size, 1):
        return None
    return with_mask(thing, mask)


def with_mask(thing: dict, mask: np.ndarray) -> dict:
    """An object with another mask (H, W) bool, which is not empty, and the box of that."""
    return thing | {"box": mask_box(torch.from_numpy(mask)), "mask": type(thing["mask"])(encode_mask(mask))}


__all__ = ["change_light", "crop_row", "with_mask"]
