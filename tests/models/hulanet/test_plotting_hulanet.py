"""The picture of HULANet's modules."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.models.hulanet.outputs_hulanet import HulaNetExplanation
from hf_refseg.models.hulanet.phrase_modules import COMBINED_NAMES
from hf_refseg.models.hulanet.plotting_hulanet import plot_explanation


@pytest.fixture
def image() -> Image.Image:
    return Image.new("RGB", (120, 80), (90, 90, 90))


def explanation(present: list[bool], **changes) -> HulaNetExplanation:
    """Of one phrase, on a grid of 5 x 8 of which the image fills 4 x 6."""
    maps = {
        f"{name}_maps": torch.rand(1, 5, 8) for name in ("category", "attribute", "relationship", "object", "combined")
    }
    return HulaNetExplanation(
        **{
            **maps,
            "present": torch.tensor([present]),
            "weights": torch.tensor([[0.4, 0.1, 0, 0.3, 0, 0, 0.1, 0, 0, 0.1]]),
            "category_attention": torch.tensor([[0.1, 0.9, 0.5, 0.2]]),
            "attribute_attention": torch.tensor([[0.3, 0.6]]),
            "grid_sizes": torch.tensor([[4, 6]]),
            "categories": ("cup", "mug", "glass", "man"),
            "attributes": ("red", "white"),
            **changes,
        }
    )


def test_maps_of_what_is_said_and_the_weights(image, tmp_path):
    mask = np.zeros((80, 120), bool)
    mask[20:60, 40:100] = True
    figure = plot_explanation(image, ["red", "mug"], explanation([True, True, False]), mask=mask)
    axes = figure.axes
    titles = ["photo", "category", "attribute", "combined", "mask", "weights of the channels"]
    assert [axis.get_title() for axis in axes[:6]] == titles
    assert axes[1].get_xlabel() == "mug 0.90\nglass 0.50\nman 0.20" and axes[2].get_xlabel() == "white 0.60\nred 0.30"
    assert axes[1].images[1].get_array().shape == (4, 6)
    assert [label.get_text() for label in axes[5].get_yticklabels()] == list(COMBINED_NAMES)
    assert [bar.get_width() for bar in axes[5].patches] == pytest.approx([0.4, 0.1, 0, 0.3, 0, 0, 0.1, 0, 0, 0.1])
    figure.savefig(tmp_path / "modules.png")
    assert Image.open(tmp_path / "modules.png").width > 800


def test_relations_show_their_object_too(image):
    figure = plot_explanation(image, ["cup", "on", "mat"], explanation([True, False, True]))
    titles = ["photo", "category", "object of the relation", "relationship", "combined", "weights of the channels"]
    assert [axis.get_title() for axis in figure.axes[:6]] == titles


def test_models_without_names_show_numbers(image):
    figure = plot_explanation(image, ["red", "cup"], explanation([True, True, False], attributes=()))
    assert figure.axes[2].get_xlabel() == "1 0.60\n0 0.30"


def test_no_words_are_refused(image):
    with pytest.raises(ValueError, match="there are no words"):
        plot_explanation(image, [], explanation([True, False, False]))
