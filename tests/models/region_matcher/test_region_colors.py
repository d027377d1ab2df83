"""The colors of regions."""

import pytest
import torch
import torch.nn.functional as F

from hf_refseg.models.region_matcher.region_colors import STRIDE, color_shares, padded_color_shares, region_colors

MEANS, SCALES = [120.0, 110.0, 100.0], [60.0, 50.0, 40.0]


def normalized(color: tuple[int, int, int], height: int = 32, width: int = 32) -> torch.Tensor:
    values = (torch.tensor(color, dtype=torch.float32) - torch.tensor(MEANS)) / torch.tensor(SCALES)
    return values[:, None, None].expand(3, height, width)


def test_a_color_of_the_grid_is_itself_and_one_between_is_shared():
    red = color_shares(normalized((255, 0, 0)), MEANS, SCALES, 3)
    assert red.shape == (27, 32 // STRIDE, 32 // STRIDE)
    assert red[2 * 9].min() > 0.99
    between = color_shares(normalized((255, 64, 0)), MEANS, SCALES, 3)
    torch.testing.assert_close(between.sum(0), torch.ones(8, 8), atol=1e-3, rtol=0)
    assert 0.45 < between[2 * 9, 0, 0] < 0.55 and 0.45 < between[2 * 9 + 3, 0, 0] < 0.55


def test_halves_of_a_region_have_their_own_colors():
    pixels = torch.cat([normalized((255, 0, 0), 32, 64), normalized((0, 0, 255), 32, 64)], 1)
    shares = color_shares(pixels, MEANS, SCALES, 2)
    colors = region_colors(shares, torch.tensor([[0.0, 0, 64, 64], [8, 2, 40, 26]])).unflatten(1, (3, 8))
    red, blue = 4, 1
    whole, upper, lower = colors[0]
    assert abs(whole[red] - 0.5) < 0.1 and upper[red] > 0.85 and lower[blue] > 0.85
    assert (colors[1, :, red] > 0.95).all()


@pytest.mark.parametrize("size", [(29, 41), (30, 42), (31, 43), (32, 44)])
def test_padding_changes_no_colors(size):
    pixels, box = torch.rand(3, *size), torch.tensor([[3.0, 2, size[1], size[0]]])
    expected = region_colors(color_shares(pixels, MEANS, SCALES, 3), box)
    padded = F.pad(pixels, (0, 64 - size[1], 0, 64 - size[0]))
    shares = padded_color_shares(padded, torch.tensor(size), MEANS, SCALES, 3)
    torch.testing.assert_close(region_colors(shares, box), expected)
