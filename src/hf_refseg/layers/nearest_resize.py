"""
Pillow's NEAREST on tensors, by which the code of Mask R-CNN's followers brings true masks to the size of a prediction.

torch's modes "nearest" and "nearest-exact" are other rules.
"""

import torch


def nearest_pixels(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """
    Which of so many pixels is taken for each of `size` cells: (...,) -> (..., size).

    Pillow adds up the distance between two cells, so that rounding decides where the center of a cell lies between two
    pixels.
    """
    step = lengths.double()[..., None] / size
    steps = torch.cat([step * 0.5, step.expand(*step.shape[:-1], size - 1)], -1)  # (..., 1) -> (..., size)
    return steps.cumsum(-1).long()


def resize_nearest(masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(..., H, W) -> (..., *size)."""
    rows, columns = (
        nearest_pixels(torch.tensor(masks.shape[dim], device=masks.device), cells)
        for dim, cells in zip((-2, -1), size, strict=True)
    )
    return masks[..., rows[:, None], columns]  # (..., H, W) -> (..., *size)
