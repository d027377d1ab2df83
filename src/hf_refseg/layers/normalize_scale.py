"""Features of different kinds brought to one length before they are joined (MAttNet's code, after ParseNet)."""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init


class NormalizeScale(nn.Module):
    """x / ||x|| along the last dimension, times a learned factor per channel; zeros stay zeros."""

    def __init__(self, size: int, init_norm: float = 20.0):
        super().__init__()
        self.init_norm = init_norm
        self.weight = nn.Parameter(torch.full((size,), float(init_norm)))

    def initialize(self):
        init.constant_(self.weight, self.init_norm)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(..., C) -> (..., C)."""
        # The original's 1e-12 is zero in half precision, and 0 / 0 no zero.
        eps = max(1e-12, torch.finfo(features.dtype).tiny)
        return F.normalize(features, dim=-1, eps=eps) * self.weight
