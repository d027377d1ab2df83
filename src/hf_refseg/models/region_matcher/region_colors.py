"""
The colors of a region, of its upper and of its lower half, and of what lies around it: how much is near each of a few
colors.

A pixel counts for the colors around it, on a grid of a few levels of red, green and blue, by how near it is to each. A
box holds background too, and what lies around it says of which colors that is.

M regions of all images, R of one; L levels, so L * L * L colors. Boxes are xyxy in pixels of the network's input.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ...layers.box_averages import average_in_boxes

STRIDE = 4  # pixels per side of a cell whose mean color counts
PARTS = ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0))  # of the height: the whole, and the halves
SIDES = 0.15  # of a box on every side are more often background than not, and do not count
AROUND, LEAST_AROUND = 0.15, 4  # width of what lies around, in shares of the box's sides, and pixels more


def num_colors(levels: int) -> int:
    """How many numbers `region_colors` says of a region."""
    return (len(PARTS) + 1) * levels**3


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
    """
    The square roots, by which small ones are told apart too, of the share of each color in regions of one image and
    around them: (L^3, h, w) and (R, 4) -> (R, 4 * L^3).
    """
    x1, y1, x2, y2 = (boxes := boxes.float()).unbind(1)
    width, height = x2 - x1, y2 - y1
    left, right = x1 + SIDES * width, x2 - SIDES * width
    top, inner = y1 + SIDES * height, (1 - 2 * SIDES) * height
    parts = [torch.stack([left, top + low * inner, right, top + high * inner], 1) for low, high in PARTS]
    margin = AROUND * torch.stack([width, height], 1) + LEAST_AROUND  # (R, 2)
    larger = boxes + torch.cat([-margin, margin], 1)
    *inside, whole, together = average_in_boxes(shares, torch.cat([*parts, boxes, larger]), STRIDE).chunk(5)
    area, larger_area = (width * height)[:, None], (larger[:, 2:] - larger[:, :2]).prod(1, keepdim=True)
    around = (together * larger_area - whole * area) / (larger_area - area)  # (R, L^3)
    return torch.cat([*inside, around], 1).clamp(min=0).sqrt()  # 4 x (R, L^3) -> (R, 4 * L^3)


__all__ = ["color_shares", "num_colors", "padded_color_shares", "region_colors"]
