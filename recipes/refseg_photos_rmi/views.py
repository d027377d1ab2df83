"""The random views of photos that a model is trained on.

A view is a crop, perhaps mirrored, perhaps with objects of other photos pasted in; masks follow, and expressions are
made for what the view shows (`hf_refseg.data.photos`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from hf_refseg.data.augment import swap_left_right
from hf_refseg.data.crops import LIGHT, change_light
from hf_refseg.data.schema import decode_mask, rle_area
from hf_refseg.processing.images import load_image

from .photos import Photo, View, whole_view

# Objects by category, each as a photo and its index in it.
Donors = Mapping[str, Sequence[tuple[Photo, int]]]
# Share of the view below which an object is not seen.
MIN_AREA = 0.003
# What covers less of its photo is too coarse to be pasted.
MIN_DONOR_AREA = 0.01
MAX_PASTED = 3


def pastable_objects(photos: Sequence[Photo]) -> dict[str, list[tuple[Photo, int]]]:
    """What `random_view` may paste: single objects that are seen large enough, by category."""
    donors: dict[str, list[tuple[Photo, int]]] = {}
    for photo in photos:
        for index, rle in enumerate(photo.rles):
            if not photo.crowd[index] and rle_area(rle) >= MIN_DONOR_AREA * np.prod(rle["size"]):
                donors.setdefault(photo.categories[index], []).append((photo, index))
    return donors


def random_view(
    photo: Photo, rng: np.random.Generator, donors: Donors | None = None, crop: float = 0.6, paste: float = 0.5
) -> View:
    """A view for training: with probability `crop` a crop, with probability `paste` pasted objects, mirrored or not.

    Authored expressions survive mirroring (left and right change places) but not crops, which could make another object
    the leftmost, the largest or the only one. For the same reason nothing is pasted where there are some.

    Args:
        donors: the objects of `pastable_objects`; none are pasted without.
    """
    view = whole_view(photo)
    if rng.random() < crop:
        view = _cropped(view, _zoom_box(view, rng) if rng.random() < 0.5 else _random_box(view, rng))
    if donors and not view.authored and rng.random() < paste:
        for _ in range(rng.integers(1, MAX_PASTED + 1)):
            view = _pasted(view, donors, rng)
    if rng.random() < 0.5:
        view = View(
            *(view.categories, view.masks[:, :, ::-1], view.crowd, view.pixels[:, ::-1], view.person_word),
            authored=[(swap_left_right(text), index) for text, index in view.authored],
        )
    view.pixels = np.asarray(change_light(Image.fromarray(view.pixels), rng, LIGHT))
    return view


def _random_box(view: View, rng: np.random.Generator) -> tuple[int, int, int, int]:
    height, width = view.masks.shape[1:]
    tall, wide = (int(side * rng.uniform(0.5, 0.95)) for side in (height, width))
    left, top = rng.integers(width - wide + 1), rng.integers(height - tall + 1)
    return left, top, left + wide, top + tall


def _zoom_box(view: View, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A crop around one object, 1.5 to 5 times its size: what is too small in the photo is seen once from near."""
    height, width = view.masks.shape[1:]
    candidates = [i for i in range(len(view.masks)) if not view.crowd[i] and view.areas[i] > MIN_AREA / 4]
    if not candidates:
        return _random_box(view, rng)
    category = rng.choice(sorted({view.categories[i] for i in candidates}))
    index = rng.choice([i for i in candidates if view.categories[i] == category])
    left, top, right, bottom = view.boxes[index] * [width, height, width, height]
    side = max(max(right - left, bottom - top) * rng.uniform(1.5, 5), 96)
    wide, tall = min(side * rng.uniform(0.8, 1.25), width), min(side, height)
    x = np.clip(rng.uniform(right - wide, left) if wide > right - left else left, 0, width - wide)
    y = np.clip(rng.uniform(bottom - tall, top) if tall > bottom - top else top, 0, height - tall)
    return int(x), int(y), int(x + wide), int(y + tall)


def _cropped(view: View, box: tuple[int, int, int, int]) -> View:
    left, top, right, bottom = box
    masks = view.masks[:, top:bottom, left:right]
    seen = masks.any((1, 2)).nonzero()[0]
    return View(
        [view.categories[i] for i in seen],
        masks[seen],
        view.crowd[seen],
        view.pixels[top:bottom, left:right],
        view.person_word if sum(category == "person" for category in view.categories) == 1 else None,
    )


def _pasted(view: View, donors: Donors, rng: np.random.Generator) -> View:
    """An object of another photo, scaled and laid somewhere over this one (Ghiasi et al. 2021, "Copy-Paste").

    Half of the time it is one more of a category that is here, so that place, size or color must tell them apart; else
    rare categories come as often as people do.
    """
    here = sorted({name for name in view.categories if name in donors})
    category = str(rng.choice(here if here and rng.random() < 0.5 else sorted(donors)))
    donor, index = donors[category][rng.integers(len(donors[category]))]
    mask = Image.fromarray(decode_mask(donor.rles[index]))
    box = mask.getbbox()
    height, width = view.masks.shape[1:]
    scale = rng.uniform(0.2, 0.7) * min(height, width) / max(box[2] - box[0], box[3] - box[1])
    size = max(int((box[2] - box[0]) * scale), 8), max(int((box[3] - box[1]) * scale), 8)
    stamp = load_image(donor.file, upright=False).crop(box).resize(size, Image.Resampling.BILINEAR)
    shape = np.asarray(mask.crop(box).convert("L").resize(size, Image.Resampling.BILINEAR)) > 127
    left, top = rng.integers(max(width - size[0], 0) + 1), rng.integers(max(height - size[1], 0) + 1)
    pasted = np.zeros((height, width), dtype=bool)
    pasted[top : top + size[1], left : left + size[0]] = shape
    pixels = view.pixels.copy()
    pixels[pasted] = np.asarray(stamp)[shape]
    return View(
        [*view.categories, category],
        np.concatenate([view.masks & ~pasted, pasted[None]]),
        np.append(view.crowd, False),
        pixels,
        view.person_word if category != "person" else None,
    )
