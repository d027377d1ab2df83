"""Crops of a feature map at boxes, as the C4 detectors below MAttNet and CAC make them, and RoIAlign."""

import torch
import torch.nn.functional as F

from .image_geometry import inclusive_to_exclusive


def crop_regions(
    maps: torch.Tensor,
    boxes: torch.Tensor,
    image_index: torch.Tensor,
    stride: int,
    size: int = 7,
    method: str = "grid",
) -> torch.Tensor:
    """
    The part of its image's feature map that each box covers, at a fixed size.

    Args:
        maps: (B, C, h, w).
        boxes: (R, 4) [x1, y1, x2, y2] in pixels of the network's input, both corners inside. They get no gradient.
        image_index: (R,) which of the maps each box lies in.
        stride: pixels per cell of the map.
        size: cells per side of a crop, S.
        method: "grid" samples S x S points that run from edge to edge, both ends included; cell i of the map lies at
            coordinate i, and outside of it there are zeros ("crop" without max-pooling of the original code, which is
            not RoIAlign). "align" is RoIAlign with four samples per cell.

    Returns:
        (R, C, S, S).
    """
    if method == "align":
        from torchvision.ops import roi_align

        boxes = torch.cat([image_index[:, None].to(boxes), inclusive_to_exclusive(boxes)], 1)  # (R, 4) -> (R, 5)
        return roi_align(maps, boxes.to(maps), size, spatial_scale=1 / stride, sampling_ratio=2, aligned=True)
    _, channels, height, width = maps.shape
    corners = boxes.detach().float() / stride  # (R, 4)
    steps = torch.linspace(0, 1, size, device=maps.device)
    (columns, across), (rows, down) = (  # (R, S, 2) each
        interpolation(low[:, None] + (high - low)[:, None] * steps, length)
        for low, high, length in ((corners[:, 0], corners[:, 2], width), (corners[:, 1], corners[:, 3], height))
    )
    rows = rows + image_index[:, None, None] * height  # of all maps below one another
    cells = rows[:, :, None, :, None] * width + columns[:, None, :, None, :]  # -> (R, S, S, 2, 2)
    weights = down[:, :, None, :, None] * across[:, None, :, None, :]
    # Sums of weighted rows: five times as fast on a CPU as grid_sample, which gathers channel by channel.
    crops = F.embedding_bag(  # (B * h * w, C) -> (R * S * S, C)
        cells.view(-1, 4),
        maps.permute(0, 2, 3, 1).reshape(-1, channels),
        per_sample_weights=weights.view(-1, 4).to(maps.dtype),
        mode="sum",
    )
    return crops.view(-1, size, size, channels).permute(0, 3, 1, 2)  # -> (R, C, S, S), channels last in memory


def interpolation(position: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The two cells around each position (...,) on an axis, and their weights, 0 outside of it: (..., 2) both."""
    lower = position.floor()
    cells = torch.stack([lower, lower + 1], -1)
    weights = torch.stack([lower + 1 - position, position - lower], -1)
    inside = (cells >= 0) & (cells < length)
    return cells.clamp(0, length - 1).long(), weights * inside
