"""PhraseCut's polygons to masks, as its authors rasterise them: Pillow, not pycocotools.

Pillow's polygons are not the same in every version. 11.2.1, 11.3, 12.0, 12.3 and 13.0 agree on 3,000 random polygons;
10.4 draws 729 of them otherwise, and 6.1, which PhraseCut's README pins and which no Python of today installs, differs
from 13 by 270 of 843,409 pixels of 400 polygons. So data sets carry the mask as it was rasterised, their card the
version of Pillow, and `tests/data/phrasecut/test_polygons.py` fails with a Pillow that draws otherwise.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw


def polygons_to_mask(polygons: Sequence[Sequence[Sequence[float]]], height: int, width: int) -> np.ndarray:
    """Union of polygons of [x, y] points: (H, W) bool.

    Coordinates are cut to integers towards zero; what lies outside the image is not drawn. A polygon of one point is
    skipped and one of two points is a line, as in the original.
    """
    canvas = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(canvas)
    corners = []
    for polygon in polygons:
        if len(polygon) >= 2:
            points = [(int(x), int(y)) for x, y in polygon]
            draw.polygon(points, outline=1, fill=1)
            corners += points
    # In column order, as run lengths want it. Only where something was drawn is copied, half the time of all of it.
    mask = np.zeros((width, height), dtype=bool).T
    if corners:
        xs, ys = zip(*corners, strict=True)
        x0, y0, x1, y1 = max(0, min(xs) - 1), max(0, min(ys) - 1), min(width, max(xs) + 2), min(height, max(ys) + 2)
        if x0 < x1 and y0 < y1:
            mask[y0:y1, x0:x1] = np.asarray(canvas.crop((x0, y0, x1, y1)))
    return mask
