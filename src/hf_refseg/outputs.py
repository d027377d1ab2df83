"""The one output of all five systems."""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput


@dataclass
class ReferringSegmentationOutput(ModelOutput):
    r"""
    What a referring segmentation model answers for N expressions on B images. Fields a system does not have are None.

    N expressions, R regions, T words, (H, W) the size of the network's input, (h, w) its feature grid.

    Args:
        loss (`torch.FloatTensor` of shape `()`, *optional*, returned when `labels` is given):
            The training loss; its terms are in `losses`.
        logits (`torch.FloatTensor` of shape `(N, H, W)`):
            Mask logits before the sigmoid, at the size of `pixel_values`.
        grid_logits (`torch.FloatTensor` of shape `(N, h, w)`, *optional*):
            Mask logits on the feature grid, where the paper computes them.
        pred_boxes (`torch.FloatTensor` of shape `(N, 4)`, *optional*):
            xyxy, in pixels of the original image (of the network's input, where `original_sizes` is not given); x2 and
            y2 lie outside the box.
        scores (`torch.FloatTensor` of shape `(N,)` or `(N, R)`, *optional*):
            Matching scores of regions, or the confidence of each answer.
        region_masks (`torch.FloatTensor` of shape `(N, M, M)`, *optional*):
            Mask probabilities of the chosen regions, M x M cells that fill `pred_boxes`; where the caller brought masks
            of the regions, a tuple of N of these, each `(H, W)` at its image's size.
        image_index (`torch.LongTensor` of shape `(N,)`):
            Which image of the batch each expression speaks of.
        attentions (`tuple[torch.FloatTensor]`, *optional*, returned when `output_attentions=True`):
            What the paper draws; RMI: T maps of shape `(N, h, w)`, the mean multimodal state after each word. MAttNet:
            a [`MAttNetAttentions`].
        losses (`dict[str, torch.FloatTensor]`, *optional*):
            The terms of `loss`, each of shape `()`.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    grid_logits: torch.FloatTensor | None = None
    pred_boxes: torch.FloatTensor | None = None
    scores: torch.FloatTensor | None = None
    region_masks: torch.FloatTensor | None = None
    image_index: torch.LongTensor | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    losses: dict[str, torch.FloatTensor] | None = None
