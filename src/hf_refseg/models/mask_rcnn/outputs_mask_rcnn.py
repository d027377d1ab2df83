"""
What the detector keeps of images, what it says of proposals, and what it answers.

B images, P proposals and M regions of all images, image after image; A_i anchors of image i, K categories; C and D
channels of backbone and head, S cells per side of a crop, (h, w) feature map.
"""

from dataclasses import dataclass, replace

import torch
from transformers.utils import ModelOutput

from ...layers.image_geometry import ImageGeometry
from ...layers.image_index import packed_image_index


@dataclass
class MaskRcnnImageFeatures(ModelOutput):
    """
    What the backbone says about B images; everything else starts from here.

    Args:
        maps: (B, C, h, w); zeros beyond the map of an image that is smaller than the batch.
        geometry: sizes of the images, in the network's input and as photos.
    """

    maps: torch.FloatTensor | None = None
    geometry: ImageGeometry | None = None

    def with_maps(self, maps: torch.Tensor, image_index: torch.Tensor | None = None) -> "MaskRcnnImageFeatures":
        """
        The same images seen through other maps.

        Args:
            maps: (B, C, h, w), or, with an index, (N, C, h, w).
            image_index: (N,) the image of each map, for instance of those that N expressions have modulated.
        """
        geometry = self.geometry if image_index is None else self.geometry.take(image_index)
        return replace(self, maps=maps, geometry=geometry)


@dataclass
class Proposals:
    """
    Where there may be something, the surest of each image first.

    Args:
        boxes: (P, 4) in pixels of the network's input, both corners inside.
        scores: (P,) probability that there is any thing.
        counts: how many of them each image has.
        logits, deltas: per image (A_i, 2) and (A_i, 4) of all of its anchors, on which the training has its losses.
    """

    boxes: torch.Tensor
    scores: torch.Tensor
    counts: tuple[int, ...]
    logits: tuple[torch.Tensor, ...]
    deltas: tuple[torch.Tensor, ...]

    @property
    def image_index(self) -> torch.Tensor:
        """(P,) the image of each proposal."""
        return packed_image_index(self.counts, self.boxes.device)


@dataclass
class ProposalScores:
    """
    What the head says of each proposal.

    Args:
        logits: (P, K + 1), index 0 the background.
        boxes: (P, K + 1, 4), for each category a better box, xyxy in pixels of the photos, x2 and y2 outside of it.
        counts: how many proposals each image has.
    """

    logits: torch.Tensor
    boxes: torch.Tensor
    counts: tuple[int, ...]

    def probabilities(self) -> torch.Tensor:
        """(P, K) float32 of the categories, without the background."""
        return self.logits.float().softmax(-1)[:, 1:]


@dataclass
class MaskRcnnOutput(ModelOutput):
    r"""
    M detections of B images, image by image, in each by category and then by score.

    Args:
        loss (`torch.FloatTensor` of shape `()`, *optional*, returned when `labels` is given):
            The sum of `losses`. No detections are made then.
        pred_boxes (`torch.FloatTensor` of shape `(M, 4)`):
            xyxy, in pixels of the images whose sizes are `original_sizes`; x2 and y2 lie outside the box.
        scores (`torch.FloatTensor` of shape `(M,)`):
            Probability of the category.
        class_labels (`torch.LongTensor` of shape `(M,)`):
            The category, a key of `config.id2label`.
        mask_probabilities (`torch.FloatTensor` of shape `(M, 2 * S, 2 * S)`):
            Of the category's mask in its box.
        image_index (`torch.LongTensor` of shape `(M,)`):
            Which image of the batch.
        crops (`torch.FloatTensor` of shape `(M, C, S, S)`):
            Of the feature map, at the returned boxes, for models that build on them.
        head_features (`torch.FloatTensor` of shape `(M, D, S, S)`):
            The head's output over these crops.
        original_sizes (`torch.LongTensor` of shape `(B, 2)`):
            Height and width of the images, in whose pixels `pred_boxes` are.
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
    original_sizes: torch.LongTensor | None = None
    image_features: MaskRcnnImageFeatures | None = None
    losses: dict[str, torch.FloatTensor] | None = None


__all__ = ["MaskRcnnImageFeatures", "MaskRcnnOutput", "ProposalScores", "Proposals"]
