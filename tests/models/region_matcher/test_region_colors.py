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


def colors_of(shares: torch.Tensor, *boxes: list[float]) -> torch.Tensor:
    """Shares of colors, without the square root: (R, 4, L^3)."""
    return region_colors(shares, torch.tensor(boxes)).square().unflatten(1, (4, -1))


def test_halves_of_a_region_have_their_own_colors():
    pixels = torch.cat([normalized((255, 0, 0), 32, 64), normalized((0, 0, 255), 32, 64)], 1)
    pixels = torch.cat([normalized((0, 255, 0), 64, 32), pixels, normalized((0, 255, 0), 64, 32)], 2)
    shares = color_shares(pixels, MEANS, SCALES, 2)
    whole, upper, lower, _ = colors_of(shares, [32.0, 0, 96, 64])[0]
    red, blue = 4, 1
    assert abs(whole[red] - 0.5) < 0.1 and upper[red] > 0.85 and lower[blue] > 0.85


def test_what_is_around_a_region_is_not_its_color():
    """A red thing fills a fourth of its box, before green."""
    pixels = normalized((0, 255, 0), 128, 128).clone()
    pixels[:, 48:80, 48:80] = normalized((255, 0, 0), 32, 32)
    whole, *_, around = colors_of(color_shares(pixels, MEANS, SCALES, 2), [32.0, 32, 96, 96])[0]
    red, green = 4, 2
    assert around[green] > 0.95 and around[red] < 0.01
    assert 0.4 < whole[red] < 0.6  # without SIDES
    torch.testing.assert_close(whole.sum(), torch.tensor(1.0))


def test_a_region_of_one_color_with_its_surroundings_keeps_it():
    colors = colors_of(
        color_shares(normalized((255, 0, 0), 64, 64), MEANS, SCALES, 2), [8.0, 8, 40, 40], [0, 0, 64, 64]
    )
    torch.testing.assert_close(colors[:, :, 4], torch.ones(2, 4), atol=0.02, rtol=0)


@pytest.mark.parametrize("size", [(29, 41), (30, 42), (31, 43), (32, 44)])
def test_padding_changes_no_colors(size):
    pixels, box = torch.rand(3, *size), torch.tensor([[3.0, 2, size[1], size[0]]])
    expected = region_colors(color_shares(pixels, MEANS, SCALES, 3), box)
    padded = F.pad(pixels, (0, 64 - size[1], 0, 64 - size[0]))
    shares = padded_color_shares(padded, torch.tensor(size), MEANS, SCALES, 3)
    torch.testing.assert_close(region_colors(shares, box), expected)
