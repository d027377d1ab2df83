"""The picture of why a region was chosen."""

import pytest
import torch
from PIL import Image

from hf_refseg.models.region_matcher.outputs_region_matcher import RegionMatcherExplanation
from hf_refseg.models.region_matcher.plotting_region_matcher import plot_explanation


def explanation(answer: bool) -> RegionMatcherExplanation:
    """Three regions, of which the second is the answer, or none is; two words and padding."""
    return RegionMatcherExplanation(
        modules=("subject", "location"),
        word_attentions=torch.tensor([[[0.25, 0.75, 0.0], [0.9, 0.1, 0.0]]]),
        module_weights=torch.tensor([[1.5, 0.5]]),
        kind=torch.tensor([[0.9, 0.8, 0.1]]),
        probabilities=torch.tensor([[0.1, 0.6, 0.1]]),
        nothing=torch.tensor([0.2]),
        answers=torch.tensor([[False, answer, False]]),
        region_boxes=torch.tensor([[[0.0, 0, 30, 30], [40, 20, 100, 60], [90, 50, 120, 80]]]),
    )


def test_it_shows_regions_probabilities_and_words(tmp_path):
    figure = plot_explanation(Image.new("RGB", (120, 80), (90, 90, 90)), ["red", "dog"], explanation(True))
    photo, bars, table = figure.axes
    assert len(photo.patches) == 3 and [text.get_text() for text in photo.texts] == ["1", "2", "3"]
    assert sum(patch.get_linewidth() == 2.5 for patch in photo.patches) == 1
    assert [round(bar.get_width(), 2) for bar in bars.patches] == [0.6, 0.1, 0.1, 0.2]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["1", "2", "3", "none"]
    assert [text.get_text() for text in table.texts] == ["0.25", "0.75", "0.90", "0.10"]
    assert [label.get_text() for label in table.get_yticklabels()] == ["subject\n1.50", "location\n0.50"]
    figure.savefig(tmp_path / "regions.png")
    assert Image.open(tmp_path / "regions.png").width > 800


def test_it_says_where_nothing_is_meant():
    figure = plot_explanation(Image.new("RGB", (120, 80)), ["red", "dog"], explanation(False))
    assert figure.axes[0].get_title() == "nothing like it"
    assert all(patch.get_linewidth() < 1 for patch in figure.axes[0].patches)


def test_it_needs_a_weight_per_word():
    with pytest.raises(ValueError, match="3 weights for 4 words; ask the model for output_attentions"):
        plot_explanation(Image.new("RGB", (120, 80)), ["a", "red", "dog", "there"], explanation(True))
