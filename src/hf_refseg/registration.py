"""
Makes transformers' Auto classes know ours without importing any of it.

Every module registers its classes where it ends. Importing models, processors or pipelines of transformers costs
seconds, and its configurations most of one, so ours are imported at the moment the factory that needs them is, by
whomever.
"""

import importlib

from wrapt import register_post_import_hook

# Factory of transformers: our modules that register with it.
MODULES = {
    "transformers.models.auto.configuration_auto": (
        "models.caffe_resnet.configuration_caffe_resnet",
        "models.vgg_fcn.configuration_vgg_fcn",
        "models.mobilenet_v2.configuration_mobilenet_v2",
        "models.mask_rcnn.configuration_mask_rcnn",
        "models.lstm_cnn.configuration_lstm_cnn",
        "models.mattnet.configuration_mattnet",
        "models.rmi.configuration_rmi",
    ),
    "transformers.models.auto.modeling_auto": (
        "models.caffe_resnet.modeling_caffe_resnet",
        "models.vgg_fcn.modeling_vgg_fcn",
        "models.mobilenet_v2.modeling_mobilenet_v2",
        "models.mask_rcnn.register_mask_rcnn",
        "models.lstm_cnn.modeling_lstm_cnn",
        "models.mattnet.modeling_mattnet",
        "models.rmi.modeling_rmi",
    ),
    "transformers.models.auto.processing_auto": (
        "models.mask_rcnn.register_image_processor",
        "models.lstm_cnn.processing_lstm_cnn",
        "models.mattnet.processing_mattnet",
        "models.rmi.processing_rmi",
    ),
    "transformers.pipelines": ("pipeline",),
}


def import_modules(factory) -> None:
    """
    Import our modules of a factory that has just been imported.

    No name is taken out of them: where one of them caused the factory's import, it is itself only half imported.
    """
    for module in MODULES[factory.__name__]:
        importlib.import_module(f".{module}", __package__)


def register() -> None:
    """Have each class registered as soon as its factory is imported, or now where it already is."""
    for factory in MODULES:
        register_post_import_hook(import_modules, factory)
    # Our image processors register beside our processors. processing_auto, half imported, is who usually imports this
    # factory: ours would miss AutoProcessor then, so they wait for the hook of processing_auto.
    register_post_import_hook(
        lambda _: importlib.import_module("transformers.models.auto.processing_auto"),
        "transformers.models.auto.image_processing_auto",
    )
