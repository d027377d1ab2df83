"""What follows a convolution, in place: a sum, and (leaky) ReLU."""

import torch
import torch.nn.functional as F


def add_and_rectify(maps: torch.Tensor, added: torch.Tensor | None, slope: float | None) -> torch.Tensor:
    """
    rectify(maps + added), each where wanted, in place: (B, D, H, W) -> (B, D, H, W).

    Args:
        slope: by which what is negative is multiplied: 0 for ReLU, a little more for leaky ReLU; None: not rectified.
    """
    if added is not None:
        maps += added
    if slope is None:
        return maps
    return F.leaky_relu(maps, slope, inplace=True) if slope else F.relu(maps, inplace=True)
