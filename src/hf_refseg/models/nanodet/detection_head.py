"""
What NanoDet-Plus says at every point of its pyramid: how much is there of each category, and how far away the four
sides of its box are (RangiLyu 2021, after Generalized Focal Loss by Li et al., NeurIPS 2020).

A side is a distribution over a few distances, of which the mean is taken.

K categories, N bins, (h, w) a level of the pyramid of an image, which has P points in all.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn
from transformers import initialization as init

from ...layers.packed_convolution import PackedConvolution
from ..shufflenet_pan.modeling_shufflenet_pan import SeparableConvolution
from .configuration_nanodet import NanoDetConfig

STRIDES = (8, 16, 32, 64)  # of the levels of the pyramid
RARE = 0.01  # what a new head gives each category at every point, since most points see nothing


class PointPredictions(PackedConvolution):
    """The last layer: (B, C, h, w) -> (B, K + 4N, h, w)."""

    def __init__(self, channels: int, num_labels: int, num_bins: int):
        super().__init__(channels, num_labels + 4 * num_bins, 1)
        self.num_labels = num_labels

    def initialize(self):
        bias = torch.zeros_like(self.bias)
        bias[: self.num_labels] = math.log(RARE / (1 - RARE))
        init.normal_(self.weight, std=0.01)
        init.copy_(self.bias, bias)


class DetectionHead(nn.Module):
    """The head of one level: (B, C, h, w) -> (B, K + 4N, h, w), class logits and then left, top, right and bottom."""

    def __init__(self, config: NanoDetConfig):
        super().__init__()
        channels, slope = config.backbone_config.pyramid_size, config.backbone_config.negative_slope
        self.convolutions = nn.Sequential(
            *(SeparableConvolution(channels, config.head_kernel_size, 1, slope) for _ in range(config.head_depth))
        )
        self.predictions = PointPredictions(channels, config.num_labels, config.num_bins)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.predictions(self.convolutions(maps))


def list_points(predictions: Sequence[torch.Tensor]) -> torch.Tensor:
    """4 x (K + 4N, h, w) -> (P, K + 4N), level by level, each row by row."""
    return torch.cat([level.flatten(1) for level in predictions], dim=1).T


def place_points(predictions: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the points of `list_points` lie: x and y (P, 2) in pixels of the network's input, and strides (P,)."""
    places, strides = [], []
    for level, stride in zip(predictions, STRIDES, strict=True):
        height, width = level.shape[-2:]
        y, x = torch.meshgrid(
            torch.arange(height, device=level.device), torch.arange(width, device=level.device), indexing="ij"
        )
        # no half cell: a point is the top left corner of its cell
        places.append(torch.stack([x, y], dim=-1).flatten(0, 1) * stride)  # 2 x (h, w) -> (h * w, 2)
        strides.append(torch.full((height * width,), stride, device=level.device))
    return torch.cat(places).float(), torch.cat(strides).float()


def decode_sides(sides: torch.Tensor, places: torch.Tensor, strides: torch.Tensor) -> torch.Tensor:
    """
    The boxes of points, xyxy in pixels of the network's input, beyond its borders too: (P, 4N) -> (P, 4) float32.

    Args:
        sides: distributions of left, top, right and bottom, before their softmax.
        places, strides: as of `place_points`.
    """
    sides = sides.float().unflatten(1, (4, -1)).softmax(-1)  # (P, 4N) -> (P, 4, N)
    bins = torch.arange(sides.shape[-1], device=sides.device, dtype=torch.float32)
    distances = (sides * bins).sum(-1) * strides[:, None]  # (P, 4, N) -> (P, 4)
    return torch.cat([places - distances[:, :2], places + distances[:, 2:]], dim=1)


__all__ = ["STRIDES", "DetectionHead", "PointPredictions", "decode_sides", "list_points", "place_points"]
