"""MAttNet's matching as two graphs: regions that a detector has described to what its modules read, and that and
expressions to a score for each region. The detector stays outside of the graphs."""

import torch
from torch import nn
from torch.export import Dim

from ...layers.regions import Regions
from ...layers.scanned_lstm import scan_both_ways
from .modeling_mattnet import MAttNetForReferringSegmentation
from .outputs_mattnet import MAttNetRegionFeatures

READ = {  # by each module, of a region
    "subject": ("visual", "attention_projection"),
    "location": ("location",),
    "relationship": ("relationship", "neighbors"),
}


def fields_of(model: MAttNetForReferringSegmentation) -> tuple[str, ...]:
    """The fields of [`MAttNetRegionFeatures`] that the modules of this model read."""
    return tuple(field for module in model.config.modules for field in READ[module])


class ImageGraph(nn.Module):
    """Everything about the R regions of one photo that needs no words."""

    side_multiple = 1

    def __init__(self, model: MAttNetForReferringSegmentation):
        super().__init__()
        self.matching, self.feature_names = model.matching, fields_of(model)

    def example(self, processor) -> dict[str, torch.Tensor]:
        """Five regions of a photo."""
        config = self.matching.config
        corners = torch.tensor([[0.0, 0.0], [10.0, 5.0], [30.0, 20.0], [7.0, 8.0], [9.0, 1.0]])
        maps = [torch.rand(1, 5, size, *2 * [config.grid_size]) for size in (config.region_size, config.head_size)]
        return {
            "region_crops": maps[0],
            "region_head_maps": maps[1],
            "region_boxes": torch.cat([corners, corners + 40], 1)[None],
            "region_labels": torch.tensor([[0, 1, 1, 2, 0]]),
            "original_sizes": torch.tensor([[80, 90]]),
        }

    @property
    def sides(self) -> dict[str, dict]:
        """What differs from photo to photo: how many regions there are."""
        regions = {1: Dim("regions", min=2, max=1000)}
        names = ("region_crops", "region_head_maps", "region_boxes", "region_labels")
        return {**dict.fromkeys(names, regions), "original_sizes": {}}

    def forward(
        self,
        region_crops: torch.Tensor,
        region_head_maps: torch.Tensor,
        region_boxes: torch.Tensor,
        region_labels: torch.Tensor,
        original_sizes: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """
        Args:
            region_crops, region_head_maps: (1, R, C3, g, g) and (1, R, C4, g, g), what `detector.find_regions` returns
                beside the regions.
            region_boxes, region_labels: (1, R, 4) xyxy in pixels of the photo, and (1, R).
            original_sizes: (1, 2), its height and width.

        Returns:
            the fields of [`MAttNetRegionFeatures`] that expressions are matched with.
        """
        regions = Regions(region_boxes[0], (region_boxes.shape[1],), region_labels[0])
        features = self.matching.encode_regions(regions, region_crops[0], region_head_maps[0], original_sizes)
        return tuple(features[name] for name in self.feature_names)


class ExpressionGraph(nn.Module):
    """How well N expressions fit the regions of [`ImageGraph`]'s features."""

    word_names = ("input_ids", "attention_mask")
    output_names = ("region_scores", "scores", "chosen")

    def __init__(self, model: MAttNetForReferringSegmentation):
        super().__init__()
        self.matching, self.feature_names = model.matching, fields_of(model)

    def sides(self, name: str) -> tuple[int, ...]:
        """Which sides of a feature differ from photo to photo."""
        return (0,)

    def forward(self, *features_and_words: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The features, and `input_ids` and `attention_mask` (N, T) -> (N, R), (N,) and (N,), as of the model."""
        *values, input_ids, attention_mask = features_and_words
        features = MAttNetRegionFeatures(**dict(zip(self.feature_names, values, strict=True)))
        is_word = (input_ids != self.matching.config.pad_token_id) & attention_mask.bool()
        text = self.matching.language(input_ids, is_word, scan_both_ways)
        module_scores, _, _ = self.matching.score(features.take(None), text.phrases)  # -> (N, R, S)
        scores = torch.einsum("nrs,ns->nr", module_scores, text.module_weights)
        return scores, scores.amax(1), scores.argmax(1)


__all__ = ["ExpressionGraph", "ImageGraph"]
