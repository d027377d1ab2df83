"""
Makes transformers' Auto classes know ours without importing any of it.

Importing models, processors or pipelines of transformers costs seconds, so ours are registered at the moment the
factory that needs them is imported, by whomever; configurations are light and registered at once.
"""

from wrapt import register_post_import_hook

from .models.caffe_resnet import configuration_caffe_resnet  # noqa: F401
from .models.lstm_cnn import configuration_lstm_cnn  # noqa: F401
from .models.mobilenet_v2 import configuration_mobilenet_v2  # noqa: F401
from .models.rmi import configuration_rmi  # noqa: F401
from .models.vgg_fcn import configuration_vgg_fcn  # noqa: F401


def register_models(factory) -> None:
    """Register every model with `transformers.models.auto.modeling_auto`."""
    from .auto import BACKBONES, MODELS

    for config, backbone in BACKBONES.items():
        factory.AutoBackbone.register(config, backbone, exist_ok=True)
    for config, model in MODELS.items():
        factory.AutoModel.register(config, model, exist_ok=True)


def register_image_processors(factory) -> None:
    """Register every image processor with `transformers.models.auto.image_processing_auto`."""
    from .auto import PROCESSORS

    for config, (_, image_processor) in PROCESSORS.items():
        classes = {"torchvision": image_processor}
        factory.AutoImageProcessor.register(config, image_processor_classes=classes, exist_ok=True)


def register_processors(factory) -> None:
    """Register every processor with `transformers.models.auto.processing_auto`."""
    from .auto import PROCESSORS

    for config, (processor, _) in PROCESSORS.items():
        factory.AutoProcessor.register(config, processor, exist_ok=True)


def register_pipeline(factory) -> None:
    """Register the task with `transformers.pipelines`; the module does it at its end, for it imports the factory."""
    from . import pipeline  # noqa: F401


def register() -> None:
    """Have each class registered as soon as its factory is imported, or now where it already is."""
    register_post_import_hook(register_models, "transformers.models.auto.modeling_auto")
    register_post_import_hook(register_image_processors, "transformers.models.auto.image_processing_auto")
    register_post_import_hook(register_processors, "transformers.models.auto.processing_auto")
    register_post_import_hook(register_pipeline, "transformers.pipelines")
