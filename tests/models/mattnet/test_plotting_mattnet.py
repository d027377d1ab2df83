"""The picture of MAttNet's modules."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.models.mattnet.outputs_mattnet import MAttNetExplanation
from hf_refseg.models.mattnet.plotting_mattnet import MODULE_COLORS, plot_explanation


@pytest.fixture
def image() -> Image.Image:
    return Image.new("RGB", (120, 80), (90, 90, 90))


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((80, 120), bool)
    mask[20:60, 40:100] = True
    return mask


def looked_at(neighbor=2, names=("subject", "location", "relationship")) -> MAttNetExplanation:
    """Three regions of one image, of which the second is chosen for an expression of two words and padding."""
    modules = len(names)
    return MAttNetExplanation(
        modules=names,
        word_attentions=torch.tensor([[0.25, 0.75, 0.0]]).expand(modules, 3)[None],
        module_weights=torch.full((1, modules), 1 / modules),
        grid_attention=torch.eye(7)[None] / 7 if modules == 3 else None,
        neighbors=None if neighbor is None else torch.tensor([neighbor]),
        chosen=torch.tensor([1]),
        region_boxes=torch.tensor([[[0.0, 0, 30, 30], [40, 20, 100, 60], [90, 50, 120, 80]]]),
    )


def test_modules_show_regions_cells_and_words(image, mask, tmp_path):
    figure = plot_explanation(image, ["red", "dog"], looked_at(), mask=mask)
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


def test_modules_of_an_ablation_and_no_neighbor(image):
    figure = plot_explanation(image, ["red"], looked_at(None, ("location",)))
    assert len(figure.axes[0].patches) == 3 and len(figure.axes[1].images) == 1
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == ["location\n1.00"]
    assert len(plot_explanation(image, ["red"], looked_at(-1)).axes[0].patches) == 3


def test_modules_need_a_weight_per_word(image):
    with pytest.raises(ValueError, match="3 weights for 4 words; ask the model for output_attentions"):
        plot_explanation(image, ["a", "red", "dog", "there"], looked_at())
