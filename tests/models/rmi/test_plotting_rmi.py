"""The picture of RMI's word maps."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.models.rmi.modeling_rmi import RmiExplanation
from hf_refseg.models.rmi.plotting_rmi import plot_explanation


@pytest.fixture
def image() -> Image.Image:
    return Image.new("RGB", (120, 80), (90, 90, 90))


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((80, 120), bool)
    mask[20:60, 40:100] = True
    return mask


def test_word_maps_show_photo_words_maps_and_mask(image, mask, tmp_path):
    maps = torch.stack([torch.zeros(40, 40), torch.full((40, 40), 0.1), torch.full((40, 40), 0.7)])[:, None]
    maps[2, 0, :6] = 9.0  # lies in the letterbox above the photo: neither drawn nor part of the color scale
    figure = plot_explanation(image, ["red", "dog"], RmiExplanation(word_maps=maps), mask=mask)
    assert [axis.get_title() for axis in figure.axes if axis.get_title()] == ["photo", "red", "dog", "mask"]
    red, dog = (figure.axes[panel].images[1] for panel in (1, 2))
    assert red.get_array().min() == pytest.approx(0.1) and dog.get_array().max() == pytest.approx(0.7)
    assert dog.get_clim() == pytest.approx((0.1, 0.7))
    assert red.get_array().shape[1] / red.get_array().shape[0] == pytest.approx(1.5, rel=0.02)
    figure.savefig(tmp_path / "maps.png")
    assert Image.open(tmp_path / "maps.png").width > 300


def test_word_maps_need_a_map_per_word(image):
    with pytest.raises(ValueError, match="1 maps for 2 words; ask the model for output_attentions"):
        plot_explanation(image, ["red", "dog"], RmiExplanation(word_maps=torch.zeros(1, 1, 4, 4)))
