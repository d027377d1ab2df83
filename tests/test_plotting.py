"""The pictures: right sizes and places, and errors where masks or maps do not fit."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.plotting import COLORS, overlay


@pytest.fixture
def image():
    return Image.new("RGB", (120, 80), (100, 100, 100))


@pytest.fixture
def mask():
    mask = np.zeros((80, 120), bool)
    mask[20:60, 30:90] = True
    return mask


def test_overlay_tints_inside_outlines_and_leaves_the_rest(image, mask):
    painted = np.asarray(overlay(image, mask, alpha=0.5)).astype(int)
    assert painted.shape == (80, 120, 3)
    assert (painted[~mask] == 100).all()
    assert painted[20, 30].tolist() == list(COLORS[0])
    np.testing.assert_allclose(painted[40, 60], (100 + np.array(COLORS[0])) / 2, atol=1)


def test_outlines_are_as_wide_as_the_photo_asks_and_not_at_its_border():
    mask = np.zeros((540, 720), bool)
    mask[100:200, :300] = True
    painted = np.asarray(overlay(Image.new("RGB", (720, 540), "black"), mask))
    outlined = (painted == COLORS[0]).all(-1)
    expected = mask.copy()
    expected[103:197, :297] = False  # 3 pixels, 540 / 180, inside of the mask
    np.testing.assert_array_equal(outlined, expected)


def test_overlay_takes_every_kind_of_mask(image, mask):
    expected = np.asarray(overlay(image, mask))
    for same in (torch.from_numpy(mask), mask.astype(np.uint8) * 255, Image.fromarray(mask), [mask]):
        np.testing.assert_array_equal(np.asarray(overlay(image, same)), expected)


def test_legend_names_every_mask_below_the_photo(image, mask):
    masks = [mask, ~mask, np.zeros_like(mask)]
    painted = overlay(image, masks, ["a box", "all around it", "the dog on the left of the photo"])
    assert painted.width == 120 and painted.height > 80 + 3 * 12
    np.testing.assert_array_equal(np.asarray(painted)[:80], np.asarray(overlay(image, masks)))
    legend = {tuple(color) for color in np.asarray(painted)[80:].reshape(-1, 3)}
    assert set(COLORS[:3]) <= legend
    assert overlay(image, mask, "a box").height > 80


def test_overlay_says_what_does_not_fit(image, mask):
    with pytest.raises(ValueError, match=r"mask 1 has the shape \(120, 80\); the image is \(80, 120\)"):
        overlay(image, [mask, mask.T])
    with pytest.raises(ValueError, match="1 labels for 2 masks"):
        overlay(image, [mask, mask], ["a box"])
