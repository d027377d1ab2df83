"""
The code of a system as it lies in a model folder, and how transformers finds its classes there.

`auto_map` in the JSON files names the classes that transformers should take from the folder, `custom_pipelines` the
pipeline of the task that the Hub knows.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..saving import SavesItsCode
from ..systems import MODEL_SUFFIXES, SYSTEMS, System, find_system
from .flattening import PACKAGE, flat_name, flatten

HUB_TASKS = ("image-segmentation", "mask-generation")  # the nearest of those that the Hub knows; cards name the first
REGISTRATION = '''"""Generated. Makes transformers know these classes by name, as `import hf_refseg` does."""

from transformers import AutoConfig, AutoModel
from transformers.pipelines import PIPELINE_REGISTRY

{imports}


def register() -> None:
    """Called by the configuration, which transformers loads first."""
{body}
'''


@dataclass(frozen=True)
class SystemCode:
    """
    The code of one system.

    Args:
        auto_map: for each Auto class of transformers the file and the class in the folder, "modeling_rmi.RmiFor...".
        custom_pipelines: the pipelines that transformers takes from the folder, by task.
            "referring-image-segmentation" is not among them: transformers would then demand `trust_remote_code=True`
            even where the package has registered it. Without the package the folder itself registers it.
        files: the source of each file by its name without ".py".
    """

    auto_map: dict[str, str]
    custom_pipelines: dict[str, dict]
    files: dict[str, str]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, source in self.files.items():
            (folder / f"{name}.py").write_text(source, encoding="utf-8")


def code_of(part: SavesItsCode) -> SystemCode:
    """
    The code of a model, image processor or processor.

    Raises:
        ValueError: it is none of the package's.
    """
    source = part.images_by()
    return system_code(owner_of(part), None if source is None else owner_of(source))


def owner_of(part: SavesItsCode) -> System:
    """
    The system that defines the class of a part.

    Raises:
        ValueError: it is none of the package's.
    """
    owners = {name: system for system in SYSTEMS for name in system.class_names()}
    for kind in type(part).__mro__:  # sharding makes a subclass of a model's class
        if kind.__module__.split(".")[0] == PACKAGE.name and kind.__name__ in owners:
            return owners[kind.__name__]
    raise ValueError(f"{type(part).__name__} is no model or processor of {PACKAGE.name}")


@cache
def system_code(system: System, image_system: System | None = None) -> SystemCode:
    """
    The code of a system or a detector.

    Args:
        image_system: whose image processor it uses, as a system over a detector uses that of the detector; None: the
            one that `SYSTEMS` names.
    """
    image_system = image_system or find_system(system.image_processor or system.family)
    module, class_name = pipeline_of(system)
    pipelines = {task: {"impl": f"{flat_name(module)}.{class_name}", "pt": ["AutoModel"]} for task in HUB_TASKS}
    return SystemCode(auto_map_of(system, image_system), pipelines, files_of(system, image_system))


def auto_map_of(system: System, image_system: System) -> dict[str, str]:
    classes = {
        "AutoConfig": (system, "configuration", f"{system.prefix}Config"),
        "AutoModel": (system, "modeling", f"{system.prefix}{MODEL_SUFFIXES[system.kind]}"),
        "AutoImageProcessor": (image_system, "image_processing", f"{image_system.prefix}ImageProcessor"),
    }
    if system.kind == "referring":
        classes["AutoProcessor"] = (system, "processing", f"{system.prefix}Processor")
    return {auto: f"{flat_name(owner.module_name(part))}.{name}" for auto, (owner, part, name) in classes.items()}


def pipeline_of(system: System) -> tuple[str, str]:
    """Module and class of the system's pipeline."""
    if system.has("pipeline"):
        return system.module_name("pipeline"), f"{system.prefix}Pipeline"
    return "pipelines", "ReferringSegmentationPipeline"


def files_of(system: System, image_system: System) -> dict[str, str]:
    """The source of every file that the system needs, by its name without ".py"."""
    modules = [system.module_name("configuration"), system.module_name("modeling"), pipeline_of(system)[0]]
    modules.append(image_system.module_name("image_processing"))
    if system.kind == "referring":
        modules.append(system.module_name("processing"))
    files = flatten(modules)
    files["registration"] = registration_of(system, files)
    main = flat_name(modules[0])
    files[main] += "\n\nfrom .registration import register  # noqa: E402  (the configuration must be there first)\n\n"
    files[main] += "register()\n"
    return files


def registration_of(system: System, files: dict[str, str]) -> str:
    """
    The source of `registration.py`: configurations inside of the system's own become objects by their registered name,
    and the task of the package has to be known by its name.
    """
    imports, body = [], []
    for part in SYSTEMS:
        name = flat_name(part.module_name("configuration"))
        if name in files and part is not system:
            imports.append(f"from .{name} import {part.prefix}Config")
            body.append(f"AutoConfig.register({part.prefix}Config.model_type, {part.prefix}Config, exist_ok=True)")
    module, class_name = pipeline_of(system)
    # Imported in every case: transformers copies what the configuration reaches when it saves a model again.
    imports.append(f"from .{flat_name(module)} import {class_name}")
    if system.kind == "referring":
        body.append(f"PIPELINE_REGISTRY.supported_tasks.pop({class_name}.task, None)  # of another folder")
        body.append(f"pipeline_class = {class_name}")
        body.append("PIPELINE_REGISTRY.register_pipeline(pipeline_class.task, pipeline_class, pt_model=(AutoModel,))")
    exported = f'__all__ = ["{class_name}", "register"]'
    imports = "\n".join(sorted(imports)) + f"\n\n{exported}"
    return REGISTRATION.format(imports=imports, body="\n".join(f"    {line}" for line in body))
