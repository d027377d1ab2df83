"""
What MAttNet's matching keeps of regions and answers about expressions.

B images of up to R regions, M regions in all, N expressions, P pairs of an expression and a region; T words, K
neighbours, G = g x g cells of a region's grid, A attributes; V visual channels of a cell, D of an embedding.
"""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput


@dataclass
class MAttNetRegionFeatures(ModelOutput):
    """
    Everything about M regions that needs no words; reusable for any number of expressions. Absent modules' are None.

    Args:
        visual: (M, G, V), what the subject module pools.
        attention_projection: (M, G, D), the visual part of the first layer of its attention.
        attribute_logits: (M, A), before the sigmoid.
        location: (M, D) embedding of where a region lies.
        relationship: (M, K, D) embeddings of its neighbours.
        neighbours: (M, K) index of each neighbour among the regions of its image, -1 for none.
        slots: (B, R) which of the M regions is region r of image b; anything where `region_mask` is False.
        region_mask: (B, R) bool, False at padding.
    """

    visual: torch.FloatTensor | None = None
    attention_projection: torch.FloatTensor | None = None
    attribute_logits: torch.FloatTensor | None = None
    location: torch.FloatTensor | None = None
    relationship: torch.FloatTensor | None = None
    neighbours: torch.LongTensor | None = None
    slots: torch.LongTensor | None = None
    region_mask: torch.BoolTensor | None = None

    @property
    def num_regions(self) -> int:
        """M, which padding does not count in."""
        return len(next(value for value in (self.visual, self.location, self.relationship) if value is not None))

    def of_regions(self, index: torch.Tensor | None) -> "MAttNetRegionFeatures":
        """The features of the regions `index` (N, R), each (N, R, ...); None: of all M, (1, M, ...) without a copy."""
        names = ("visual", "attention_projection", "location", "relationship", "neighbours")
        taken = {name: self[name] for name in names if self.get(name) is not None}
        return MAttNetRegionFeatures(
            **{name: value[None] if index is None else value[index] for name, value in taken.items()}
        )


@dataclass
class MAttNetMatches(ModelOutput):
    """
    How well each expression fits each region; S modules in the order of `config.modules`.

    Args:
        scores: (N, R), -inf at padding; of pairs (P,).
        module_scores: (N, R, S), cosines before weighting; of pairs (P, S).
        module_weights: (N, S), they sum to 1.
        word_attentions: (N, S, T), each sums to 1 over the words.
        grid_attention: (N, R, g, g) of the subject module, sums to 1 over the cells.
        neighbours: (N, R) index of the region the relationship module chose, -1 for none; of pairs (P,).
        attribute_logits: (B, R, A) of the regions, before the sigmoid; of pairs (P, A).
    """

    scores: torch.FloatTensor | None = None
    module_scores: torch.FloatTensor | None = None
    module_weights: torch.FloatTensor | None = None
    word_attentions: torch.FloatTensor | None = None
    grid_attention: torch.FloatTensor | None = None
    neighbours: torch.LongTensor | None = None
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
        neighbours: (N,) the region that the relationship module chose beside it, -1 for none.
        chosen: (N,) the chosen region.
        region_boxes: (N, R, 4) of all regions of the expression's image.
    """

    modules: tuple[str, ...] | None = None
    word_attentions: torch.FloatTensor | None = None
    module_weights: torch.FloatTensor | None = None
    module_scores: torch.FloatTensor | None = None
    grid_attention: torch.FloatTensor | None = None
    neighbours: torch.LongTensor | None = None
    chosen: torch.LongTensor | None = None
    region_boxes: torch.FloatTensor | None = None


__all__ = ["MAttNetExplanation", "MAttNetMatches", "MAttNetRegionFeatures"]
