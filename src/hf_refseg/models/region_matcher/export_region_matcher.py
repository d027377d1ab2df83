"""The region matcher's matching as two graphs: regions that were described to what its modules read, and that and
expressions to a score for each region. Who describes the regions, a detector, stays outside of the graphs."""

import torch
from torch import nn
from torch.export import Dim

from ...layers.scanned_lstm import scan_both_ways
from .modeling_region_matcher import RegionMatcherForReferringSegmentation
from .outputs_region_matcher import RegionMatcherRegionFeatures

FEATURES = tuple(RegionMatcherRegionFeatures.__dataclass_fields__)


class ImageGraph(nn.Module):
    """Everything about the R regions of one photo that needs no words."""

    feature_names = FEATURES

    def __init__(self, model: RegionMatcherForReferringSegmentation):
        super().__init__()
        self.matching = model.matching

    def example(self, processor) -> dict[str, torch.Tensor]:
        """Five regions of a photo."""
        corners = torch.tensor([[0.0, 0.0], [10.0, 5.0], [30.0, 20.0], [7.0, 8.0], [9.0, 1.0]])
        return {
            "region_descriptions": torch.rand(1, len(corners), self.matching.description_size),
            "region_boxes": torch.cat([corners, corners + 40], 1)[None],
            "original_sizes": torch.tensor([[80, 90]]),
        }

    @property
    def sides(self) -> dict[str, dict]:
        """What differs from photo to photo: how many regions there are."""
        regions = Dim("regions", min=2, max=1000)
        return {"region_descriptions": {1: regions}, "region_boxes": {1: regions}, "original_sizes": {}}

    def forward(
        self, region_descriptions: torch.Tensor, region_boxes: torch.Tensor, original_sizes: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """
        Args:
            region_descriptions: (1, R, D), what `RegionMatcherForReferringSegmentation.describe` returns.
            region_boxes: (1, R, 4) xyxy in pixels of the photo.
            original_sizes: (1, 2), its height and width.

        Returns:
            the fields of [`RegionMatcherRegionFeatures`].
        """
        exists = region_boxes[..., 0] == region_boxes[..., 0]  # (1, R), all of them
        features = self.matching.encode_regions(region_descriptions, region_boxes, exists, original_sizes)
        return tuple(features[name] for name in FEATURES)


class ExpressionGraph(nn.Module):
    """How well N expressions fit the regions of [`ImageGraph`]'s features."""

    output_names = ("region_scores", "no_target_scores")

    def __init__(self, model: RegionMatcherForReferringSegmentation):
        super().__init__()
        self.matching = model.matching

    def sides(self, name: str) -> tuple[int, ...]:
        """Which sides of a feature differ from photo to photo."""
        return {"smaller": (2, 3), "overlaps": (1, 2), "relation": (1, 2), "comparison": (1, 2)}.get(name, (1,))

    def forward(self, *features_and_words: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The features, and `input_ids` and `attention_mask` (N, T) -> region_scores (N, R), no_target_scores (N,)."""
        *values, input_ids, attention_mask = features_and_words
        features = RegionMatcherRegionFeatures(**dict(zip(FEATURES, values, strict=True)))
        is_word = (input_ids != self.matching.config.pad_token_id) & attention_mask.bool()
        text = self.matching.reader(input_ids, is_word, scan_both_ways)
        matches = self.matching.match(features, text, torch.zeros_like(input_ids[:, 0]))
        everything = torch.cat([matches.scores, matches.nothing[:, None]], 1)  # (N, R) + (N, 1) -> (N, R + 1)
        return matches.scores, everything.softmax(1)[:, -1]


__all__ = ["ExpressionGraph", "ImageGraph"]
