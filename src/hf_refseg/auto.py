"""Our own Auto class: every referring segmentation system by its configuration."""

from collections import OrderedDict

from transformers.models.auto.auto_factory import _BaseAutoModelClass, _LazyAutoMapping

from .registration import config_of
from .systems import MODEL_SUFFIXES, SYSTEMS


class AutoModelForReferringSegmentation(_BaseAutoModelClass):
    """Loads any of the package's systems, and nothing else, by its configuration."""

    _model_mapping = _LazyAutoMapping(OrderedDict(), OrderedDict())


for system in SYSTEMS:
    if system.kind == "referring":
        model_class = getattr(system.module("modeling"), f"{system.prefix}{MODEL_SUFFIXES[system.kind]}")
        AutoModelForReferringSegmentation.register(config_of(system), model_class, exist_ok=True)
