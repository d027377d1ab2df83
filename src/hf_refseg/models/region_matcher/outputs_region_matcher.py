"""
What the region matcher keeps of images and words, and what it answers about expressions.

B images of up to R regions, N expressions of T words, S modules, K categories; E + 2H channels of a phrase, C of what a
module reads of a region and P of a pair of regions.
"""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput

from ...layers.image_geometry import ImageGeometry
from ...layers.regions import Regions


@dataclass
class RegionMatcherTextFeatures(ModelOutput):
    """
    Everything about N expressions that needs no image; S modules in the order of `MODULES`.

    Args:
        phrases: (S, N, E + 2H), what each module is asked.
        sentence: (N, 2H), the whole expression.
        module_weights: (N, S), how much each module counts; 1 on average.
        word_attentions: (N, S, T), each sums to 1 over the words.
    """

    phrases: torch.FloatTensor | None = None
    sentence: torch.FloatTensor | None = None
    module_weights: torch.FloatTensor | None = None
    word_attentions: torch.FloatTensor | None = None


@dataclass
class RegionMatcherRegionFeatures(ModelOutput):
    """
    What the modules read of the regions of B images, without words.

    Args:
        exists: (B, R) bool, False where an image has fewer than R regions.
        class_scores: (B, R, K), how much a region looks like each category.
        subject, color: (B, R, C).
        places: (B, R, 12), see `region_places.places`.
        smaller: (B, 5, R, R), which regions come before which, see `region_places.orders`.
        overlaps: (B, R, R), IoU.
        relation, comparison: (B, R, R, P), of region j beside region i.
    """

    exists: torch.BoolTensor | None = None
    class_scores: torch.FloatTensor | None = None
    subject: torch.FloatTensor | None = None
    color: torch.FloatTensor | None = None
    places: torch.FloatTensor | None = None
    smaller: torch.FloatTensor | None = None
    overlaps: torch.FloatTensor | None = None
    relation: torch.FloatTensor | None = None
    comparison: torch.FloatTensor | None = None

    def take(self, image_index: torch.Tensor) -> "RegionMatcherRegionFeatures":
        """
        Those of the image of each expression, (N,): (N, R, ...), without those of pairs. Those of a single image are
        not copied.
        """
        own = {name: value for name, value in self.items() if name not in ("relation", "comparison")}
        if len(self.exists) == 1:
            taken = {name: value.expand(image_index.shape[0], *value.shape[1:]) for name, value in own.items()}
        else:
            taken = {name: value[image_index] for name, value in own.items()}
        return RegionMatcherRegionFeatures(**taken)


@dataclass
class RegionMatcherImageFeatures(ModelOutput):
    """
    Everything about B images that needs no words; reusable for any number of expressions.

    Args:
        regions: M regions: boxes and, where the caller brought them, masks.
        matching: what the modules read of them.
        detector_features: of the detector, from which it draws the mask of a chosen region.
        class_scores: (M, K) of the regions, which the masks are drawn by.
        geometry: sizes of the images, in the network's input and as photos.
    """

    regions: Regions | None = None
    matching: RegionMatcherRegionFeatures | None = None
    detector_features: ModelOutput | None = None
    class_scores: torch.FloatTensor | None = None
    geometry: ImageGeometry | None = None


@dataclass
class RegionMatches(ModelOutput):
    """
    How well each expression fits each region.

    Args:
        scores: (N, R) logits, -inf where there is no region.
        nothing: (N,) logits of "it is none of them", on the same scale.
        several: (N,) logits of "the words mean several".
        kind: (N, R) in [0, 1], how likely each region is of the kind that the words name.
        category_logits: (N, K), which categories the words could name, each by itself.
        module_scores: (N, R, S), before they are weighted.
        neighbors: (N, R), the region that fits best as what the relation is to, among those of the image.
    """

    scores: torch.FloatTensor | None = None
    nothing: torch.FloatTensor | None = None
    several: torch.FloatTensor | None = None
    kind: torch.FloatTensor | None = None
    category_logits: torch.FloatTensor | None = None
    module_scores: torch.FloatTensor | None = None
    neighbors: torch.LongTensor | None = None


@dataclass
class RegionChoice(ModelOutput):
    """
    What the answers are made of.

    Args:
        answers: (N, R) bool, the regions of each answer; none where it is "none of them".
        best: (N,) the best region.
        expected: (N,) its expected IoU with what is meant.
        probabilities: (N, R), of each region to be the one; with `nothing` (N,) they sum to 1.
        nothing: (N,), the probability that it is none of them.
    """

    answers: torch.BoolTensor | None = None
    best: torch.LongTensor | None = None
    expected: torch.FloatTensor | None = None
    probabilities: torch.FloatTensor | None = None
    nothing: torch.FloatTensor | None = None


@dataclass
class RegionMatcherExplanation(ModelOutput):
    """
    Why a region was chosen.

    Args:
        modules: the S names of the modules.
        word_attentions: (N, S, T), how much each module listens to each word; each sums to 1.
        module_weights: (N, S), how much each module counts; 1 on average.
        module_scores: (N, R, S) of all regions.
        kind: (N, R), how likely each region is of the kind that the words name.
        probabilities: (N, R), of each region to be the answer; with `nothing` (N,) they sum to 1.
        nothing: (N,), the probability that it is none of them.
        several: (N,), the probability that the words mean several regions.
        answers: (N, R) bool, the regions that the answer is made of.
        neighbors: (N,), what the relation of the chosen region is to.
        chosen: (N,), the best region.
        region_boxes: (N, R, 4) of all regions of the expression's image.
    """

    modules: tuple[str, ...] | None = None
    word_attentions: torch.FloatTensor | None = None
    module_weights: torch.FloatTensor | None = None
    module_scores: torch.FloatTensor | None = None
    kind: torch.FloatTensor | None = None
    probabilities: torch.FloatTensor | None = None
    nothing: torch.FloatTensor | None = None
    several: torch.FloatTensor | None = None
    answers: torch.BoolTensor | None = None
    neighbors: torch.LongTensor | None = None
    chosen: torch.LongTensor | None = None
    region_boxes: torch.FloatTensor | None = None


__all__ = [
    "RegionChoice",
    "RegionMatcherExplanation",
    "RegionMatcherImageFeatures",
    "RegionMatcherRegionFeatures",
    "RegionMatcherTextFeatures",
    "RegionMatches",
]
