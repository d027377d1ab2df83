"""HULANet as two graphs: a photo and detections in it to the channels that the modules read, and that and phrases to
maps. What a phrase says of which words, the processor's `word_roles` and `word_categories`, goes into the second.

No size in a graph may depend on what is in a photo or a phrase. So every place is a cell of its own here, every
attribute has a channel, and every word could end a relation; those that do not count nothing. The numbers are the same.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ...layers.regions import Regions
from ...layers.scanned_lstm import scan_both_ways
from ..mask_rcnn.region_photo_graph import RegionPhotoGraph
from .detection_channels import DetectionCells, DetectionChannels
from .hulanet_head import HulaNetDetections
from .modeling_hulanet import HulaNetForReferringSegmentation, masks_on_grid, pool_regions
from .phrase_modules import every_place

CHANNELS = tuple(DetectionChannels.__dataclass_fields__)


def feature_names(model: HulaNetForReferringSegmentation) -> tuple[str, ...]:
    """Cells and cover, the fields of [`DetectionChannels`] of each module that reads any, and the canvas."""
    modules = [name for name in model.config.modules if name != "relationship"]
    return ("cells", "covered", *(f"{module}_{field}" for module in modules for field in CHANNELS), "canvas")


class ImageGraph(RegionPhotoGraph):
    """What HULANet's modules read of one photo and the things that were detected in it."""

    def __init__(self, model: HulaNetForReferringSegmentation):
        super().__init__(model)
        self.feature_names = feature_names(model)

    def example(self, processor) -> dict[str, torch.Tensor]:
        """Three detections of two categories."""
        labels, scores = torch.tensor([[0, 1, 0]]), torch.tensor([[0.9, 0.8, 0.7]])
        return {**super().example(processor), "region_labels": labels, "region_scores": scores}

    @property
    def sides(self) -> dict[str, dict]:
        sides = super().sides
        return {**sides, **dict.fromkeys(("region_labels", "region_scores"), sides["region_boxes"])}

    def forward(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor,
        original_sizes: torch.Tensor,
        image_scales: torch.Tensor,
        region_boxes: torch.Tensor,
        region_labels: torch.Tensor,
        region_scores: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """
        Args:
            pixel_values, pixel_mask, original_sizes, image_scales: as of `see`.
            region_boxes: (1, R, 4) xyxy in pixels of the photo, x2 and y2 outside the box.
            region_labels, region_scores: (1, R) categories, and scores in [0, 1].

        Returns:
            `feature_names`: the cell of each place (h, w), which detections cover it (R, Q), the channels, and the
            canvas: zeros (H, W), whose size the masks will have.
        """
        model, detector = self.model, self.model.detector
        images, canvas = self.see(pixel_values, pixel_mask, original_sizes, image_scales)
        boxes, labels, scores = region_boxes[0], region_labels[0], region_scores[0]
        crops, head_maps = detector.describe(images, Regions(boxes, (boxes.shape[0],)))
        small = detector.draw(head_maps, labels)
        masks = masks_on_grid(small, boxes, original_sizes[0], model.grid_size(tuple(canvas.shape)))
        cells, rows = DetectionCells.of_places(masks), torch.arange(boxes.shape[0])
        # a channel per detection: one whose category an earlier one has fills that one's, and leaves its own empty
        first = (labels[:, None] == labels).int().argmax(1)  # (R, R) -> (R,)
        channels = [fill_channels(cells, labels, first, rows, scores)]
        if "attribute" in model.config.modules:
            detections, attributes, values = model.head.detected_attributes(
                pool_regions(crops, head_maps, small), scores
            )
            every = torch.arange(model.config.num_attributes)
            channels.append(fill_channels(cells, every, attributes, detections, values))
        return cells.index, cells.covered, *(of_module[field] for of_module in channels for field in CHANNELS), canvas


def fill_channels(
    cells: DetectionCells, index: torch.Tensor, rows: torch.Tensor, detections: torch.Tensor, values: torch.Tensor
) -> DetectionChannels:
    """
    What [`DetectionChannels.of_values`] makes, with channels that are said before and may stay empty.

    Args:
        index: (D,) category or attribute of each channel.
        rows, detections, values: (P,) the channel of each value, whose it is, and how much.
    """
    worth = values[:, None] * cells.covered.index_select(0, detections)  # (R, Q) -> (P, Q)
    maps = worth.new_zeros(index.shape[0], worth.shape[1])
    maps = maps.scatter_reduce(0, rows[:, None].expand_as(worth), worth, "amax")  # (P, Q) -> (D, Q)
    return DetectionChannels.of_maps(cells, index, maps)


class ExpressionGraph(nn.Module):
    """Answers of N phrases about the photo of [`ImageGraph`]'s features."""

    word_names = ("input_ids", "attention_mask", "word_roles", "word_categories")
    output_names = ("logits", "region_scores")

    def __init__(self, model: HulaNetForReferringSegmentation):
        super().__init__()
        self.model, self.feature_names = model, feature_names(model)

    def sides(self, name: str) -> tuple[int, ...]:
        """Which sides of a feature differ from photo to photo."""
        sides = {"cells": (0, 1), "canvas": (0, 1), "covered": (0, 1)}
        sides |= {"category_index": (0,), "category_mean": (0,), "category_deviation": (0,), "category_maps": (0, 1)}
        return {**sides, "attribute_maps": (1,)}.get(name, ())

    def forward(self, *features_and_words: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The features, and (N, T) of each of `word_names` -> (N, H, W) and (N, R), as of the model's `forward`."""
        model = self.model
        *values, input_ids, attention_mask, word_roles, word_categories = features_and_words
        features = dict(zip(self.feature_names, values, strict=True))
        channels = {
            module: DetectionChannels(*(features[f"{module}_{field}"] for field in CHANNELS))
            for module in model.config.modules
            if module != "relationship"
        }
        covered = features["covered"]
        cells = DetectionCells(features["cells"], torch.ones_like(covered[0]), covered)
        is_word = (input_ids != model.config.pad_token_id) & attention_mask.bool()
        phrases = model.head.phrases(input_ids, is_word, word_roles, word_categories, scan_both_ways, every_place)
        detections = HulaNetDetections(cells, channels["category"], channels.get("attribute"))
        combined = model.head.ground(detections, phrases).combined
        whole = F.interpolate(combined[:, None], tuple(features["canvas"].shape), mode="bilinear")[:, 0]
        return model.to_logits(whole), model.to_logits(cells.mean_inside(combined)).sigmoid()


__all__ = ["ExpressionGraph", "ImageGraph"]
