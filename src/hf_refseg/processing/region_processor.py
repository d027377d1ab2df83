"""The processor of systems that choose among regions: from the mask of the chosen one to a mask of the photo."""

import torch

from ..layers.image_geometry import paste_probabilities
from .mask_pasting import paste_masks
from .processor import ReferringSegmentationProcessor


class RegionProcessor(ReferringSegmentationProcessor):
    """A processor whose masks come back from the small mask of the chosen region straight to the photo's size.

    Where the caller brought masks of the regions, they come back exactly as they were. `interpolation="paper"` pastes
    as MAttNet and CAC did, see `hf_refseg.processing.mask_pasting`.
    """

    def draw_mask(
        self, outputs, row: int, size: tuple[int, int], threshold: float, interpolation: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if outputs.given_masks is not None:
            mask = outputs.given_masks[row]
            return mask, mask.float()
        small, box = outputs.region_masks[row, None].detach(), outputs.pred_boxes[row, None]
        probabilities = paste_probabilities(small, box, size)[0]  # (1, H, W) -> (H, W)
        if interpolation == "clean":
            return probabilities > threshold, probabilities
        return paste_masks(small, box, size, threshold, interpolation)[0], probabilities


__all__ = ["RegionProcessor"]
