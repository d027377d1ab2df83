"""Scenes of RefShapes: which shapes there are, and where. Coordinates are fractions of the image's side."""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..expressions.places import SPATIAL
from ..expressions.things import Phrase, Thing, Verdict

CATEGORIES = ("circle", "square", "triangle", "star", "cross", "diamond", "heart", "moon")
# Drawn only where `category_shares` names them.
FURTHER_CATEGORIES = ("oval", "rectangle", "pentagon", "hexagon")
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")
PATTERNS = ("plain", "striped", "dotted")
# The two ranges are far apart, so that "small" and "large" are never a matter of opinion.
RADII = {"small": (0.068, 0.080), "large": (0.135, 0.160)}
SPLITS = ("train", "val", "test")

MIN_SHAPES, MAX_SHAPES = 3, 7
# No outline reaches further than this many radii (the corner of a tilted square). Shapes never overlap or leave the
# image.
REACH = 1.22
GAP = 0.012
PLACEMENT_TRIES = 40


@dataclass(frozen=True, slots=True)
class Shape:
    """One object. x, y, radius: fractions of the side. angle: radians. style: number in [0, 1) that picks harmless
    variety (direction of the stripes, shade)."""

    category: str
    color: str
    size: str
    pattern: str
    x: float
    y: float
    radius: float
    angle: float
    style: float


def split_of(attributes: list[tuple[str, str, str, str]]) -> str:
    """The only split in which a scene of shapes with these (category, color, size, pattern) may appear: 80/10/10."""
    bucket = zlib.crc32(repr(sorted(attributes)).encode()) % 10
    return {8: "val", 9: "test"}.get(bucket, "train")


def sample_scene(
    rng: np.random.Generator, split: str, category_shares: Mapping[str, float] | None = None
) -> list[Shape]:
    """Draw a scene of 3 to 7 shapes, of categories that are drawn as often as their shares say (None: all alike).

    Only scenes that `split_of` assigns to this split are used, so no two splits share a scene, whatever their seeds.
    """
    while True:
        attributes = _sample_attributes(rng, category_shares)
        if split_of(attributes) != split:
            continue
        shapes = _place(rng, attributes)
        if shapes is not None:
            return shapes


def _sample_attributes(
    rng: np.random.Generator, category_shares: Mapping[str, float] | None
) -> list[tuple[str, str, str, str]]:
    # A scene uses few categories and colors: look-alikes make locations and relations necessary.
    draws = rng.random((MAX_SHAPES, 4)).tolist()
    count, num_categories, num_colors = (int(n) for n in rng.integers((MIN_SHAPES, 2, 2), (MAX_SHAPES + 1, 4, 5)))
    if category_shares is None:
        categories = [CATEGORIES[i] for i in rng.permutation(len(CATEGORIES))[:num_categories]]
    else:
        names, shares = list(category_shares), np.array(list(category_shares.values()), float)
        num_categories = min(num_categories, len(names))
        drawn = rng.choice(len(names), num_categories, replace=False, p=shares / shares.sum())
        categories = [names[i] for i in drawn]
    colors = [COLORS[i] for i in rng.permutation(len(COLORS))[:num_colors]]
    return [
        (
            categories[int(category * num_categories)],
            colors[int(color * num_colors)],
            "large" if size < 0.4 else "small",
            "plain" if pattern < 0.5 else "striped" if pattern < 0.75 else "dotted",
        )
        for category, color, size, pattern in draws[:count]
    ]


def _place(rng: np.random.Generator, attributes: list[tuple[str, str, str, str]]) -> list[Shape] | None:
    """Shapes at random places without overlap, or None if there was no room for one of them."""
    shapes = []
    # Large ones first: they are the hardest to fit.
    for category, color, size, pattern in sorted(attributes, key=lambda shape: shape[2]):
        low, high = RADII[size]
        radius_draw, angle, style = rng.random(3).tolist()
        radius = low + (high - low) * radius_draw
        reach = REACH * radius
        for x_draw, y_draw in rng.random((PLACEMENT_TRIES, 2)).tolist():
            x, y = reach + (1 - 2 * reach) * x_draw, reach + (1 - 2 * reach) * y_draw
            if all(math.hypot(x - s.x, y - s.y) > reach + REACH * s.radius + GAP for s in shapes):
                shapes.append(Shape(category, color, size, pattern, x, y, radius, (angle - 0.5) * 0.3, style))
                break
        else:
            return None
    return shapes


@dataclass(frozen=True, slots=True)
class SeenShape(Thing):
    """What can be seen of a shape: its attributes and the box of its mask."""

    category: str
    color: str
    size: str
    pattern: str

    def fits(self, phrase: Phrase) -> Verdict:
        return (
            phrase.category in (None, self.category)
            and phrase.color in (None, self.color)
            and phrase.size in (None, self.size)
            and phrase.pattern in (None, self.pattern)
        )

    def related(self, predicate: str, other: "SeenShape") -> Verdict:
        if predicate == "same color as":
            return self.color == other.color
        if predicate == "same pattern as":
            return self.pattern == other.pattern
        return SPATIAL[predicate](self, other)
