"""The residual unit of the Caffe-style ResNet (He et al. 2016): of the trunk, and of the head of C4 detectors."""

import torch
from torch import nn

from .frozen_convolution import NormalizedConvolution
from .recomputed_layer import RecomputedLayer


class CaffeResNetUnit(RecomputedLayer):
    """Bottleneck: 1x1 with the stride, 3x3 with the dilation, 1x1; (B, C, H, W) -> (B, D, H / stride, W / stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, dilation: int, first: bool, **norm):
        super().__init__()
        inner = out_channels // 4
        self.reduce = NormalizedConvolution(in_channels, inner, 1, stride, **norm)
        self.convolve = NormalizedConvolution(inner, inner, 3, dilation=dilation, **norm)
        self.expand = NormalizedConvolution(inner, out_channels, 1, **norm)
        self.shortcut = NormalizedConvolution(in_channels, out_channels, 1, stride, **norm) if first else nn.Identity()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.recomputed(lambda maps: self.join(self.reduce(maps, slope=0), self.shortcut(maps)), maps)

    def join(self, reduced: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        """All after the first 1x1 convolution and its ReLU: (B, D / 4, H / stride, W / stride) and (B, D, ...) ->
        (B, D, ...)."""
        residual = self.convolve(reduced, slope=0)
        return self.expand(residual, added=shortcut, slope=0)  # (B, D / 4, ...) -> (B, D, ...)


def residual_stage(
    in_channels: int, out_channels: int, depth: int, stride: int = 1, dilation: int = 1, **norm
) -> nn.Sequential:
    """`depth` units, of which the first has the stride; `norm` goes to every [`NormalizedConvolution`]."""
    first = CaffeResNetUnit(in_channels, out_channels, stride, dilation, first=True, **norm)
    others = [CaffeResNetUnit(out_channels, out_channels, 1, dilation, first=False, **norm) for _ in range(depth - 1)]
    return nn.Sequential(first, *others)
