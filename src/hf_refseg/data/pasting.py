"""
Objects of one photo in another: simple copy-paste (Ghiasi et al., CVPR 2021), for what learns from the objects in
photos. They stand in front of things that they were never seen with, and hide a part of them.
"""

import numpy as np
import torch
from PIL import Image, ImageOps

from ..processing.images import load_image
from ..processing.masks import mask_box
from .crops import LEAST_INSIDE, LIGHT, change_light, with_mask
from .schema import decode_mask

MOST = 3  # objects of a photo that are pasted
LEAST_AREA = 0.01  # of an object that is pasted, in shares of its own photo
SIZES, LARGEST = (0.5, 1.3), 0.8  # of a pasted object: times what it was, and shares of the photo's sides at most
OUTSIDE = 0.25  # share of its width and height that may lie beyond the photo's border


def paste_objects(row: dict, donor: dict, rng: np.random.Generator) -> dict:
    """
    A row whose picture has objects of the row `donor` in it, in other light, some of them mirrored, each at a random
    place and size. Of the objects (`instances`) those stay of which at least half can still be seen. For detectors:
    what is said about the picture stays. So does the row, if `donor` has no object that is large enough.
    """
    things = [thing for thing in with_masks(donor) if thing[1].mean() >= LEAST_AREA]
    if not things:
        return row
    source = load_image(donor["image"], upright=False)
    image, size = load_image(row["image"], upright=False).copy(), (row["width"], row["height"])
    shown = with_masks(row)
    whole = [mask.sum() for _, mask in shown]
    enlargement = max(size) / max(source.size)
    for index in rng.permutation(len(things))[: rng.integers(1, MOST + 1)]:
        thing, mask = things[index]
        cutting, shape = cut_out(source, mask, enlargement * rng.uniform(*SIZES), size, rng)
        place = tuple(
            round(rng.uniform(-OUTSIDE * own, side - (1 - OUTSIDE) * own))
            for side, own in zip(size, cutting.size, strict=True)
        )
        image.paste(cutting, place, shape)
        cover = Image.new("L", size)
        cover.paste(shape, place)
        covered = np.asarray(cover) > 127
        shown = [(other, left & ~covered) for other, left in shown] + [(thing, covered)]
        whole.append(covered.sum())
    instances = [
        with_mask(thing, mask)
        for (thing, mask), before in zip(shown, whole, strict=True)
        if mask.sum() >= max(LEAST_INSIDE * before, 1)
    ]
    return row | {"image": image, "instances": instances}


def with_masks(row: dict) -> list[tuple[dict, np.ndarray]]:
    """The objects of a row, each with its mask (H, W) bool."""
    return [(thing, decode_mask(thing["mask"]).astype(bool)) for thing in row["instances"]]


def cut_out(
    image: Image.Image, mask: np.ndarray, scale: float, limits: tuple[int, int], rng: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """
    An object of a photo in other light, and its mask (H, W) bool (as mode "L"), mirrored or not: the pixels of its box,
    `scale` times as large, but no larger than `LARGEST` of the width and height in `limits`.
    """
    box = tuple(int(side) for side in mask_box(torch.from_numpy(mask)))
    width, height = box[2] - box[0], box[3] - box[1]
    scale = min(scale, LARGEST * limits[0] / width, LARGEST * limits[1] / height)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    shape = Image.fromarray(mask.astype(np.uint8) * 255)
    parts = [part.crop(box).resize(size, Image.Resampling.BILINEAR) for part in (image, shape)]
    if rng.random() < 0.5:
        parts = [ImageOps.mirror(part) for part in parts]
    return change_light(parts[0], rng, LIGHT), parts[1]


__all__ = ["paste_objects"]
