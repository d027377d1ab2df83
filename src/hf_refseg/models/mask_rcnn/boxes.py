"""
Boxes of the detector: anchors, deltas, overlap and suppression, in the convention of the first Fast R-CNN.

A box is [x1, y1, x2, y2] with both corners inside it, so its width is x2 - x1 + 1. torchvision's boxes end outside, so
that ours, moved by `+ 1` at their second corner, are what torchvision's `nms` and `box_iou` take. It is imported where
it is used: whoever loads another model needs neither its second nor its memory.
"""

import numpy as np
import torch

from ...layers.image_geometry import inclusive_to_exclusive


def make_anchors(base_size: int, ratios: list[float], scales: list[float]) -> torch.Tensor:
    """
    The A = len(ratios) * len(scales) anchors around one cell, ratios outer: (A, 4) float32, in pixels.

    Widths and heights are rounded for each ratio before they are scaled, to even numbers where they are halves.
    """
    center = (base_size - 1) / 2
    widths = np.round(np.sqrt(base_size * base_size / np.asarray(ratios, np.float64)))  # (ratios,)
    sizes = np.stack([widths, np.round(widths * ratios)], axis=1)  # -> (ratios, 2) width, height
    sizes = (sizes[:, None] * np.asarray(scales, np.float64)[:, None]).reshape(-1, 2)  # -> (ratios * scales, 2)
    anchors = np.concatenate([center - (sizes - 1) / 2, center + (sizes - 1) / 2], axis=1)  # (A, 2) x 2 -> (A, 4)
    return torch.from_numpy(anchors.astype(np.float32))


def shift_anchors(anchors: torch.Tensor, height: int, width: int, stride: int) -> torch.Tensor:
    """The anchors around every cell: (A, 4) -> (height * width * A, 4), cells in rows."""
    y, x = torch.meshgrid(
        torch.arange(height, device=anchors.device) * stride,
        torch.arange(width, device=anchors.device) * stride,
        indexing="ij",
    )
    shifts = torch.stack([x, y, x, y], dim=-1).to(anchors)  # 4 x (height, width) -> (height, width, 4)
    return (shifts[:, :, None] + anchors).flatten(0, 2)  # (height, width, A, 4) -> (height * width * A, 4)


def centers_and_sizes(boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(..., 4) -> centers (..., 2) and sizes (..., 2), x before y."""
    sizes = boxes[..., 2:] - boxes[..., :2] + 1  # (..., 4) -> (..., 2)
    return boxes[..., :2] + 0.5 * sizes, sizes


def decode_boxes(boxes: torch.Tensor, deltas: torch.Tensor) -> torch.Tensor:
    """
    Moves boxes by deltas (dx, dy, dw, dh): (..., 4) and (..., 4), broadcast -> (..., 4).

    The new corners lie half a size on either side of the new center, without the 1 that a size has more: the result is
    a pixel larger than what `encode_boxes` was given, as in the original.
    """
    centers, sizes = centers_and_sizes(boxes)
    centers = deltas[..., :2] * sizes + centers
    half = 0.5 * (deltas[..., 2:].exp() * sizes)
    return torch.cat([centers - half, centers + half], dim=-1)


def encode_boxes(boxes: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The deltas that lead from `boxes` (R, 4) to `targets` (R, 4): (R, 4)."""
    centers, sizes = centers_and_sizes(boxes)
    target_centers, target_sizes = centers_and_sizes(targets)
    return torch.cat([(target_centers - centers) / sizes, (target_sizes / sizes).log()], dim=-1)


def clip_boxes(boxes: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Cuts boxes (..., 4) at the borders of their images; `sizes` (..., 2) height, width, broadcast over boxes."""
    limits = (sizes.flip(-1) - 1).to(boxes)  # (..., 2) -> width - 1, height - 1
    return torch.minimum(boxes.clamp(min=0), torch.cat([limits, limits], dim=-1))


def clip_boxes_outwards(boxes: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Cuts only what reaches out: x1, y1 at 0 and x2, y2 at the far border, so that x1 > x2 stays possible (paper)."""
    limits = (sizes.flip(-1) - 1).to(boxes)
    return torch.cat([boxes[..., :2].clamp(min=0), torch.minimum(boxes[..., 2:], limits)], dim=-1)


def overlaps(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """IoU of boxes (R, 4) and (G, 4): (R, G)."""
    from torchvision.ops import box_iou

    return box_iou(inclusive_to_exclusive(boxes), inclusive_to_exclusive(others))


def suppress(boxes: torch.Tensor, scores: torch.Tensor, threshold: float, or_equal: bool = False) -> torch.Tensor:
    """
    Greedy non-maximum suppression: the indices of the boxes that stay, best first.

    Args:
        boxes: (R, 4), the second corner outside, as torchvision has it.
        scores: (R,).
        threshold: a box goes whose IoU with a better one is above this; `or_equal`: or equal to it.
    """
    from torchvision.ops import nms

    if or_equal:
        # torchvision compares with >. The next smaller number makes that >=.
        threshold = float(np.nextafter(np.float32(threshold), np.float32(0)))
    return nms(boxes, scores, threshold)


def suppress_until(boxes: torch.Tensor, scores: torch.Tensor, threshold: float, number: int) -> torch.Tensor:
    """
    The first `number` indices that `suppress` returns, or all that there are.

    Whether a box stays depends on better ones alone, and the work grows with the square of the boxes: so the best few
    are tried first, and more of them while too few stay.

    Args:
        boxes, scores: as of `suppress`, best first.
    """
    tried = 4 * number
    while True:
        kept = suppress(boxes[:tried], scores[:tried], threshold)[:number]
        if len(kept) == number or tried >= len(boxes):
            return kept
        tried *= 2
