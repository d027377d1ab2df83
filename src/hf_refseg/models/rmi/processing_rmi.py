"""Processor of RMI (Liu et al., ICCV 2017), with the published settings of all its rows."""

from ...processing.processor import ReferringSegmentationProcessor
from .image_processing_rmi import RmiImageProcessor


class RmiProcessor(ReferringSegmentationProcessor):
    """Images at 320 x 320; at most the tokenizer's `model_max_length` words (20), padded in front."""

    default_image_processor = RmiImageProcessor


__all__ = ["RmiProcessor"]
