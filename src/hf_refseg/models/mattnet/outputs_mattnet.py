"""
What MAttNet keeps of images and words, and answers about expressions.

B images of up to R regions, M regions in all, N expressions, P pairs of an expression and a region; S modules, T words,
K neighbors, G = g x g cells of a region's grid, A attributes; C4 channels of the detector's head, V visual channels of
a cell, E of a phrase, D of an embedding.
"""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput

from ...layers.image_geometry import ImageGeometry
from ...layers.regions import Regions


@dataclass
class MAttNetTextFeatures(ModelOutput):
    """
    Everything about N expressions that needs no image; S modules in the order of `config.modules`.

    Args:
        phrases: (S, N, E), what each module is asked.
        module_weights: (N, S), they sum to 1.
        word_attentions: (N, S, T), each sums to 1 over the words.
    """

    phrases: torch.FloatTensor | None = None
    module_weights: torch.FloatTensor | None = None
    word_attentions: torch.FloatTensor | None = None


@dataclass
class MAttNetRegionFeatures(ModelOutput):
    """
    What the modules read of M regions, without words. Absent modules' fields are None.

    Args:
        visual: (M, G, V), what the subject module pools.
        attention_projection: (M, G, D), the visual part of the first layer of its attention.
        attribute_logits: (M, A), before the sigmoid.
        location: (M, D) embedding of where a region lies.
        relationship: (M, K, D) embeddings of its neighbors.
        neighbors: (M, K) index of each neighbor among the regions of its image, -1 for none.
    """

    visual: torch.FloatTensor | None = None
    attention_projection: torch.FloatTensor | None = None
    attribute_logits: torch.FloatTensor | None = None
    location: torch.FloatTensor | None = None
    relationship: torch.FloatTensor | None = None
    neighbors: torch.LongTensor | None = None

    def take(self, rows: torch.Tensor | None) -> "MAttNetRegionFeatures":
        """What is scored of the regions `rows` (N, R), each (N, R, ...); None: of all M, (1, M, ...) without a copy."""
        names = ("visual", "attention_projection", "location", "relationship", "neighbors")
        taken = {name: self[name] for name in names if self.get(name) is not None}
        return MAttNetRegionFeatures(
            **{name: value[None] if rows is None else value[rows] for name, value in taken.items()}
        )


@dataclass
class MAttNetImageFeatures(ModelOutput):
    """
    Everything about B images that needs no words; reusable for any number of expressions.

    Args:
        regions: boxes, categories and, where the caller brought them, masks.
        matching: what the modules read of each region.
        head_maps: (M, C4, g, g), from which the mask of a chosen region is drawn.
        geometry: sizes of the images, in the network's input and as photos.
    """

    regions: Regions | None = None
    matching: MAttNetRegionFeatures | None = None
    head_maps: torch.FloatTensor | None = None
    geometry: ImageGeometry | None = None


@dataclass
class MAttNetMatches(ModelOutput):
    """
    How well each expression fits each region; S modules in the order of `config.modules`.

    Args:
        scores: (N, R), -inf at padding; of pairs (P,).
        module_scores: (N, R, S), cosines before weighting; of pairs (P, S).
        grid_attention: (N, R, g, g) of the subject module, sums to 1 over the cells.
        neighbors: (N, R) index of the region the relationship module chose, -1 for none; of pairs (P,).
        attribute_logits: (B, R, A) of the regions, before the sigmoid; of pairs (P, A).
    """

    scores: torch.FloatTensor | None = None
    module_scores: torch.FloatTensor | None = None
    grid_attention: torch.FloatTensor | None = None
    neighbors: torch.LongTensor | None = None
    attribute_logits: torch.FloatTensor | None = None


@dataclass
class MAttNetExplanation(ModelOutput):
    """
    What the paper draws (Fig. 4 to 6), of the chosen region of each expression.

    Args:
        modules: the S names of the modules.
        word_attentions: (N, S, T), how much each module listens to each word; each sums to 1.
        module_weights: (N, S), how much each module counts; they sum to 1.
        module_scores: (N, R, S) of all regions, cosines before weighting.
        grid_attention: (N, g, g), where in the region the subject module looks; sums to 1.
        neighbors: (N,) the region that the relationship module chose beside it, -1 for none.
        chosen: (N,) the chosen region.
        region_boxes: (N, R, 4) of all regions of the expression's image.
    """

    modules: tuple[str, ...] | None = None
    word_attentions: torch.FloatTensor | None = None
    module_weights: torch.FloatTensor | None = None
    module_scores: torch.FloatTensor | None = None
    grid_attention: torch.FloatTensor | None = None
    neighbors: torch.LongTensor | None = None
    chosen: torch.LongTensor | None = None
    region_boxes: torch.FloatTensor | None = None


__all__ = [
    "MAttNetExplanation",
    "MAttNetImageFeatures",
    "MAttNetMatches",
    "MAttNetRegionFeatures",
    "MAttNetTextFeatures",
]
