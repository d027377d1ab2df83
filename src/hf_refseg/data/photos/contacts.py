"""Relations between things of a photo that their masks tell: on a horse, with an umbrella, in a red coat."""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from skimage.measure import label

from ..expressions.things import Thing, Verdict
from .lexicon import CLOTHES_CARRIED, CLOTHES_WORN

if TYPE_CHECKING:
    from .scene import PhotoThing

# Masks are compared on a grid of at most this many cells a side; what is two cells apart still touches.
GRID, TOUCHING_CELLS = 160, 2

RIDDEN = frozenset({"horse", "bicycle", "motorcycle", "elephant"})
SEATS = frozenset({"chair", "couch", "bench", "bed"})
SITTING = frozenset({"person", "dog", "cat", "teddy bear"})
HELD = frozenset(
    "umbrella, backpack, handbag, suitcase, tie, frisbee, banana, sandwich, donut, laptop, tennis racket, "
    "baseball bat, baseball glove, cell phone, teddy bear, wine glass, hot dog, skis, snowboard, skateboard, "
    "surfboard".split(", ")
)
LAID_ON_TABLES = frozenset(
    "bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, "
    "pizza, donut, cake, laptop, mouse, remote, keyboard, cell phone, book, vase, scissors, teddy bear".split(", ")
)


def contacts(masks: Sequence[np.ndarray]) -> list[dict[int, Verdict]]:
    """Of each (H, W) mask, which others it touches: True, or None where it comes within a few more cells."""
    if not masks:
        return []
    height, width = masks[0].shape
    scale = min(1.0, GRID / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    plain = [np.asarray(Image.fromarray(mask).convert("L").resize(size, Image.Resampling.BOX)) > 127 for mask in masks]
    grown = [_grown(mask, TOUCHING_CELLS) for mask in plain]
    wide = [_grown(mask, 3 * TOUCHING_CELLS) for mask in plain]
    found: list[dict[int, Verdict]] = [{} for _ in masks]
    for i in range(len(masks)):
        for j in range(i + 1, len(masks)):
            if (wide[i] & plain[j]).any():
                touch = True if (grown[i] & plain[j]).any() else None
                found[i][j] = found[j][i] = touch
    return found


def in_pieces(mask: np.ndarray) -> bool:
    """Whether a second piece of an (H, W) mask is at least a sixth of it: two objects, or one behind another."""
    pieces, count = label(mask[::2, ::2], return_num=True, connectivity=1)
    sizes = np.sort(np.bincount(pieces.ravel())[1:])
    return count > 1 and sizes[-2] * 6 >= sizes.sum()


def _grown(mask: np.ndarray, cells: int) -> np.ndarray:
    """A mask with everything that is at most so many cells from it, along rows and columns."""
    grown = mask
    for axis in (0, 1):
        grown = np.moveaxis(grown, axis, 0)
        padded = np.pad(grown, ((cells, cells), (0, 0)))
        grown = np.logical_or.reduce([padded[shift : shift + len(grown)] for shift in range(2 * cells + 1)])
        grown = np.moveaxis(grown, 0, axis)
    return grown


def _touch(thing: "PhotoThing", other: "PhotoThing") -> Verdict:
    return thing.touching.get(other.number, False)


def _on(thing: "PhotoThing", other: "PhotoThing") -> Verdict:
    """On a horse, a bench or a table: touching it, and neither beside nor behind it."""
    rides = thing.category == "person" and other.category in RIDDEN
    sits = thing.category in SITTING and other.category in SEATS
    lies = thing.category in LAID_ON_TABLES and other.category == "dining table"
    if not (rides or sits or lies):
        return None
    touch = _touch(thing, other)
    if touch is not True:
        return touch
    if lies:
        return True if inside(thing, other) >= 0.9 else None
    shared = min(thing.x1, other.x1) - max(thing.x0, other.x0)
    # A rider rises over the horse and ends within it; who stands behind it reaches down as far.
    upright = thing.y0 < other.y0 if rides else inside(thing, other) >= 0.6
    within = other.y0 < thing.y1 <= other.y1 + 0.02
    return True if shared >= 0.6 * (thing.x1 - thing.x0) and upright and within and thing.y < other.y else None


def _with(thing: "PhotoThing", other: "PhotoThing") -> Verdict:
    """Holding or carrying it: touching it, its middle within reach, and nobody else touches it."""
    if thing.category != "person" or other.category not in HELD | CLOTHES_CARRIED:
        return None
    touch = _touch(thing, other)
    if touch is not True:
        return touch
    reach_x, reach_y = 0.3 * (thing.x1 - thing.x0), 0.15 * (thing.y1 - thing.y0)
    near = thing.x0 - reach_x <= other.x <= thing.x1 + reach_x and thing.y0 - reach_y <= other.y <= thing.y1 + reach_y
    return True if near and other.area < thing.area and other.touched_by_people == 1 else None


def _wearing(thing: "PhotoThing", other: "PhotoThing") -> Verdict:
    if thing.category != "person" or other.category not in CLOTHES_WORN:
        return None
    return _touch(thing, other)


def _of(thing: "PhotoThing", other: "PhotoThing") -> Verdict:
    """A garment or bag of a person."""
    if thing.category not in CLOTHES_WORN | CLOTHES_CARRIED or other.category != "person":
        return None
    return _touch(thing, other)


CONTACTS: dict[str, Callable[["PhotoThing", "PhotoThing"], Verdict]] = {
    "on": _on,
    "with": _with,
    "wearing": _wearing,
    "of": _of,
}


def possible_contacts(category: str, others: Collection[str]) -> list[tuple[str, str]]:
    """(predicate, category of the other thing) pairs that make sense of a category, beside these others."""
    pairs = []
    for other in sorted(others):
        rides = category == "person" and other in RIDDEN
        if rides or (category in SITTING and other in SEATS):
            pairs.append(("on", other))
        if category in LAID_ON_TABLES and other == "dining table":
            pairs.append(("on", other))
        if category == "person" and other in HELD | CLOTHES_CARRIED - {"hair"}:
            pairs.append(("with", other))
        if category == "person" and other in CLOTHES_WORN:
            pairs.append(("wearing", other))
        if category in CLOTHES_WORN | CLOTHES_CARRIED - {"hair"} and other == "person":
            pairs.append(("of", other))
    return pairs


def inside(thing: Thing, other: Thing) -> float:
    """The share of a box that lies in another one."""
    width = max(0.0, min(thing.x1, other.x1) - max(thing.x0, other.x0))
    height = max(0.0, min(thing.y1, other.y1) - max(thing.y0, other.y0))
    return width * height / max((thing.x1 - thing.x0) * (thing.y1 - thing.y0), 1e-9)
