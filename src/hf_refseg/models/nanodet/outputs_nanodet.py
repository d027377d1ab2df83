"""
What NanoDet keeps of images, what its points say, and what it answers.

B images, P points and M regions of all images, image after image; K categories, C channels of a map, (h, w) its cells;
F channels of all maps that a region's features are averages of; S cells per side of a crop.
"""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput

from ...layers.image_geometry import ImageGeometry
from ...layers.image_index import packed_image_index


@dataclass
class ImageMaps:
    """
    What the trunk and the head say about one image, without the padding of a batch.

    Args:
        fine: (C + 3, H / 4, W / 4), the stem's map and the pixels, for outlines.
        stage: (C, H / 8, W / 8), the first stage.
        pyramid: 4 x (C, h, w), levels of strides 8, 16, 32 and 64.
        predictions: 4 x (K + 4 * bins, h, w), of each level the class logits and the distributions of the four sides.
    """

    fine: torch.Tensor
    stage: torch.Tensor
    pyramid: tuple[torch.Tensor, ...]
    predictions: tuple[torch.Tensor, ...]


@dataclass
class PointBoxes:
    """
    What every point of B images sees: NanoDet has no anchors, and proposes one box per point.

    Args:
        boxes: (P, 4) float32 xyxy, x2 and y2 outside; where they lie says the step that made them: `propose` in the
            network's input, `score` in the photos.
        class_scores: (P, K) float32 in [0, 1], each category by itself.
        counts: how many of them each image has.
    """

    boxes: torch.Tensor
    class_scores: torch.Tensor
    counts: tuple[int, ...]

    @property
    def image_index(self) -> torch.Tensor:
        """(P,) the image of each point."""
        return packed_image_index(self.counts, self.boxes.device)

    def probabilities(self) -> torch.Tensor:
        """(P, K), as any detector's `choose` asks for them."""
        return self.class_scores


@dataclass
class NanoDetImageFeatures(ModelOutput):
    """
    What is known of B images; everything else starts from here.

    Args:
        images: their maps, one entry per image.
        geometry: sizes of the images, in the network's input and as photos.
        points: what their points see, in the network's input. None in exported graphs, which read it by themselves.
    """

    images: tuple[ImageMaps, ...] | None = None
    geometry: ImageGeometry | None = None
    points: PointBoxes | None = None


@dataclass
class NanoDetOutput(ModelOutput):
    r"""
    M detections of B images, image by image, the surest of each first.

    Args:
        loss (`torch.FloatTensor` of shape `()`, *optional*, returned when `labels` is given):
            The sum of `losses`. No detections are made then.
        pred_boxes (`torch.FloatTensor` of shape `(M, 4)`):
            xyxy, in pixels of the images whose sizes are `original_sizes`; x2 and y2 lie outside the box.
        scores (`torch.FloatTensor` of shape `(M,)`):
            Score of the category.
        class_labels (`torch.LongTensor` of shape `(M,)`):
            The category, a key of `config.id2label`.
        class_scores (`torch.FloatTensor` of shape `(M, K)`):
            How much the region looks like each category, in [0, 1].
        region_features (`torch.FloatTensor` of shape `(M, F)`):
            Averages of the trunk's maps in the box, for models that build on them.
        mask_probabilities (`torch.FloatTensor` of shape `(M, 2 * S, 2 * S)`, *optional*):
            Of the mask in its box; None for a detector without a mask head.
        image_index (`torch.LongTensor` of shape `(M,)`):
            Which image of the batch.
        original_sizes (`torch.LongTensor` of shape `(B, 2)`):
            Height and width of the images, in whose pixels `pred_boxes` are.
        image_features ([`NanoDetImageFeatures`]):
            What the detections were made of.
        losses (`dict[str, torch.FloatTensor]`, *optional*):
            "mask_pixels" and "mask_dice", each of shape `()`.
    """

    loss: torch.FloatTensor | None = None
    pred_boxes: torch.FloatTensor | None = None
    scores: torch.FloatTensor | None = None
    class_labels: torch.LongTensor | None = None
    class_scores: torch.FloatTensor | None = None
    region_features: torch.FloatTensor | None = None
    mask_probabilities: torch.FloatTensor | None = None
    image_index: torch.LongTensor | None = None
    original_sizes: torch.LongTensor | None = None
    image_features: NanoDetImageFeatures | None = None
    losses: dict[str, torch.FloatTensor] | None = None


__all__ = ["ImageMaps", "NanoDetImageFeatures", "NanoDetOutput", "PointBoxes"]
