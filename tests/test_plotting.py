"""The pictures: right sizes and places, and errors where masks or maps do not fit."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.models.mattnet.modeling_mattnet import MAttNetAttentions
from hf_refseg.plotting import COLORS, MODULE_COLORS, overlay, plot_modules, plot_word_maps


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


def looked_at(neighbour=2, modules=3) -> MAttNetAttentions:
    """Three regions of one image, of which the second is chosen for an expression of two words and padding."""
    return MAttNetAttentions(
        word_attentions=torch.tensor([[0.25, 0.75, 0.0]]).expand(modules, 3)[None],
        module_weights=torch.full((1, modules), 1 / modules),
        grid_attention=torch.eye(7)[None] / 7 if modules == 3 else None,
        neighbours=None if neighbour is None else torch.tensor([neighbour]),
        chosen=torch.tensor([1]),
        region_boxes=torch.tensor([[[0.0, 0, 30, 30], [40, 20, 100, 60], [90, 50, 120, 80]]]),
    )


def test_modules_show_regions_cells_and_words(image, mask, tmp_path):
    figure = plot_modules(image, ["red", "dog"], looked_at(), mask=mask)
    photo, region, table = figure.axes
    frames = {patch.get_bbox().bounds: (patch.get_edgecolor()[:3], patch.get_linestyle()) for patch in photo.patches}
    subject, relationship = (
        tuple(channel / 255 for channel in MODULE_COLORS[name]) for name in ("subject", "relationship")
    )
    assert frames[(39.5, 19.5, 60, 40)] == (subject, "-") and frames[(89.5, 49.5, 30, 30)] == (relationship, "--")
    assert frames[(-0.5, -0.5, 30, 30)] == ((1, 1, 1), "-") and len(frames) == 3
    assert region.images[0].get_array().shape == (40, 60) and region.images[1].get_array().shape == (7, 7)
    assert [text.get_text() for text in table.texts] == ["0.25", "0.75"] * 3
    assert [label.get_text() for label in table.get_xticklabels()] == ["red", "dog"]
    assert [label.get_text() for label in table.get_yticklabels()] == [f"{name}\n0.33" for name in MODULE_COLORS]
    figure.savefig(tmp_path / "modules.png")
    assert Image.open(tmp_path / "modules.png").width > 800


def test_modules_of_an_ablation_and_no_neighbour(image):
    figure = plot_modules(image, ["red"], looked_at(None, modules=1), modules=["location"])
    assert len(figure.axes[0].patches) == 3 and len(figure.axes[1].images) == 1
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == ["location\n1.00"]
    assert len(plot_modules(image, ["red"], looked_at(-1)).axes[0].patches) == 3


def test_modules_need_names_and_a_weight_per_word(image):
    with pytest.raises(ValueError, match="3 weights for 4 words; ask the model for output_attentions"):
        plot_modules(image, ["a", "red", "dog", "there"], looked_at())
    with pytest.raises(ValueError, match="2 modules, but the names .*; give modules=model.config.modules"):
        plot_modules(image, ["red"], looked_at(modules=2))
