"""What can be chosen: every checkpoint of the package that answers expressions. A new one appears by itself."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hf_refseg.checkpoints import DEFAULT_CHECKPOINT, checkpoint_names, checkpoint_path
from hf_refseg.checkpoints.loading import load_model, load_processor
from hf_refseg.evaluation.results import read_eval_results
from hf_refseg.systems import System, find_system


@dataclass(frozen=True)
class Choice:
    """
    One checkpoint.

    Args:
        name: as the package calls it.
        system: the system that it is of.
        on_shapes: it was trained on drawn shapes, and knows nothing of photos.
    """

    name: str
    system: System
    on_shapes: bool

    @property
    def label(self) -> str:
        return f"{self.name} ({'drawn shapes' if self.on_shapes else 'photos'})"

    @property
    def megabytes(self) -> float:
        return (Path(checkpoint_path(self.name)) / "model.safetensors").stat().st_size / 1e6

    def load(self, device: str):
        """Processor, and model on a device; loaded at the first call."""
        return load(self.name, device)


@cache
def choices() -> tuple[Choice, ...]:
    """All checkpoints, the default one first, those of photos before those of drawn shapes."""
    found = []
    for name in checkpoint_names():
        folder = Path(checkpoint_path(name))
        system = find_system(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
        if system.kind == "referring":
            found.append(Choice(name, system, read_eval_results(folder)["dataset"].startswith("refshapes")))
    return tuple(sorted(found, key=lambda one: (one.name != DEFAULT_CHECKPOINT, one.on_shapes, one.name)))


def find_choice(name: str) -> Choice:
    """The checkpoint of a name; raises ValueError where there is none."""
    for choice in choices():
        if choice.name == name:
            return choice
    raise ValueError(f"there is no system {name!r}; choose one of {', '.join(one.name for one in choices())}")


@cache
def load(name: str, device: str):
    return load_processor(name), load_model(name).eval().to(device)
