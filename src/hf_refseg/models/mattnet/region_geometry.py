"""
Where regions lie, alone and among their neighbours: the numbers of MAttNet's location and relationship modules.

B images, padded to R regions each; K neighbours. Boxes are COCO's [x, y, width, height] in pixels of the original
image, not corners: in float64, a distance that ties in the original's arithmetic ties here, and its order depends on
that. Everything is computed in float64 and returned in float32.
"""

from typing import Literal

import torch

Kinds = Literal["same", "different", "different_then_same"]


def with_area(boxes: torch.Tensor) -> torch.Tensor:
    """(..., 4) xyxy, in which annotated boxes of no width or height (COCO has some) become one pixel wide or high."""
    flat = boxes[..., 2:] == boxes[..., :2]
    return torch.cat([boxes[..., :2], boxes[..., 2:] + flat], -1)


def location_features(boxes: torch.Tensor, image_sizes: torch.Tensor) -> torch.Tensor:
    """
    [x / W, y / H, (x + w - 1) / W, (y + h - 1) / H, w h / (W H)] of each region.

    Args:
        boxes: (B, R, 4).
        image_sizes: (B, 2) height and width of the original images.

    Returns:
        (B, R, 5).
    """
    x, y, width, height = boxes.double().unbind(-1)  # (B, R, 4) -> 4 x (B, R)
    image_height, image_width = image_sizes.to(boxes.device).double()[:, :, None].unbind(1)  # (B, 2) -> 2 x (B, 1)
    numbers = [
        x / image_width,
        y / image_height,
        (x + width - 1) / image_width,
        (y + height - 1) / image_height,
        width * height / (image_width * image_height),
    ]
    return torch.stack(numbers, -1).float()  # 5 x (B, R) -> (B, R, 5)


def neighbours(
    boxes: torch.Tensor, categories: torch.Tensor, region_mask: torch.Tensor, num_neighbours: int, kinds: Kinds
) -> torch.Tensor:
    """
    The nearest other regions of each region by the distance of their centres, nearest first.

    Of several at the same distance the last comes first: the original's comparison never calls two equal, which turns
    ties around.

    Args:
        boxes: (B, R, 4).
        categories: (B, R).
        region_mask: (B, R) bool, False at padding.
        num_neighbours: K.
        kinds: regions of the "same" or of a "different" category, or all: those of a different category first,
            however far, and then those of the same.

    Returns:
        (B, R, K) indices of regions, -1 where there are no more.
    """
    num_regions = boxes.shape[1]
    boxes = boxes.double()
    centres = boxes[..., :2] + boxes[..., 2:] / 2  # (B, R, 4) -> (B, R, 2)
    distances = (centres[:, :, None] - centres[:, None]).square().sum(-1)  # (B, R, 2) -> (B, R, R)
    order = num_regions - 1 - distances.flip(-1).argsort(dim=-1, stable=True)  # (B, R, R), nearest first

    same = categories[:, :, None] == categories[:, None]  # (B, R) -> (B, R, R)
    itself = torch.eye(num_regions, dtype=torch.bool, device=boxes.device)
    exists = region_mask[:, None] & region_mask[:, :, None] & ~itself  # (B, R) -> (B, R, R)
    group = same.int() if kinds != "same" else (~same).int()  # 0: taken first
    last_group = int(kinds == "different_then_same")
    group = torch.where(exists & (group <= last_group), group, 2).take_along_dim(order, -1)
    picked = group.argsort(dim=-1, stable=True)[..., :num_neighbours]  # (B, R, R) -> (B, R, min(K, R))
    found = torch.where(group.take_along_dim(picked, -1) < 2, order.take_along_dim(picked, -1), -1)
    return torch.nn.functional.pad(found, (0, max(0, num_neighbours - num_regions)), value=-1)  # -> (B, R, K)


def relative_locations(boxes: torch.Tensor, neighbour_index: torch.Tensor) -> torch.Tensor:
    """
    Where each neighbour's box lies, from the centre and in sides of the region's own: [dx0, dy0, dx1, dy1, area ratio].

    The paper takes differences of corners, its code those of the neighbour's corners and the region's centre. A side of
    length zero counts as one pixel, so that the numbers stay finite.

    Args:
        boxes: (B, R, 4).
        neighbour_index: (B, R, K), -1 for none.

    Returns:
        (B, R, K, 5), zeros for none.
    """
    boxes = boxes.double()
    batch, num_regions, num_neighbours = neighbour_index.shape
    index = neighbour_index.clamp(min=0).flatten(1)[..., None]  # (B, R, K) -> (B, RK, 1)
    others = boxes.take_along_dim(index, 1).view(batch, num_regions, num_neighbours, 4)  # (B, RK, 4) -> (B, R, K, 4)
    low, size = others[..., :2], others[..., 2:]
    own = torch.where(boxes[..., 2:] == 0, 1, boxes[..., 2:])[:, :, None]  # (B, R, 2) -> (B, R, 1, 2)
    centre = (boxes[..., :2] + boxes[..., 2:] / 2)[:, :, None]  # (B, R, 2) -> (B, R, 1, 2)
    area = size.prod(-1, keepdim=True) / own.prod(-1, keepdim=True)  # (B, R, K, 2) -> (B, R, K, 1)
    numbers = torch.cat([(low - centre) / own, (low + size - centre) / own, area], -1)  # -> (B, R, K, 5)
    return torch.where(neighbour_index[..., None] >= 0, numbers, 0).float()
