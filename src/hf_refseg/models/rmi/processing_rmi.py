"""Processor of RMI (Liu et al., ICCV 2017), with the published settings of all its rows."""

from transformers.models.auto.image_processing_auto import AutoImageProcessor
from transformers.models.auto.processing_auto import AutoProcessor

from ...processing.image_processing import RefSegImageProcessor
from ...processing.processor import ReferringSegmentationProcessor
from .configuration_rmi import RmiConfig


class RmiImageProcessor(RefSegImageProcessor):
    """Letterbox of 320 x 320, Caffe's ImageNet means (RGB, grey levels) and no division."""

    size = {"height": 320, "width": 320}
    image_mean = [122.67891434, 116.66876762, 104.00698793]
    image_std = [1.0, 1.0, 1.0]


class RmiProcessor(ReferringSegmentationProcessor):
    """Images at 320 x 320; at most the tokenizer's `model_max_length` words (20), padded in front."""

    default_image_processor = RmiImageProcessor


AutoImageProcessor.register(RmiConfig, image_processor_classes={"torchvision": RmiImageProcessor}, exist_ok=True)
AutoProcessor.register(RmiConfig, RmiProcessor, exist_ok=True)

__all__ = ["RmiImageProcessor", "RmiProcessor"]
