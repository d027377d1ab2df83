"""
Makes AutoModel know the detector.

Apart from its modeling file, which other models import: were that file what imports transformers' factory, these would
be asked for while it is itself only half imported.
"""

from transformers.models.auto.modeling_auto import AutoModel

from .configuration_mask_rcnn import MaskRcnnConfig
from .modeling_mask_rcnn import MaskRcnnForInstanceSegmentation

AutoModel.register(MaskRcnnConfig, MaskRcnnForInstanceSegmentation, exist_ok=True)
