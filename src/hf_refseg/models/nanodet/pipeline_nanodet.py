"""`pipeline("image-segmentation")` for NanoDet: a photo in, the things in it out."""

from ..mask_rcnn.pipeline_mask_rcnn import MaskRcnnPipeline
from .outputs_nanodet import NanoDetOutput


class NanoDetPipeline(MaskRcnnPipeline):
    """As [`MaskRcnnPipeline`], over a NanoDet with a mask head: `pipe("photo.jpg", threshold=0.5)`."""

    output_class = NanoDetOutput


__all__ = ["NanoDetPipeline"]
