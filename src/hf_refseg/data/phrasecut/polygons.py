"""Turns PhraseCut's polygons into masks as its authors do: with Pillow, not pycocotools.

Versions of Pillow differ. 11.2.1, 11.3, 12.0, 12.3 and 13.0 agree on 3,000 random polygons; 10.4 draws 729 of them
differently. 6.1, which PhraseCut's README asks for and current Pythons can't install, differs from 13 in 270 of 843,409
pixels of 400 polygons. So built data sets store the masks, their card gives the version of Pillow, and
`tests/data/phrasecut/test_polygons.py` fails if a version draws differently.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw


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
