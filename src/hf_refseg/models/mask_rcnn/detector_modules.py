"""
The three parts of the detector after its backbone: where there is anything, what it is, and its mask.

B images, A anchors per cell, R regions of all images, K categories, C and D channels of backbone and head, S cells per
side of a crop, (h, w) feature map.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from ...layers.caffe_resnet_unit import residual_stage
from ...layers.packed_convolution import PackedConvolution
from .configuration_mask_rcnn import MaskRcnnConfig


class RegionProposalNetwork(nn.Module):
    """Scores and moves A anchors at every cell (Ren et al. 2015)."""

    def __init__(self, config: MaskRcnnConfig, channels: int):
        super().__init__()
        self.num_anchors = len(config.anchor_ratios) * len(config.anchor_scales)
        self.convolution = PackedConvolution(channels, config.rpn_hidden_size, 3, padding=1, slope=0)
        self.class_logits = nn.Conv2d(config.rpn_hidden_size, 2 * self.num_anchors, 1)
        self.box_deltas = nn.Conv2d(config.rpn_hidden_size, 4 * self.num_anchors, 1)

    def forward(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, C, h, w) -> (B, h, w, A, 2) logits of background and object, (B, h, w, A, 4) deltas."""
        maps = self.convolution(maps)  # (B, C, h, w) -> (B, D', h, w)
        # channel a is the background of anchor a, channel A + a its object
        logits = self.class_logits(maps).unflatten(1, (2, -1)).permute(0, 3, 4, 2, 1)  # -> (B, h, w, A, 2)
        deltas = self.box_deltas(maps).unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2)  # -> (B, h, w, A, 4)
        return logits, deltas


class RegionHead(nn.Module):
    """ResNet's last stage over crops, then category and box of each: one box per category."""

    def __init__(self, config: MaskRcnnConfig, channels: int):
        super().__init__()
        norm = {"eps": config.batch_norm_eps, "frozen": config.freeze_batch_norm}
        self.stage = residual_stage(channels, config.head_size, config.head_depth, **norm)
        self.class_logits = nn.Linear(config.head_size, config.num_labels + 1)  # index 0 is the background
        self.box_deltas = nn.Linear(config.head_size, 4 * (config.num_labels + 1))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """(R, C, S, S) -> (R, D, S, S)."""
        return self.stage(crops)

    def read_map(
        self, maps: torch.Tensor, crop: Callable[[torch.Tensor], torch.Tensor], num_points: int
    ) -> torch.Tensor:
        """
        The same over many crops of `maps` (B, C, h, w) at `num_points` points in all: (R, D, S, S).

        A crop is a weighted sum of cells and the first two convolutions of the stage are 1x1, so these may come first:
        at every cell of the map once, and not at 49 points of each of 300 overlapping regions. A sixth of the head's
        work goes, and the numbers stay.
        """
        first, *others = self.stage
        cells = maps[:, 0].numel()  # (B, C, h, w) -> B * h * w
        parts = [None] if num_points < cells else [layer.without_bias(maps) for layer in (first.reduce, first.shortcut)]
        if None in parts:
            return self(crop(maps))
        # the bias waits until after the crop, which has zeros outside of the map
        reduced, shortcut = (crop(part).add_(bias[:, None, None]) for part, bias in parts)  # -> (R, D', S, S)
        features = first.join(F.relu(reduced, inplace=True), shortcut)
        for unit in others:
            features = unit(features)
        return features

    def predict(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(R, D, S, S) -> logits (R, K + 1) and deltas (R, K + 1, 4), these divided by `config.box_std`."""
        pooled = features.mean((2, 3))  # (R, D, S, S) -> (R, D)
        return self.class_logits(pooled), self.box_deltas(pooled).unflatten(1, (-1, 4))  # (R, 4K + 4) -> (R, K + 1, 4)


class MaskBranch(nn.Module):
    """Draws a mask per category (He et al. 2017, without the four extra convolutions)."""

    def __init__(self, config: MaskRcnnConfig):
        super().__init__()
        self.upsampling = nn.ConvTranspose2d(config.head_size, config.mask_hidden_size, 2, stride=2)
        self.mask_logits = nn.Conv2d(config.mask_hidden_size, config.num_labels + 1, 1)  # channel 0 is never read

    def forward(self, features: torch.Tensor, class_labels: torch.Tensor) -> torch.Tensor:
        """(R, D, S, S) and the category of each (R,) -> mask logits (R, 2S, 2S)."""
        logits = self.mask_logits(F.relu(self.upsampling(features)))  # (R, D, S, S) -> (R, K + 1, 2S, 2S)
        return logits[torch.arange(logits.shape[0], device=logits.device), class_labels + 1]  # -> (R, 2S, 2S)


__all__ = ["MaskBranch", "RegionHead", "RegionProposalNetwork"]
