"""
What HULANet keeps of images, and what it answers about phrases.

B images, M detections of all of them, R of the image that has most, N phrases, C categories, A attributes; (h, w) the
grid of the network's input, S the side of a detection's small mask.
"""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput

from ...layers.image_geometry import ImageGeometry
from ...layers.regions import Regions
from .hulanet_head import HulaNetDetections


@dataclass
class HulaNetImageFeatures(ModelOutput):
    """
    Everything about B images that needs no words; reusable for any number of phrases.

    Args:
        detections: what the modules read of each image.
        regions: boxes and categories of the detections and, where the caller brought them, their masks.
        region_masks: (M, S, S) mask probabilities in their boxes; None where the caller brought masks.
        geometry: sizes of the images, and of the network's input.
    """

    detections: tuple[HulaNetDetections, ...] | None = None
    regions: Regions | None = None
    region_masks: torch.FloatTensor | None = None
    geometry: ImageGeometry | None = None


@dataclass
class HulaNetExplanation(ModelOutput):
    """
    What the paper draws (Fig. 5): the map of each module, and how they are combined.

    Args:
        category_maps, attribute_maps, relationship_maps: (N, h, w) in (0, 1), zero beyond the image; None for a module
            that is not there. Of a phrase without attributes or relations the map says nothing.
        object_maps: (N, h, w) where the objects of the relations are; the mean over several.
        combined_maps: (N, h, w) the answer.
        present: (N, 3) bool, which of the modules a phrase has words for.
        weights: (N, 10) of the combined channels, in the order of `COMBINED_NAMES`; they sum to 1.
        category_attention: (N, C) how much the map of each category counts for the name.
        attribute_attention: (N, A) the same of attributes.
        grid_sizes: (N, 2) height and width of the image on the grid.
        categories, attributes: what they are called.
    """

    category_maps: torch.FloatTensor | None = None
    attribute_maps: torch.FloatTensor | None = None
    relationship_maps: torch.FloatTensor | None = None
    object_maps: torch.FloatTensor | None = None
    combined_maps: torch.FloatTensor | None = None
    present: torch.BoolTensor | None = None
    weights: torch.FloatTensor | None = None
    category_attention: torch.FloatTensor | None = None
    attribute_attention: torch.FloatTensor | None = None
    grid_sizes: torch.LongTensor | None = None
    categories: tuple[str, ...] | None = None
    attributes: tuple[str, ...] | None = None


__all__ = ["HulaNetExplanation", "HulaNetImageFeatures"]
