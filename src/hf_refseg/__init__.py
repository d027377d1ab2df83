"""
Referring image segmentation: five published systems as Hugging Face citizens.

Importing this package registers them with transformers' Auto classes and its `pipeline`, and imports nothing heavy:
the names below are loaded when they are first used.
"""

import importlib

from .checkpoints import checkpoint_names, checkpoint_path
from .registration import register

__version__ = "0.1.0"

_LOCATIONS = {
    "AutoModelForReferringSegmentation": "auto",
    "LstmCnnConfig": "models.lstm_cnn.configuration_lstm_cnn",
    "LstmCnnForReferringSegmentation": "models.lstm_cnn.modeling_lstm_cnn",
    "LstmCnnProcessor": "models.lstm_cnn.processing_lstm_cnn",
    "MAttNetConfig": "models.mattnet.configuration_mattnet",
    "MAttNetForReferringSegmentation": "models.mattnet.modeling_mattnet",
    "MAttNetProcessor": "models.mattnet.processing_mattnet",
    "MaskRcnnConfig": "models.mask_rcnn.configuration_mask_rcnn",
    "MaskRcnnForInstanceSegmentation": "models.mask_rcnn.modeling_mask_rcnn",
    "MaskRcnnImageProcessor": "models.mask_rcnn.image_processing_mask_rcnn",
    "ReferringSegmentationOutput": "outputs",
    "RmiConfig": "models.rmi.configuration_rmi",
    "RmiForReferringSegmentation": "models.rmi.modeling_rmi",
    "RmiProcessor": "models.rmi.processing_rmi",
}

__all__ = ["__version__", "checkpoint_names", "checkpoint_path", *_LOCATIONS]  # noqa: PLE0604


def __getattr__(name: str):
    if name not in _LOCATIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_LOCATIONS[name]}", __name__), name)


register()
