"""
How much of each cell of a feature map an object covers: what a perfect response would be, for the captioner of CAC.

N objects; (h, w) the largest map of a batch, of which an image's own map is the part at the top left.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F


def cover_by_masks(
    masks: Sequence[torch.Tensor], map_sizes: Sequence[tuple[int, int]], canvas: tuple[int, int]
) -> torch.Tensor:
    """
    Args:
        masks: N of (H_i, W_i), each over its whole image in any resolution.
        map_sizes: (height, width) of each object's map.
        canvas: (h, w).

    Returns:
        (N, h, w) float32 in [0, 1], zero beyond an image's own map.
    """
    shares = torch.zeros(len(masks), *canvas, device=masks[0].device)
    for share, mask, (height, width) in zip(shares, masks, map_sizes, strict=True):
        share[:height, :width] = F.adaptive_avg_pool2d(mask[None].float(), (height, width))[0]
    return shares


def cover_by_boxes(
    boxes: torch.Tensor, image_sizes: torch.Tensor, map_sizes: Sequence[tuple[int, int]], canvas: tuple[int, int]
) -> torch.Tensor:
    """
    The same for objects that fill their boxes.

    Args:
        boxes: (N, 4) xyxy in pixels of the photos, x2 and y2 outside the box.
        image_sizes: (N, 2) height and width of the photo of each.
        map_sizes, canvas: as of `cover_by_masks`.
    """
    cells = torch.tensor(map_sizes, device=boxes.device)  # (N, 2)
    sides = []
    for axis, (low, high), length in ((0, (1, 3), canvas[0]), (1, (0, 2), canvas[1])):
        step = (image_sizes[:, axis] / cells[:, axis])[:, None]  # (N, 1) pixels of a photo per cell
        start = torch.arange(length, device=boxes.device) * step  # (N, length)
        covered = (start + step).minimum(boxes[:, high, None]) - start.maximum(boxes[:, low, None])
        sides.append((covered.clamp(min=0) / step).where(start < image_sizes[:, axis, None], 0))
    return (sides[0][:, :, None] * sides[1][:, None]).float()  # (N, h, 1), (N, 1, w) -> (N, h, w)
