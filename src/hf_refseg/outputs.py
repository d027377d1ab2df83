"""The one output of all five systems."""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput


@dataclass
class ReferringSegmentationOutput(ModelOutput):
    r"""
    What a referring segmentation model answers for N expressions on B images. Fields a system does not have are None.

    N expressions, R regions of an image at most, (H, W) the size of the network's input, (h, w) its feature grid.

    Args:
        loss (`torch.FloatTensor` of shape `()`, *optional*, returned when `labels` is given):
            The training loss; its terms are in `losses`.
        logits (`torch.FloatTensor` of shape `(N, H, W)`):
            Mask logits before the sigmoid, at the size of `pixel_values`.
        grid_logits (`torch.FloatTensor` of shape `(N, h, w)`, *optional*):
            Mask logits on the feature grid, where the paper computes them.
        pred_boxes (`torch.FloatTensor` of shape `(N, 4)`, *optional*):
            xyxy, in pixels of the images whose sizes are `original_sizes`; x2 and y2 lie outside the box.
        scores (`torch.FloatTensor` of shape `(N,)`, *optional*):
            The confidence of each answer; of a system that chooses among regions, the score of the chosen one.
        region_scores (`torch.FloatTensor` of shape `(N, R)`, *optional*):
            The score of each region of the expression's image; -inf where an image has fewer than R regions.
        chosen (`torch.LongTensor` of shape `(N,)`, *optional*):
            Which region of its image each expression refers to.
        region_masks (`torch.FloatTensor` of shape `(N, S, S)`, *optional*):
            Mask probabilities of the chosen regions, S x S cells that fill `pred_boxes`. None where the caller brought
            masks of the regions: then `given_masks` has them.
        given_masks (`tuple[torch.BoolTensor]` of N masks, each `(H_i, W_i)`, *optional*):
            The caller's own masks of the chosen regions, at the sizes of their images.
        detection_boxes (`torch.FloatTensor` of shape `(M, 4)`, *optional*):
            Of a system whose answer may be several regions, all M regions of the images that `region_scores` are about,
            those of the first image first: xyxy as `pred_boxes`.
        detection_masks (`torch.FloatTensor` of shape `(M, S, S)`, *optional*):
            Mask probabilities that fill them. None where the caller brought masks.
        given_detection_masks (`tuple[torch.BoolTensor]` of B masks, each `(R_i, H_i, W_i)`, *optional*):
            The caller's own masks of all regions, at the sizes of their images.
        detection_counts (`tuple[int]` of B numbers, *optional*):
            How many of these regions each image has.
        no_target_scores (`torch.FloatTensor` of shape `(N,)`, *optional*):
            Probability that an expression refers to nothing in its image.
        image_index (`torch.LongTensor` of shape `(N,)`):
            Which image of the batch each expression refers to.
        original_sizes (`torch.LongTensor` of shape `(B, 2)`, *optional*):
            Height and width of the images, in whose pixels `pred_boxes` are.
        explanation (`ModelOutput`, *optional*, returned when `output_attentions=True`):
            What the system's paper draws, such as [`RmiExplanation`]; `plot_explanation` beside each system draws it.
        losses (`dict[str, torch.FloatTensor]`, *optional*):
            The terms of `loss`, each of shape `()`.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    grid_logits: torch.FloatTensor | None = None
    pred_boxes: torch.FloatTensor | None = None
    scores: torch.FloatTensor | None = None
    region_scores: torch.FloatTensor | None = None
    chosen: torch.LongTensor | None = None
    region_masks: torch.FloatTensor | None = None
    given_masks: tuple[torch.BoolTensor, ...] | None = None
    detection_boxes: torch.FloatTensor | None = None
    detection_masks: torch.FloatTensor | None = None
    given_detection_masks: tuple[torch.BoolTensor, ...] | None = None
    detection_counts: tuple[int, ...] | None = None
    no_target_scores: torch.FloatTensor | None = None
    image_index: torch.LongTensor | None = None
    original_sizes: torch.LongTensor | None = None
    explanation: ModelOutput | None = None
    losses: dict[str, torch.FloatTensor] | None = None
