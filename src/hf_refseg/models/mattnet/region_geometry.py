"""
Where regions lie, alone and among their neighbors: the numbers of MAttNet's location and relationship modules.

M regions of all images; K neighbors. Boxes are xyxy in pixels of the photo, x2 and y2 outside of it. Everything is
computed in float64, so that distances that tie in the original's arithmetic tie here (their order depends on that), and
returned in float32.
"""

from typing import Literal

import torch
import torch.nn.functional as F

from ...layers.regions import Regions

Kinds = Literal["same", "different", "different_then_same"]


def location_features(boxes: torch.Tensor, image_sizes: torch.Tensor) -> torch.Tensor:
    """
    [x1 / W, y1 / H, (x2 - 1) / W, (y2 - 1) / H, w h / (W H)] of each region.

    Args:
        boxes: (M, 4).
        image_sizes: (M, 2) height and width of the photo of each.

    Returns:
        (M, 5).
    """
    low, size = corner_and_size(boxes)
    image_size = image_sizes.flip(-1).double()  # (M, 2) -> width, height
    area = size.prod(-1, keepdim=True) / image_size.prod(-1, keepdim=True)  # (M, 2) -> (M, 1)
    return torch.cat([low / image_size, (low + size - 1) / image_size, area], -1).float()  # -> (M, 5)


def corner_and_size(boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(..., 4) to the first corner (..., 2) and width and height (..., 2), in float64."""
    low, high = boxes.double().split(2, -1)
    return low, high - low


def neighbor_rows(regions: Regions, num_neighbors: int, kinds: Kinds) -> torch.Tensor:
    """Which of all M regions are the neighbors of each: (M, K), -1 where its image has no more; see `neighbors`."""
    rows = []
    for start, boxes, labels in zip(
        regions.starts, regions.split(regions.boxes), regions.split(regions.labels), strict=True
    ):
        index = neighbors(boxes, labels, num_neighbors, kinds)
        rows.append(torch.where(index >= 0, start + index, -1))
    return torch.cat(rows)  # B x (R_i, K) -> (M, K)


def neighbors(boxes: torch.Tensor, categories: torch.Tensor, num_neighbors: int, kinds: Kinds) -> torch.Tensor:
    """
    The nearest other regions of each region of one image by the distance of their centers, nearest first.

    Of several at the same distance the last comes first: the original's comparison never calls two equal, which turns
    ties around.

    Args:
        boxes: (R, 4).
        categories: (R,).
        num_neighbors: K.
        kinds: regions of the "same" or of a "different" category, or all: those of a different category first,
            however far, and then those of the same.

    Returns:
        (R, K) indices of regions, -1 where there are no more.
    """
    num_regions = boxes.shape[0]
    low, size = corner_and_size(boxes)
    centers = low + size / 2  # (R, 2)
    distances = (centers[:, None] - centers).square().sum(-1)  # (R, 2) -> (R, R)
    order = num_regions - 1 - distances.flip(-1).argsort(dim=-1, stable=True)  # (R, R), nearest first

    same = categories[:, None] == categories  # (R,) -> (R, R)
    group = same.int() if kinds != "same" else (~same).int()  # 0: taken first
    itself = torch.eye(num_regions, dtype=torch.bool, device=boxes.device)
    last_group = int(kinds == "different_then_same")
    group = group.masked_fill(itself | (group > last_group), 2).gather(-1, order)
    # with K behind that are never taken, for an image of fewer regions
    group, order = F.pad(group, (0, num_neighbors), value=2), F.pad(order, (0, num_neighbors))  # -> (R, R + K)
    picked = group.argsort(dim=-1, stable=True)[:, :num_neighbors]  # (R, R + K) -> (R, K)
    return torch.where(group.gather(-1, picked) < 2, order.gather(-1, picked), -1)


def relative_locations(boxes: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """
    Where each neighbor's box lies, from the center and in sides of the region's own: [dx0, dy0, dx1, dy1, area ratio].

    The paper takes differences of corners, its code those of the neighbor's corners and the region's center. A side of
    length zero counts as one pixel, so that the numbers stay finite.

    Args:
        boxes: (M, 4).
        rows: (M, K) which of them each neighbor is, -1 for none.

    Returns:
        (M, K, 5), zeros for none.
    """
    low, size = corner_and_size(boxes)
    others_low, others_size = low[rows.clamp(min=0)], size[rows.clamp(min=0)]  # (M, 2) -> (M, K, 2)
    own = torch.where(size == 0, 1, size)[:, None]  # (M, 2) -> (M, 1, 2)
    center = (low + size / 2)[:, None]  # (M, 2) -> (M, 1, 2)
    area = others_size.prod(-1, keepdim=True) / own.prod(-1, keepdim=True)  # (M, K, 2) -> (M, K, 1)
    corners = [(others_low - center) / own, (others_low + others_size - center) / own]
    numbers = torch.cat([*corners, area], -1)  # -> (M, K, 5)
    return torch.where(rows[..., None] >= 0, numbers, 0).float()
