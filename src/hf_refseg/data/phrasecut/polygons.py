"""PhraseCut's polygons to masks, as its authors rasterise them: Pillow, not pycocotools.

Pillow's polygons are not the same in every version. Pillow 11.3 to 13 agree; of 400 random polygons, 59 differ between
13 and 6.1, which PhraseCut's README pins, by 270 of 843,409 pixels in all. Nobody can install 6.1 beside this package,
so data sets carry the mask as it was rasterised, and their card the version of Pillow it was rasterised with.
`tests/data/phrasecut` holds polygons on which versions differ, and fails with a Pillow that draws them otherwise.
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
    for polygon in polygons:
        if len(polygon) >= 2:
            draw.polygon([(int(x), int(y)) for x, y in polygon], outline=1, fill=1)
    # In column order, as run lengths want it: Pillow transposes three times faster than numpy copies.
    return np.asarray(canvas.transpose(Image.Transpose.TRANSPOSE)).view(bool).T
