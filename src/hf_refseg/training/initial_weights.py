"""The weights a training starts from: all of them fit, and none that stays frozen is random."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

# What the papers take from a pretrained network: its classifier (fc8, fc1000) is the projection of the visual feature.
PRETRAINED_PARTS = ("backbone", "visual_projection")


def load_backbone_weights(model: nn.Module, folder: str | Path) -> set[str]:
    """Give `model` the pretrained weights in a folder and return the names of the parameters that have them now.

    Args:
        folder: of a backbone (`backbone.save_pretrained`), or of a model of ours (`hf-refseg convert` makes one), of
            which the backbone and the visual projection are taken.

    Raises:
        FileNotFoundError: no `model.safetensors` there.
        ValueError: names that only one side has, or shapes that differ.
    """
    from safetensors.torch import load_file

    path = Path(folder) / "model.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: backbone_checkpoint is a folder with the file model.safetensors")
    weights = load_file(path)
    if not any(name.startswith("backbone.") for name in weights):
        weights = {f"backbone.{name}": tensor for name, tensor in weights.items()}
    loaded = set()
    for part in PRETRAINED_PARTS:
        of_part = {name.removeprefix(f"{part}."): w for name, w in weights.items() if name.startswith(f"{part}.")}
        if of_part:
            load_exactly(getattr(model, part), of_part)
            loaded |= {f"{part}.{name}" for name in of_part}
    return loaded


def load_exactly(module: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Load `weights` into a module that has these and no others.

    Raises:
        ValueError: names that only one side has, or shapes that differ.
    """
    own = module.state_dict()
    unknown, missing = sorted(weights.keys() - own.keys()), sorted(own.keys() - weights.keys())
    shapes = [
        f"{name} {tuple(weights[name].shape)} for {tuple(own[name].shape)}"
        for name in sorted(weights.keys() & own.keys())
        if weights[name].shape != own[name].shape
    ]
    if unknown or missing or shapes:
        raise ValueError(
            f"the weights do not fit {type(module).__name__}: missing {missing[:5]} ({len(missing)}), unknown "
            f"{unknown[:5]} ({len(unknown)}), other shapes {shapes[:5]} ({len(shapes)})"
        )
    module.load_state_dict(weights)


def require_pretrained(frozen: Iterable[str], pretrained: set[str]) -> None:
    """Raise a ValueError if a parameter that the training leaves as it is would keep its random start."""
    random = sorted(set(frozen) - pretrained)
    if random:
        raise ValueError(
            f"{len(random)} frozen parameters would stay random ({', '.join(random[:3])} ...): give them weights with "
            "--backbone_checkpoint, --initialise_from or --checkpoint FOLDER, or train everything with --freeze none"
        )


def require_same_config(wanted: Mapping[str, Any], config, source: str) -> None:
    """Raise a ValueError where a recipe asks for another configuration than the weights it starts from have."""
    for name, value in wanted.items():
        if name != "backbone_config" and getattr(config, name) != value:
            raise ValueError(f"model.{name} is {value!r} in the recipe, but {source} has {getattr(config, name)!r}")
