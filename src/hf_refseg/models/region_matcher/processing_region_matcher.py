"""Processor of the region matcher."""

from ...processing.region_processor import RegionProcessor
from ..mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor


class RegionMatcherProcessor(RegionProcessor):
    """The detector's images; words as RMI's tokenizer splits them, padded behind."""

    default_image_processor = MaskRcnnImageProcessor
    padding_side = "right"

    def post_process_referring_segmentation(self, outputs, *args, **kwargs) -> list[dict]:
        """As [`ReferringSegmentationProcessor`] does. Where the model finds nothing that is meant the mask is empty and
        its `box` None; each dict also has `no_target_score`, the probability of that."""
        results = super().post_process_referring_segmentation(outputs, *args, **kwargs)
        for result, nothing in zip(results, outputs.no_target_scores.tolist(), strict=True):
            result["no_target_score"] = nothing
            if not result["mask"].any():
                result["box"] = None
        return results


__all__ = ["RegionMatcherProcessor"]
