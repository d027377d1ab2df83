"""Averages of a feature map in boxes: what a region is like, in one vector."""

import torch


def average_in_boxes(maps: torch.Tensor, boxes: torch.Tensor, stride: int) -> torch.Tensor:
    """
    The mean of a map over each box, cells at its border by the part of them that lies inside: (R, C).

    The weight of a cell is a product of those of its row and its column, so all boxes take two products of matrices.

    Args:
        maps: (C, h, w), whose cell i lies around pixel i * stride.
        boxes: (R, 4) xyxy in pixels of the network's input, x2 and y2 outside.
        stride: pixels per cell.
    """
    (height, width), boxes = maps.shape[1:], boxes.float()
    cells = maps.permute(1, 2, 0)  # (C, h, w) -> (h, w, C), as channels-last maps are in memory
    rows = cell_shares(boxes[:, 1], boxes[:, 3], height, stride).to(maps.dtype)  # (R, h)
    columns = cell_shares(boxes[:, 0], boxes[:, 2], width, stride).to(maps.dtype)  # (R, w)
    lines = (rows @ cells.flatten(1)).unflatten(1, cells.shape[1:])  # (h, w, C) -> (R, w, C)
    return (columns[:, None] @ lines)[:, 0]  # (R, 1, w) and (R, w, C) -> (R, C)


def cell_shares(low: torch.Tensor, high: torch.Tensor, cells: int, stride: int) -> torch.Tensor:
    """The share that each cell has of what lies from `low` to `high` (R,), in pixels: (R, cells), with a sum of 1."""
    start = (torch.arange(cells, device=low.device) - 0.5) * stride + 0.5  # a cell lies around pixel i * stride
    start[0] = -torch.inf  # beyond the outermost cells their values go on
    end = torch.cat([start[1:], start.new_full((1,), torch.inf)])
    # a box of less than a pixel is where its middle is
    middle, half = (low + high) / 2, ((high - low) / 2).clamp(min=0.5)
    low, high = (middle - half)[:, None], (middle + half)[:, None]
    overlap = (high.minimum(end) - low.maximum(start)).clamp(min=0)  # (R, cells)
    return overlap / (high - low)


__all__ = ["average_in_boxes"]
