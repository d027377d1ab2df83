"""Turns PhraseCut's polygons into masks as its authors do: with Pillow, not pycocotools.

Versions of Pillow differ. 11.2.1, 11.3, 12.0, 12.3 and 13.0 agree on 3,000 random polygons; 10.4 draws 729 of them
differently. 6.1, which PhraseCut's README asks for and current Pythons can't install, differs from 13 in 270 of 843,409
pixels of 400 polygons. So built data sets store the masks, their card gives the version of Pillow, and
`tests/data/phrasecut/test_polygons.py` fails if a version draws differently.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from PIL import Image, ImageDraw

from ..official_files import FARTHEST, shown

# Of one phrase; annotators drew a few thousand at most. Pillow takes minutes for a polygon of a million.
MOST_POINTS = 50_000


def count_points(instances: Sequence[Sequence[Sequence[Sequence[float]]]], where: str) -> list[int]:
    """How many points each polygon of all instances of a phrase has.

    Raises:
        ValueError: they can't be drawn: a point that is not two numbers, or that no picture reaches to, or too many;
            it names `where`.
    """
    try:
        polygons = [polygon for instance in instances for polygon in instance]
        counts = [len(polygon) for polygon in polygons]
    except TypeError as error:
        raise ValueError(f"{where}: its Polygons are no lists of instances, polygons and points: {error}") from error
    if sum(counts) > MOST_POINTS:
        raise ValueError(f"{where}: its polygons have {sum(counts):,} points; {MOST_POINTS:,} are the most.")
    for polygon, count in zip(polygons, counts, strict=True):
        try:
            points, kinds = np.asarray(polygon), set(map(type, chain.from_iterable(polygon)))
        except (ValueError, TypeError, OverflowError):  # points of different lengths, or no lists
            points, kinds = np.empty(0, object), set()
        numbers = kinds <= {int, float} and points.shape == (count, 2) and bool((abs(points) <= FARTHEST).all())
        if count and not numbers:
            raise ValueError(
                f"{where}: a polygon can't be drawn: it is {shown(polygon)}, expected points [x, y], numbers of at "
                f"most {FARTHEST:,} pixels."
            )
    return counts


def polygons_to_mask(polygons: Sequence[Sequence[Sequence[float]]], height: int, width: int) -> np.ndarray:
    """Union of polygons of [x, y] points: (H, W) bool.

    As in the original, coordinates are truncated to integers, parts outside the image are not drawn, a polygon of one
    point is skipped, and one of two points is a line.
    """
    canvas = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(canvas)
    corners = []
    for polygon in polygons:
        if len(polygon) >= 2:
            points = [(int(x), int(y)) for x, y in polygon]
            draw.polygon(points, outline=1, fill=1)
            corners += points
    # In column order, which run lengths need. Copying only the drawn part takes half the time.
    mask = np.zeros((width, height), dtype=bool).T
    if corners:
        xs, ys = zip(*corners, strict=True)
        x0, y0, x1, y1 = max(0, min(xs) - 1), max(0, min(ys) - 1), min(width, max(xs) + 2), min(height, max(ys) + 2)
        if x0 < x1 and y0 < y1:
            mask[y0:y1, x0:x1] = np.asarray(canvas.crop((x0, y0, x1, y1)))
    return mask
