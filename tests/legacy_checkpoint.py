"""
Writes a checkpoint as the original MAttNet does: a whole pickled module in the format before zip files.

Run as a program, so that the stand-ins for the original's modules exist in no process that reads the file:
`python legacy_checkpoint.py ARRAYS.npz CHECKPOINT.pth [zip | parameters]`. "parameters" pickles parameters by
their class, as PyTorch 0.2 did.
"""

import sys
import types
from collections import OrderedDict

import numpy as np
import torch
from torch import nn

FILES = {"rnn_encoder": "lang_encoder", "sub_encoder": "visual_encoder", "loc_encoder": "visual_encoder"}


def stand_in(name: str, file: str) -> type:
    """An importable class of the original's, e.g. layers.joint_match.JointMatching."""
    package = sys.modules.setdefault("layers", types.ModuleType("layers"))
    module = sys.modules.setdefault(f"layers.{file}", types.ModuleType(f"layers.{file}"))
    setattr(package, file, module)
    made = getattr(module, name, None) or type(name, (nn.Module,), {"__module__": f"layers.{file}"})
    setattr(module, name, made)
    return made


class ByClass:
    """Pickles as Parameter(tensor)."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return nn.Parameter, (self.tensor,)


def build(tree: dict, name: str, file: str, by_class: bool) -> nn.Module:
    """A module with these tensors, real layers of torch at the leaves."""
    if "running_mean" in tree:
        module = nn.BatchNorm1d(len(tree["running_mean"]))
    elif "weight_ih_l0" in tree:
        module = nn.LSTM(tree["weight_ih_l0"].shape[1], tree["weight_hh_l0"].shape[1], bidirectional=True)
    elif "bias" in tree:
        module = nn.Linear(*tree["weight"].shape[::-1])
    else:
        module = stand_in(name.title().replace("_", ""), file)()
    for key, value in tree.items():
        if isinstance(value, dict):
            module.add_module(key, build(value, key, FILES.get(key, file), by_class))
        elif key.startswith("running"):
            module._buffers[key] = torch.from_numpy(value)
        else:
            tensor = torch.from_numpy(value)
            module._parameters[key] = ByClass(tensor) if by_class else nn.Parameter(tensor)
    module._buffers.pop("num_batches_tracked", None)
    return module


def main(arrays: str, checkpoint: str, *options: str) -> None:
    tree = {}
    with np.load(arrays) as stored:
        for name in stored.files:
            *parents, leaf = name.split(".")
            place = tree
            for parent in parents:
                place = place.setdefault(parent, OrderedDict())
            place[leaf] = stored[name]
    module = build(tree, "joint_matching", "joint_match", "parameters" in options)
    content = {"model": module, "opt": {"margin": 0.1, "id": "mrcn_cmr_with_st"}}
    torch.save(content, checkpoint, pickle_protocol=2, _use_new_zipfile_serialization="zip" in options)


if __name__ == "__main__":
    main(*sys.argv[1:])
