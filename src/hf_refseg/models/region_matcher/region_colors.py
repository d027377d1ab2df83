"""
The colors of a region: how much of it, of its upper and of its lower half is near each of a few colors.

A pixel counts for the colors around it, on a grid of a few levels of red, green and blue, by how near it is to each.

M regions of all images, R of one; L levels, so L * L * L colors. Boxes are xyxy in pixels of the network's input.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ...layers.box_averages import average_in_boxes

STRIDE = 4  # pixels per side of a cell whose mean color counts
PARTS = ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0))  # of the height: the whole, and the halves
SIDES = 0.15  # of a box on every side are more often background than not, and do not count


def color_shares(pixels: torch.Tensor, means: Sequence[float], scales: Sequence[float], levels: int) -> torch.Tensor:
    """
    The share of each color in every cell of an image: (3, H, W) -> (L^3, H / 4, W / 4) float32, they sum to 1.

    Args:
        pixels: normalized, RGB.
        means, scales: by which they were normalized from 0 to 255.
        levels: L.
    """
    # the pixels around every fourth one, which is the center of a cell
    cells = F.avg_pool2d(pixels[None].float(), 5, STRIDE, padding=2, count_include_pad=False)[0]
    return shares_of_cells(cells, means, scales, levels)


def padded_color_shares(
    pixels: torch.Tensor, size: torch.Tensor, means: Sequence[float], scales: Sequence[float], levels: int
) -> torch.Tensor:
    """
    The same of an image with zeros at its right and bottom, for exported graphs, which can't cut them off. On them the
    colors of the image's last cells go on.

    Args:
        size: (2,) height and width of the image.
    """
    height, width = pixels.shape[1:]
    down, across = (
        torch.arange(side, device=pixels.device) < limit for side, limit in ((height, size[0]), (width, size[1]))
    )
    inside = (down[:, None] & across)[None, None].to(pixels)
    # in both the same zeros count, so that the quotient is the mean of the image's own pixels
    sums, counts = (F.avg_pool2d(values, 5, STRIDE, padding=2) for values in (pixels[None], inside))
    cells = (sums / counts.clamp(min=1e-6))[0]
    last = (size - 1) // STRIDE
    for dim, limit in ((1, last[0]), (2, last[1])):
        cells = cells.index_select(dim, torch.arange(cells.shape[dim], device=pixels.device).minimum(limit))
    return shares_of_cells(cells, means, scales, levels)


def shares_of_cells(cells: torch.Tensor, means: Sequence[float], scales: Sequence[float], levels: int) -> torch.Tensor:
    """`color_shares` of the mean pixels of cells (3, h, w)."""
    means, scales = (torch.tensor(list(values), device=cells.device)[:, None, None] for values in (means, scales))
    values = ((cells * scales + means) / 255).clamp(0, 1) * (levels - 1)  # (3, h, w)
    places = torch.arange(levels, device=cells.device)[:, None, None, None]
    red, green, blue = (1 - (values - places).abs()).clamp(min=0).unbind(1)  # (L, 3, h, w) -> 3 x (L, h, w)
    shares = red[:, None, None] * green[None, :, None] * blue[None, None]  # -> (L, L, L, h, w)
    return shares.flatten(0, 2)  # -> (L^3, h, w)


def region_colors(shares: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """The share of each color in regions of one image: (L^3, h, w) and (R, 4) -> (R, 3 * L^3)."""
    x1, y1, x2, y2 = boxes.float().unbind(1)
    left, right = x1 + SIDES * (x2 - x1), x2 - SIDES * (x2 - x1)
    top, height = y1 + SIDES * (y2 - y1), (1 - 2 * SIDES) * (y2 - y1)
    parts = torch.cat(
        [torch.stack([left, top + low * height, right, top + high * height], 1) for low, high in PARTS]
    )  # (R,) -> (3R, 4)
    colors = average_in_boxes(shares, parts, STRIDE).unflatten(0, (len(PARTS), -1))  # (3R, L^3) -> (3, R, L^3)
    return torch.cat(colors.unbind(0), 1)  # -> (R, 3 * L^3)


__all__ = ["PARTS", "color_shares", "padded_color_shares", "region_colors"]
