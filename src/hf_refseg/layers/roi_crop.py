"""Crops of a feature map at boxes, as the C4 detectors below MAttNet and CAC make them, and RoIAlign."""

import torch
import torch.nn.functional as F
from torchvision.ops import roi_align


def crop_regions(
    features: torch.Tensor, boxes: list[torch.Tensor], stride: int, size: int = 7, method: str = "grid"
) -> torch.Tensor:
    """
    The part of its image's feature map that each box covers, at a fixed size.

    Args:
        features: (B, C, h, w).
        boxes: per image (R_i, 4) [x1, y1, x2, y2] in pixels of the network's input, both corners inside. They get no
            gradient.
        stride: pixels per cell of the map.
        size: cells per side of a crop, S.
        method: "grid" samples S x S points that run from edge to edge, both ends included; cell i of the map lies at
            coordinate i, and outside of it there are zeros ("crop" without max-pooling of the original code, which is
            not RoIAlign). "align" is RoIAlign with four samples per cell.

    Returns:
        (R, C, S, S) of all images one after the other, R = sum of R_i.
    """
    if method == "align":
        outside = [torch.cat([box[:, :2], box[:, 2:] + 1], dim=1).to(features) for box in boxes]
        return roi_align(features, outside, size, spatial_scale=1 / stride, sampling_ratio=2, aligned=True)
    height, width = features.shape[-2:]
    steps = torch.linspace(0, 1, size, device=features.device)
    crops = []
    for image, box in zip(features, boxes, strict=True):
        corners = box.detach().float() / stride  # (R_i, 4)
        low, extent = corners[:, :2], corners[:, 2:] - corners[:, :2]  # (R_i, 4) -> (R_i, 2) both
        x = low[:, :1] + extent[:, :1] * steps  # (R_i, 1) -> (R_i, S)
        y = low[:, 1:] + extent[:, 1:] * steps
        # from cells to the -1 .. 1 between the outermost cell centres; a map of one cell has no extent to divide by
        x, y = x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1
        grid = torch.stack(  # 2 x (R_i, S, S) -> (R_i, S, S, 2)
            [x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=-1
        )
        grid = grid.flatten(0, 1)[None].to(features.dtype)  # (R_i, S, S, 2) -> (1, R_i * S, S, 2)
        crop = F.grid_sample(image[None], grid, align_corners=True)[0]  # -> (C, R_i * S, S)
        crops.append(crop.unflatten(1, (len(box), size)).transpose(0, 1))  # -> (R_i, C, S, S)
    return torch.cat(crops)
