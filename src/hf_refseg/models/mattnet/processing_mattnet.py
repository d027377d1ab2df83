"""Processor of MAttNet (Yu et al., CVPR 2018)."""

import torch
from transformers.models.auto.image_processing_auto import AutoImageProcessor
from transformers.models.auto.processing_auto import AutoProcessor

from ...processing.mask_pasting import paste_masks, paste_probabilities
from ...processing.processor import ReferringSegmentationProcessor
from ..mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from .configuration_mattnet import MAttNetConfig


class MAttNetProcessor(ReferringSegmentationProcessor):
    """The detector's images (600 / 1000 pixels); expressions padded behind.

    Masks come back from the small mask of the chosen region straight to the photo's size, or, where the caller brought
    masks of the regions, exactly as these were. `protocol="paper"` pastes as the original did, which see in
    `hf_refseg.processing.mask_pasting`.
    """

    default_image_processor = MaskRcnnImageProcessor

    def draw_mask(
        self, outputs, row: int, size: tuple[int, int], threshold: float, protocol: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        mask = outputs.region_masks[row].detach()
        if isinstance(outputs.region_masks, tuple):
            return mask.bool(), mask.float()
        small, box = mask[None], outputs.pred_boxes[row, None]
        masks = paste_masks(small, box, size, threshold, protocol)
        return masks[0], paste_probabilities(small, box, size)[0]  # (1, H, W) -> (H, W)


AutoImageProcessor.register(
    MAttNetConfig, image_processor_classes={"torchvision": MaskRcnnImageProcessor}, exist_ok=True
)
AutoProcessor.register(MAttNetConfig, MAttNetProcessor, exist_ok=True)

__all__ = ["MAttNetProcessor"]
