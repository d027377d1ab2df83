"""
Makes transformers' Auto classes and its `pipeline` know ours, without importing either before they are needed.

Importing models, processors or pipelines of transformers takes seconds. So each of our classes is registered as soon as
both are imported: the factory of transformers that should know it, and our module that defines it. Importing a factory
imports our modules for it. A module of ours that is being imported just then is registered when it is complete.
"""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from wrapt import register_post_import_hook

from .checkpoints import DEFAULT_CHECKPOINT, FOLDER
from .saving import Code, SavesItsCode
from .systems import SYSTEMS, System, find_system

AUTO = "transformers.models.auto"


@dataclass(frozen=True)
class Registration:
    """
    One class, and the factory that should know it.

    Args:
        factory: a module of transformers.
        module: the full name of our module that defines the class.
        class_name: the class.
        register: called with the class once both modules are imported.
    """

    factory: str
    module: str
    class_name: str
    register: Callable[[type], None]

    def on_factory(self, _) -> None:
        module = importlib.import_module(self.module)
        if hasattr(module, self.class_name):  # else it is being imported, and `on_module` follows
            self.register(getattr(module, self.class_name))

    def on_module(self, module) -> None:
        factory = sys.modules.get(self.factory)
        if factory is not None and not factory.__spec__._initializing:  # else `on_factory` follows
            self.register(getattr(module, self.class_name))


def register() -> None:
    """Have every class registered as soon as it can be."""
    registrations = [entry for system in SYSTEMS for entry in system_registrations(system)]
    module = f"{__package__}.pipelines"
    registrations.append(
        Registration("transformers.pipelines", module, "ReferringSegmentationPipeline", register_pipeline)
    )
    for entry in registrations:
        register_post_import_hook(entry.on_factory, entry.factory)
        register_post_import_hook(entry.on_module, entry.module)
    SavesItsCode.code_of = code_of


def code_of(part: SavesItsCode) -> Code:
    from .hub.code import code_of

    return code_of(part)


def system_registrations(system: System) -> list[Registration]:
    """The entries of one system: its configuration, model and, where it has them, processors."""
    parts = {part: class_name for class_name, part in system.class_names().items()}
    image_system = find_system(system.image_processor or system.family)

    def entry(factory: str, owner: System, part: str, class_name: str, register) -> Registration:
        name = f"{__package__}.{owner.module_name(part)}"
        return Registration(f"{AUTO}.{factory}", name, class_name, partial(register, system))

    entries = [entry("configuration_auto", system, "configuration", parts["configuration"], register_config)]
    entries.append(entry("modeling_auto", system, "modeling", parts["modeling"], register_model))
    if system.kind != "backbone":
        class_name = f"{image_system.prefix}ImageProcessor"
        entries.append(
            entry("image_processing_auto", image_system, "image_processing", class_name, register_image_processor)
        )
    if system.kind == "referring":
        entries.append(entry("processing_auto", system, "processing", parts["processing"], register_processor))
    return entries


def config_of(system: System) -> type:
    return getattr(system.module("configuration"), f"{system.prefix}Config")


def register_config(system: System, config_class: type) -> None:
    from transformers.models.auto.configuration_auto import AutoConfig

    AutoConfig.register(system.model_type, config_class, exist_ok=True)


def register_model(system: System, model_class: type) -> None:
    from transformers.models.auto.modeling_auto import AutoBackbone, AutoModel

    factory = AutoBackbone if system.kind == "backbone" else AutoModel
    factory.register(config_of(system), model_class, exist_ok=True)


def register_image_processor(system: System, image_processor_class: type) -> None:
    from transformers.models.auto.image_processing_auto import AutoImageProcessor

    classes = {"torchvision": image_processor_class}
    AutoImageProcessor.register(config_of(system), image_processor_classes=classes, exist_ok=True)


def register_processor(system: System, processor_class: type) -> None:
    from transformers.models.auto.processing_auto import AutoProcessor

    AutoProcessor.register(config_of(system), processor_class, exist_ok=True)


def register_pipeline(pipeline_class: type) -> None:
    from transformers.models.auto.modeling_auto import AutoModel
    from transformers.pipelines import PIPELINE_REGISTRY

    PIPELINE_REGISTRY.register_pipeline(
        pipeline_class.task,
        pipeline_class=pipeline_class,
        pt_model=(AutoModel,),
        default={"model": (str(FOLDER / DEFAULT_CHECKPOINT), None)},
        type="multimodal",
    )
