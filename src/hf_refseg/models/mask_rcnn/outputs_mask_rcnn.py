"""
What the detector keeps of images and answers about them.

B images, R regions of all images, C and D channels of backbone and head, S cells per side of a crop, (h, w) feature
map.
"""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput


@dataclass
class MaskRcnnImageFeatures(ModelOutput):
    """
    What the backbone says about B images; everything else starts from here.

    Args:
        maps: (B, C, h, w); zeros beyond the map of an image that is smaller than the batch.
        input_sizes: (height, width) of each image in the network's input, without padding.
    """

    maps: torch.FloatTensor | None = None
    input_sizes: tuple[tuple[int, int], ...] | None = None


@dataclass
class MaskRcnnOutput(ModelOutput):
    r"""
    R detections of B images, image by image, in each by category and then by score.

    Args:
        loss (`torch.FloatTensor` of shape `()`, *optional*, returned when `labels` is given):
            The sum of `losses`. No detections are made then.
        pred_boxes (`torch.FloatTensor` of shape `(R, 4)`):
            xyxy in pixels of the original image; x2 and y2 lie outside the box.
        scores (`torch.FloatTensor` of shape `(R,)`):
            Probability of the category.
        class_labels (`torch.LongTensor` of shape `(R,)`):
            The category, a key of `config.id2label`.
        mask_probabilities (`torch.FloatTensor` of shape `(R, 2 * S, 2 * S)`):
            Of the category's mask in its box.
        image_index (`torch.LongTensor` of shape `(R,)`):
            Which image of the batch.
        crops (`torch.FloatTensor` of shape `(R, C, S, S)`):
            Of the feature map, at the returned boxes, for models that build on them.
        head_features (`torch.FloatTensor` of shape `(R, D, S, S)`):
            The head's output over these crops.
        image_features ([`MaskRcnnImageFeatures`]):
            What the detections were made of.
        losses (`dict[str, torch.FloatTensor]`, *optional*):
            "rpn_class", "rpn_box", "class", "box" and "mask", each of shape `()`.
    """

    loss: torch.FloatTensor | None = None
    pred_boxes: torch.FloatTensor | None = None
    scores: torch.FloatTensor | None = None
    class_labels: torch.LongTensor | None = None
    mask_probabilities: torch.FloatTensor | None = None
    image_index: torch.LongTensor | None = None
    crops: torch.FloatTensor | None = None
    head_features: torch.FloatTensor | None = None
    image_features: MaskRcnnImageFeatures | None = None
    losses: dict[str, torch.FloatTensor] | None = None


__all__ = ["MaskRcnnImageFeatures", "MaskRcnnOutput"]
