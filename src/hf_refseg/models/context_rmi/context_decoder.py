"""
From the multimodal state to a sharper mask: an addition to RMI that the photo checkpoint needs, not part of the paper.

RMI classifies each cell by itself, so "the left one" must be decided from a cell's own position, and a mask has the
backbone's stride. Here cells look around first (the dilated convolutions reach across the photo, the pooled state tells
whether there is anything to find), and a feature map of smaller stride then gives the outline.
"""

import torch
import torch.nn.functional as F
from torch import nn

DILATIONS = (1, 3, 2)


class ContextBlock(nn.Module):
    """Depthwise 5x5 convolutions of growing reach and the maximum and mean over all cells, added to every cell."""

    def __init__(self, channels: int):
        super().__init__()
        self.spread = nn.ModuleList(
            nn.Conv2d(channels, channels, 5, padding=2 * dilation, dilation=dilation, groups=channels)
            for dilation in DILATIONS
        )
        self.mix = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in DILATIONS)
        self.summary = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        for spread, mix in zip(self.spread, self.mix, strict=True):
            cells = cells + F.relu(mix(F.relu(spread(cells))))
        whole = torch.cat([cells.amax((2, 3), keepdim=True), cells.mean((2, 3), keepdim=True)], 1)  # (N, 2C, 1, 1)
        return F.relu(cells + self.summary(whole))


class ContextDecoder(nn.Module):
    """
    Takes the place of RMI's 1x1 classifier.

    Args:
        hidden_size: channels D of the multimodal state.
        context_size: channels of the context block.
        detail_channels: channels of the backbone's map of smaller stride; 0 for no such map.
        detail_size: channels it is projected to.
    """

    def __init__(self, hidden_size: int, context_size: int, detail_channels: int, detail_size: int):
        super().__init__()
        self.reduce = nn.Conv2d(hidden_size, context_size, 1)
        self.context = ContextBlock(context_size)
        self.detail = nn.Conv2d(detail_channels, detail_size, 1) if detail_size else None
        self.refine = nn.Conv2d(context_size + detail_size, context_size // 2, 3, padding=1)
        self.classifier = nn.Conv2d(context_size // 2, 1, 1)

    def forward(self, state: torch.Tensor, detail: torch.Tensor | None = None) -> torch.Tensor:
        """
        Args:
            state: (N, D, h, w), after safe atanh and ReLU.
            detail: (N, S, h', w') the map of smaller stride, where the decoder was made for one.

        Returns:
            (N, 1, h', w') mask logits; (N, 1, h, w) without the map.
        """
        cells = F.relu(self.reduce(state))  # (N, D, h, w) -> (N, C, h, w)
        if cells.dtype == torch.float32:
            # In this layout oneDNN's gradient of a depthwise convolution takes half the time; with dilation it is wrong
            # in bfloat16 (seen with torch 2.15).
            cells = cells.contiguous(memory_format=torch.channels_last)
        cells = self.context(cells)
        if self.detail is not None:
            cells = F.interpolate(cells, size=detail.shape[-2:], mode="bilinear")  # (N, C, h, w) -> (N, C, h', w')
            cells = torch.cat([cells, F.relu(self.detail(detail))], 1)  # (N, C, h', w') -> (N, C + S', h', w')
        return self.classifier(F.relu(self.refine(cells)))  # (N, C + S', h', w') -> (N, 1, h', w')
