import numpy as np
import pytest

from hf_refseg.data import RefShapes, decode_mask
from hf_refseg.data.refshapes.drawing import OUTLINES, RGB
from hf_refseg.data.refshapes.scene import CATEGORIES, COLORS, FURTHER_CATEGORIES


def instances(num_samples, size=128):
    for row in RefShapes(num_samples=num_samples, seed=11, size=size):
        for instance in row["instances"]:
            yield row, instance


def test_every_category_and_color_can_be_drawn():
    assert set(OUTLINES) == {*CATEGORIES, *FURTHER_CATEGORIES} and set(RGB) == set(COLORS)


def test_small_and_large_are_far_apart():
    # Also between categories: "the small shape" may be any.
    sides = {}
    for _, instance in instances(150):
        x0, y0, x1, y1 = instance["box"]
        sides.setdefault((instance["category"], instance["attributes"][0]), []).append(max(x1 - x0, y1 - y0))
    assert min(s for (_, size), all_sides in sides.items() if size == "large" for s in all_sides) > 1.25 * max(
        s for (_, size), all_sides in sides.items() if size == "small" for s in all_sides
    )
    for category in CATEGORIES:
        assert min(sides[category, "large"]) > 1.4 * max(sides[category, "small"])


@pytest.mark.parametrize("side", (48, 128))
def test_shapes_have_the_color_and_pattern_they_are_said_to_have(side):
    names, values = list(RGB), np.array(list(RGB.values()))
    for row, instance in instances(150, side):
        size, pattern, color = instance["attributes"]
        pixels = np.asarray(row["image"], dtype=float)[decode_mask(instance["mask"])]
        # The darkest half of a shape is its own color, whatever light pattern lies on it.
        dark = pixels[pixels.sum(1) <= np.median(pixels.sum(1))].mean(0)
        assert names[np.abs(values - dark).sum(1).argmin()] == color
        spread = pixels.sum(1).std()
        assert spread < 12 if pattern == "plain" else spread > 30, instance


def test_shapes_differ_from_the_background():
    for row, instance in instances(60):
        image = np.asarray(row["image"], dtype=float)
        background = ~np.any([decode_mask(i["mask"]) for i in row["instances"]], axis=0)
        assert image[background].min() > 190
        inside = image[decode_mask(instance["mask"])].mean(0)
        assert np.abs(inside - image[background].mean(0)).sum() > 60
