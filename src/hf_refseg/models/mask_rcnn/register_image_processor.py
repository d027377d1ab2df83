"""Makes AutoImageProcessor know the detector's, apart from its file for the reason that register_mask_rcnn.py gives."""

from transformers.models.auto.image_processing_auto import AutoImageProcessor

from .configuration_mask_rcnn import MaskRcnnConfig
from .image_processing_mask_rcnn import MaskRcnnImageProcessor

AutoImageProcessor.register(
    MaskRcnnConfig, image_processor_classes={"torchvision": MaskRcnnImageProcessor}, exist_ok=True
)
