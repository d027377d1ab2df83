"""The pictures: right sizes and places, and errors where masks or maps do not fit."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.plotting import COLORS, overlay, plot_word_maps


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


def test_word_maps_show_photo_words_maps_and_mask(image, mask, tmp_path):
    maps = [torch.zeros(40, 40), torch.full((40, 40), 0.1), torch.full((40, 40), 0.7)]
    maps[2][:6] = 9.0  # lies in the letterbox above the photo: neither drawn nor part of the colour scale
    figure = plot_word_maps(image, ["red", "dog"], maps, mask)
    assert [axis.get_title() for axis in figure.axes if axis.get_title()] == ["photo", "red", "dog", "mask"]
    red, dog = (figure.axes[panel].images[1] for panel in (1, 2))
    assert red.get_array().min() == pytest.approx(0.1) and dog.get_array().max() == pytest.approx(0.7)
    assert dog.get_clim() == pytest.approx((0.1, 0.7))
    assert red.get_array().shape[1] / red.get_array().shape[0] == pytest.approx(1.5, rel=0.02)
    figure.savefig(tmp_path / "maps.png")
    assert Image.open(tmp_path / "maps.png").width > 300


def test_word_maps_need_a_map_per_word(image):
    with pytest.raises(ValueError, match="1 maps for 2 words; ask the model for output_attentions"):
        plot_word_maps(image, ["red", "dog"], torch.zeros(1, 4, 4))
