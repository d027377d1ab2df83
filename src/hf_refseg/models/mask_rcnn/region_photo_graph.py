"""The graph of a photo of the systems whose second graph answers among regions that are given, for export."""

import torch
from torch import nn
from torch.export import Dim

from ...layers.image_geometry import ImageGeometry
from .outputs_mask_rcnn import MaskRcnnImageFeatures

SHORTEST, LONGEST = 32, 2048  # pixels of a photo in the network's input


class RegionPhotoGraph(nn.Module):
    """
    Everything about one photo, and R regions in it, that needs no words.

    Args:
        model: over a Mask R-CNN, its module `detector`.
    """

    side_multiple = 1  # the processor's photos are taken as they are

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def example(self, processor) -> dict[str, torch.Tensor]:
        """Three regions of a photo that the processor has halved."""
        height, width = 99, 118
        corners = torch.tensor([[0.0, 0.0], [20.0, 10.0], [60.0, 30.0]])
        return {
            "pixel_values": torch.rand(1, 3, height, width),
            "pixel_mask": torch.ones(1, height, width, dtype=torch.long),
            "original_sizes": torch.tensor([[2 * height, 2 * width]]),
            "image_scales": torch.tensor([0.5]),
            "region_boxes": torch.cat([corners, corners + 50], 1)[None],
        }

    @property
    def sides(self) -> dict[str, dict]:
        """What differs from photo to photo: height, width, and how many regions there are."""
        height, width = (Dim(name, min=SHORTEST, max=LONGEST) for name in ("height", "width"))
        return {
            "pixel_values": {2: height, 3: width},
            "pixel_mask": {1: height, 2: width},
            "original_sizes": {},
            "image_scales": {},
            "region_boxes": {1: Dim("regions", min=2, max=1000)},
        }

    def see(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor,
        original_sizes: torch.Tensor,
        image_scales: torch.Tensor,
    ) -> tuple[MaskRcnnImageFeatures, torch.Tensor]:
        """
        Args:
            pixel_values, pixel_mask: (1, 3, H, W) and (1, H, W), the processor's, without padding.
            original_sizes, image_scales: (1, 2) and (1,).

        Returns:
            what the backbone says, and the canvas: zeros (H, W), whose size the masks will have.
        """
        canvas = torch.zeros_like(pixel_mask[0], dtype=pixel_values.dtype)
        size = tuple(canvas.shape)
        maps = self.model.detector.backbone(pixel_values).feature_maps[-1]  # (1, 3, H, W) -> (1, C, h, w)
        return MaskRcnnImageFeatures(
            maps=maps, geometry=ImageGeometry((size,), size, original_sizes, image_scales)
        ), canvas
