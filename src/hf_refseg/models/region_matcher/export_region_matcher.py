"""The region matcher over NanoDet as two graphs: a photo to its regions, each with a mask, and what the modules read of
them; and that and expressions to answers. The detector is in the first graph, so nothing else is needed."""

import torch
from torch import nn
from torch.export import Dim

from ...layers.image_geometry import ImageGeometry, finite_logits, paste_probabilities
from ...layers.scanned_lstm import scan_both_ways
from ..nanodet.configuration_nanodet import NanoDetConfig
from ..nanodet.outputs_nanodet import NanoDetImageFeatures
from ..nanodet.region_graph import find_regions
from ..shufflenet_pan.modeling_shufflenet_pan import SIDE_MULTIPLE
from .modeling_region_matcher import RegionMatcherForReferringSegmentation
from .outputs_region_matcher import RegionMatcherRegionFeatures
from .region_colors import padded_color_shares, region_colors

MATCHING = tuple(RegionMatcherRegionFeatures.__dataclass_fields__)


class ImageGraph(nn.Module):
    """
    Everything about one photo that needs no words.

    Raises:
        ValueError: the detector is another one than NanoDet.
    """

    feature_names = (*MATCHING, "boxes", "masks", "scale", "canvas")
    side_multiple = SIDE_MULTIPLE

    def __init__(self, model: RegionMatcherForReferringSegmentation):
        super().__init__()
        detector = model.config.detector_config.model_type
        if detector != NanoDetConfig.model_type:
            raise ValueError(f"the detector is {detector}, whose regions no graph can find; that of NanoDet can")
        self.model = model

    def example(self, processor) -> dict[str, torch.Tensor]:
        """A photo that leaves some of the network's input empty."""
        side = processor.image_processor.size["longest_edge"]
        rows = SIDE_MULTIPLE * max(2, side // SIDE_MULTIPLE * 3 // 4)
        columns = SIDE_MULTIPLE * max(3, -(-side // SIDE_MULTIPLE))
        pixel_mask = torch.ones(1, rows, columns, dtype=torch.long)
        pixel_mask[:, -5:] = 0
        return {
            "pixel_values": torch.rand(1, 3, rows, columns) * pixel_mask,
            "pixel_mask": pixel_mask,
            "original_sizes": torch.tensor([[2 * (rows - 5), 2 * columns]]),
            "image_scales": torch.tensor([0.5]),
        }

    @property
    def sides(self) -> dict[str, dict]:
        """What differs from photo to photo: height and width."""
        rows, columns = (SIDE_MULTIPLE * Dim(name, min=2, max=64) for name in ("rows", "columns"))
        return {
            "pixel_values": {2: rows, 3: columns},
            "pixel_mask": {1: rows, 2: columns},
            "original_sizes": {},
            "image_scales": {},
        }

    def forward(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor,
        original_sizes: torch.Tensor,
        image_scales: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """
        Args:
            pixel_values, pixel_mask: (1, 3, H, W) and (1, H, W), the processor's, padded to multiples of 32.
            original_sizes, image_scales: (1, 2) and (1,).

        Returns:
            the fields of [`RegionMatcherRegionFeatures`] of R regions, their boxes (R, 4) in pixels of the photo, their
            mask probabilities (R, S, S), the scale, and the canvas: zeros (H, W), whose size the masks will have.
        """
        model, canvas = self.model, pixel_values.new_zeros(pixel_values.shape[2:])
        size = tuple(canvas.shape)
        input_size = torch.stack([pixel_mask[0].amax(1).sum(), pixel_mask[0].amax(0).sum()])
        geometry = ImageGeometry((size,), size, original_sizes, image_scales)
        seen = NanoDetImageFeatures(images=tuple(model.detector.encode_images(pixel_values)), geometry=geometry)
        regions, exists, class_scores = find_regions(model.detector, seen, input_size)
        colors = region_colors(
            padded_color_shares(pixel_values[0], input_size, *model.color_settings), regions.boxes * image_scales
        )
        averages = model.detector.pool(seen, regions)
        descriptions = torch.cat([class_scores, averages, colors], 1)  # (R, K), (R, F), (R, 4 * L^3) -> (R, D)
        matching = model.matching.encode_regions(descriptions[None], regions.boxes[None], exists[None], original_sizes)
        _, head_maps = model.detector.describe(seen, regions, class_scores)
        masks = model.detector.draw(head_maps)
        return *(matching[name] for name in MATCHING), regions.boxes, masks, image_scales.clone(), canvas


class ExpressionGraph(nn.Module):
    """Answers of N expressions about the photo of [`ImageGraph`]'s features."""

    word_names = ("input_ids", "attention_mask")
    output_names = (
        "logits",
        "region_masks",
        "pred_boxes",
        "scores",
        "region_scores",
        "chosen",
        "no_target_scores",
    )

    def __init__(self, model: RegionMatcherForReferringSegmentation):
        super().__init__()
        self.model = model

    def sides(self, name: str) -> tuple[int, ...]:
        """Which sides of a feature differ from photo to photo."""
        return (0, 1) if name == "canvas" else ()

    def forward(self, *features_and_words: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The features, and `input_ids` and `attention_mask` (N, T) -> the outputs, as of the model's `forward`."""
        *values, boxes, masks, scale, canvas, input_ids, attention_mask = features_and_words
        model, matching = self.model, self.model.matching
        features = RegionMatcherRegionFeatures(**dict(zip(MATCHING, values, strict=True)))
        is_word = (input_ids != matching.config.pad_token_id) & attention_mask.bool()
        text = matching.reader(input_ids, is_word, scan_both_ways)
        image_index = torch.zeros_like(input_ids[:, 0])
        matches = matching.match(features, text, image_index)
        regions = features.take(image_index)
        choice = model.choose(matches, regions.overlaps, regions.class_scores)
        boxes = boxes.expand(input_ids.shape[0], -1, -1)  # (R, 4) -> (N, R, 4)
        answer_boxes = model.frame_answers(boxes, choice.answers, choice.best)
        # of all pairs, since no size may depend on how many regions an answer has; the others count nothing
        small = masks * choice.answers[:, :, None, None]  # (R, S, S) -> (N, R, S, S)
        frames = answer_boxes[:, None].expand_as(boxes)  # (N, 4) -> (N, R, 4)
        drawn = model.draw_in_frames(*(values.flatten(0, 1) for values in (small, boxes, frames)))  # -> (N * R, A, A)
        region_masks = drawn.unflatten(0, boxes.shape[:2]).amax(1)  # -> (N, A, A)
        pasted = paste_probabilities(region_masks, answer_boxes * scale, tuple(canvas.shape))
        return (
            finite_logits(pasted),
            region_masks,
            answer_boxes,
            choice.expected,
            matches.scores,
            choice.best,
            choice.nothing,
        )


__all__ = ["ExpressionGraph", "ImageGraph"]
