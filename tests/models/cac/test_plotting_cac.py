"""The picture of CAC's filters."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.models.cac.configuration_cac import FILTERS
from hf_refseg.models.cac.outputs_cac import CacExplanation
from hf_refseg.models.cac.plotting_cac import plot_explanation


@pytest.fixture
def image() -> Image.Image:
    return Image.new("RGB", (120, 80), (90, 90, 90))


def explanation(filters=FILTERS, size=(6, 8)) -> CacExplanation:
    """Of two expressions on a photo of 120 x 80 pixels, whose 16 pixels wide cells reach a little beyond it."""
    generator = torch.Generator().manual_seed(0)
    responses = torch.randn(2, len(filters), *size, generator=generator)
    weights = torch.linspace(-1, 1, len(filters)).expand(2, -1)
    return CacExplanation(
        filters=filters,
        responses=responses,
        weights=weights,
        fused_response=(weights[..., None, None] * responses).sum(1),
        cell_sizes=torch.tensor([16.0, 16.0]),
    )


def test_every_filter_shows_its_share_and_its_part(image, tmp_path):
    seen = explanation()
    mask = np.zeros((80, 120), bool)
    mask[20:60, 40:100] = True
    figure = plot_explanation(image, ["left", "dog"], seen, row=1, mask=mask)
    axes = figure.axes[:10]
    assert figure.get_suptitle() == "left dog"
    titles = [axis.get_title() for axis in axes]
    assert titles[:3] == ["photo", "whole (-1.00)", "up (-0.67)"] and titles[-2:] == ["response", "mask"]
    shares = (seen.weights[1, :, None, None] * seen.responses[1]).numpy()
    for axis, share in zip(axes[1:8], shares, strict=True):
        drawn = axis.images[1]
        np.testing.assert_allclose(drawn.get_array(), share[:5, :8])  # 80 / 16 rows of six, 120 / 16 columns of eight
        assert drawn.get_clim() == pytest.approx((-np.abs(shares).max(), np.abs(shares).max()))
        assert drawn.get_extent() == [-0.5, 127.5, 79.5, -0.5] and axis.get_xlim() == (-0.5, 119.5)
    frames = [axis.patches[0].get_bbox().bounds for axis in axes[1:8]]
    assert frames[0] == (-0.5, -0.5, 128, 80), "the whole map"
    assert frames[3] == (-0.5, -0.5, 64, 80), "four of eight columns are left"
    assert frames[5] == (-0.5, 15.5, 128, 32), "rows 1 and 2 of five are the middle"
    figure.savefig(tmp_path / "filters.png")
    assert Image.open(tmp_path / "filters.png").width > 1000


def test_a_single_filter_and_no_mask(image):
    figure = plot_explanation(image, ["dog"], explanation(("whole",)))
    assert [axis.get_title() for axis in figure.axes[:3]] == ["photo", "whole (-1.00)", "response"]


def test_a_smaller_photo_of_a_batch_shows_its_own_cells(image):
    figure = plot_explanation(image.crop((0, 0, 50, 33)), ["dog"], explanation())
    assert figure.axes[1].images[1].get_array().shape == (3, 4)


def test_words_are_needed(image):
    with pytest.raises(ValueError, match="there are no words"):
        plot_explanation(image, [], explanation())
