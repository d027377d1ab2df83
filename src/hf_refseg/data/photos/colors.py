"""The colors of things in photos, as far as people would agree on them."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from ..expressions.things import Verdict

COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "gray", "white")
# Upper ends of the hues in degrees; what is above the last one is red again.
HUES = ((14, "red"), (42, "orange"), (68, "yellow"), (168, "green"), (255, "blue"), (292, "purple"), (342, "pink"))
# Colors that people or light confuse: a thing that is largely the one may be called the other. "Tan" is what skin, sand
# and pale wood have; nothing is called by it.
NEAR: dict[str, frozenset[str]] = {
    "red": frozenset({"pink", "orange", "brown"}),
    "orange": frozenset({"red", "yellow", "brown", "tan"}),
    "yellow": frozenset({"orange", "green", "brown", "white", "tan"}),
    "green": frozenset({"yellow", "blue", "gray", "black"}),
    "blue": frozenset({"purple", "gray", "black", "green"}),
    "purple": frozenset({"blue", "pink", "black"}),
    "pink": frozenset({"red", "purple", "white", "tan"}),
    "brown": frozenset({"orange", "red", "black", "yellow", "gray", "tan"}),
    "black": frozenset({"gray", "brown", "blue"}),
    "gray": frozenset({"white", "black", "blue", "brown"}),
    "white": frozenset({"gray", "pink", "yellow", "tan"}),
}
# It is of a color if most of it is and nothing that contrasts with it is more than a small part: no checks or stripes.
MOSTLY, CONTRAST = 0.58, 0.2
HARDLY, HARDLY_NEAR = 0.10, 0.35
MIN_PIXELS = 60


def color_shares(pixels: np.ndarray) -> dict[str, float]:
    """The share of each color word among pixels, (n, 3) uint8 RGB; empty where there are too few."""
    if len(pixels) < MIN_PIXELS:
        return {}
    hsv = np.asarray(Image.fromarray(pixels.reshape(1, -1, 3)).convert("HSV"))[0].astype(np.float32)
    hue, saturation, value = hsv[:, 0] * (360 / 255), hsv[:, 1] / 255, hsv[:, 2] / 255
    names = np.array([name for _, name in HUES] + ["red"])
    words = names[np.digitize(hue, [end for end, _ in HUES])]
    warm = (words == "orange") | ((words == "red") & (saturation < 0.65)) | ((words == "yellow") & (value < 0.5))
    words = np.where(warm & (value < 0.68), "brown", words)
    # light skin, sand and wood are neither orange nor white
    pale = (words == "orange") & (saturation < 0.55)
    words = np.where(pale, np.where(value < 0.6, "brown", "tan"), words)
    words = np.where(saturation < 0.20, np.where(value > 0.74, "white", "gray"), words)
    words = np.where((value < 0.24) | ((value < 0.32) & (saturation < 0.35)), "black", words)
    found, counts = np.unique(words, return_counts=True)
    return {str(word): float(count) / len(words) for word, count in zip(found, counts, strict=True)}


def color_verdicts(shares: Mapping[str, float]) -> dict[str, Verdict]:
    """Whether something with these shares is of each color: nothing is known without shares."""
    if not shares:
        return dict.fromkeys(COLORS)
    verdicts: dict[str, Verdict] = {}
    for color in COLORS:
        share, near = shares.get(color, 0.0), sum(shares.get(other, 0.0) for other in NEAR[color])
        contrast = max((part for other, part in shares.items() if other not in NEAR[color] | {color}), default=0.0)
        # what looks gray may be white in the shade
        if share >= MOSTLY and contrast <= CONTRAST and color != "gray":
            verdicts[color] = True
        else:
            verdicts[color] = False if share <= HARDLY and near <= HARDLY_NEAR else None
    return verdicts
