"""Processor of MAttNet (Yu et al., CVPR 2018)."""

import torch

from ...processing.mask_pasting import paste_masks, paste_probabilities
from ...processing.processor import ReferringSegmentationProcessor
from ..mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor


class MAttNetProcessor(ReferringSegmentationProcessor):
    """The detector's images (600 / 1000 pixels); expressions padded behind.

    Masks come back from the small mask of the chosen region straight to the photo's size, or, where the caller brought
    masks of the regions, exactly as these were. `interpolation="paper"` pastes as the original did, which see in
    `hf_refseg.processing.mask_pasting`.
    """

    default_image_processor = MaskRcnnImageProcessor

    def draw_mask(
        self, outputs, row: int, size: tuple[int, int], threshold: float, interpolation: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if outputs.given_masks is not None:
            mask = outputs.given_masks[row].bool()
            return mask, mask.float()
        small, box = outputs.region_masks[row, None].detach(), outputs.pred_boxes[row, None]
        masks = paste_masks(small, box, size, threshold, interpolation)
        return masks[0], paste_probabilities(small, box, size)[0]  # (1, H, W) -> (H, W)


__all__ = ["MAttNetProcessor"]
