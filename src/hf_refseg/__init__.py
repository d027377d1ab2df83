"""
Referring image segmentation: five published systems as Hugging Face citizens.

Importing this package registers them with transformers' Auto classes and its `pipeline`, and imports nothing heavy:
the names below are loaded when they are first used.
"""

import importlib

from .checkpoints import checkpoint_names, checkpoint_path
from .registration import register
from .systems import SYSTEMS

__version__ = "0.1.0"

# Each public name that is loaded when it is first used, and the module that defines it.
_MODULE_OF = {
    "AutoModelForReferringSegmentation": "auto",
    "ReferringSegmentationOutput": "outputs",
    "pipeline": "checkpoints.loading",
} | {name: system.module_name(part) for system in SYSTEMS for name, part in system.class_names().items()}

__all__ = ["__version__", "checkpoint_names", "checkpoint_path", *_MODULE_OF]  # noqa: PLE0604


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


register()
