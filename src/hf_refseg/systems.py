"""
Every system of the package, one line each. What must know all systems reads this table.

Where a system's parts are follows from its family and its class prefix alone: `<Prefix>Config` is in
`models/<family>/configuration_<family>.py`, `<Prefix>For...` in `modeling_<family>.py`, and so on, see [`System`].
Nothing is imported here until somebody asks for it.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

# What the model class of each kind is called, after the system's prefix.
MODEL_SUFFIXES = {
    "referring": "ForReferringSegmentation",
    "detector": "ForInstanceSegmentation",
    "backbone": "Backbone",
}


@dataclass(frozen=True)
class System:
    """
    One model family.

    Args:
        family: its folder below `models/`, and the end of its file names; its `model_type` is `refseg_<family>`.
        prefix: how the names of its classes begin.
        kind: what its model answers with.
        image_processor: the family whose image processor it uses, where it is not its own.
    """

    family: str
    prefix: str
    kind: Literal["referring", "detector", "backbone"]
    image_processor: str | None = None

    @property
    def model_type(self) -> str:
        return f"refseg_{self.family}"

    def module_name(self, part: str) -> str:
        """The module of a part, such as "modeling" or "training", relative to the package."""
        return f"models.{self.family}.{part}_{self.family}"

    def module(self, part: str) -> ModuleType:
        """
        The imported module of a part.

        Raises:
            ValueError: the system has no such part.
        """
        name = f"{__package__}.{self.module_name(part)}"
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:  # something that the module itself imports is not installed
                raise
            raise ValueError(f"{self.model_type} has no {part}: there is no module {name}") from error

    def has(self, part: str) -> bool:
        """Whether the system has a module of this part."""
        return (Path(__file__).parent / f"{self.module_name(part).replace('.', '/')}.py").is_file()

    def class_names(self) -> dict[str, str]:
        """Each public class of the system, and the part that defines it."""
        names = {f"{self.prefix}Config": "configuration", f"{self.prefix}{MODEL_SUFFIXES[self.kind]}": "modeling"}
        if self.kind != "backbone" and self.image_processor is None:
            names[f"{self.prefix}ImageProcessor"] = "image_processing"
        if self.kind == "referring":
            names[f"{self.prefix}Processor"] = "processing"
        return names


SYSTEMS = (
    System("caffe_resnet", "CaffeResNet", "backbone"),
    System("vgg_fcn", "VggFcn", "backbone"),
    System("mobilenet_v2", "RefSegMobileNetV2", "backbone"),
    System("shufflenet_pan", "ShuffleNetPan", "backbone"),
    System("mask_rcnn", "MaskRcnn", "detector"),
    System("nanodet", "NanoDet", "detector"),
    System("cac", "Cac", "referring", image_processor="mask_rcnn"),
    System("lstm_cnn", "LstmCnn", "referring"),
    System("hulanet", "HulaNet", "referring", image_processor="mask_rcnn"),
    System("mattnet", "MAttNet", "referring", image_processor="mask_rcnn"),
    System("region_matcher", "RegionMatcher", "referring", image_processor="nanodet"),
    System("rmi", "Rmi", "referring"),
    System("context_rmi", "ContextRmi", "referring", image_processor="rmi"),
)


def find_system(name: str) -> System:
    """
    The system of a family ("rmi"), also as it is written on the command line ("lstm-cnn"), or of a `model_type`.

    Raises:
        ValueError: there is none of this name.
    """
    family = name.removeprefix("refseg_").replace("-", "_")
    for system in SYSTEMS:
        if system.family == family:
            return system
    raise ValueError(f"unknown system {name!r}; there are {', '.join(system.family for system in SYSTEMS)}")
