"""
The way back: the arrays of an original checkpoint from our tensors, by the same table that made ours from them.

A source moves numbers from an array to a tensor. Where each went is found by moving the numbers 0, 1, 2, ... in their
place, so no converter says anything twice.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from .sources import OPTIMIZER_SLOTS, Source, check_names


def original_arrays(
    state_dict: Mapping[str, torch.Tensor],
    sources: Mapping[str, Source],
    like: Mapping[str, np.ndarray],
    unused: Iterable[str] = (),
) -> dict[str, np.ndarray]:
    """
    Original arrays that hold our tensors.

    Args:
        state_dict: our tensors by their names; those without a source are left out.
        sources: our name to its source.
        like: an original checkpoint of the same network, for the shapes, for the factors that numbers were divided by,
            and for the arrays that the original stores and never uses. A number that is converted to ours to the bit
            is taken from it, since the way there may have rounded.
        unused: names of the arrays that are never used.

    Returns: float32 arrays by their original names; an optimizer's slots are left out.

    Raises:
        ValueError: `like` is of another network: arrays are missing, unknown or of another size.
    """
    check_names(like, sources, unused)
    made = {source.names[0] for source in sources.values()}
    arrays = {name: np.array(like[name], np.float32) for name in like if not OPTIMIZER_SLOTS.search(name)}
    waiting = {name: arrays[name].size for name in made}
    for name, source in sources.items():
        original, *others = source.names
        shape = arrays[original].shape
        places = source.build(np.arange(arrays[original].size).reshape(shape))
        tensor = state_dict[name].float().cpu().numpy()
        if tensor.shape != places.shape:
            raise ValueError(f"{original} has the shape {shape}, which does not fit our {name} of {tensor.shape}")
        if source.arithmetic is not None:
            factors = [np.asarray(like[other], np.float32) for other in others]
            moved = source.build(np.asarray(like[original], np.float32))
            same = source.arithmetic.apply(moved, *factors) == tensor
            tensor = np.where(same, moved, source.arithmetic.undo(tensor, *factors))
        arrays[original].reshape(-1)[places.reshape(-1)] = tensor.reshape(-1)
        waiting[original] -= tensor.size
    if unfilled := sorted(name for name, count in waiting.items() if count):
        raise ValueError(f"our tensors do not fill {', '.join(unfilled[:10])}: the checkpoint is of a larger network")
    return arrays


def write_arrays(arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    """
    Write arrays into a new file.

    Args:
        path: `.npz`, `.safetensors`, or `.pth` with a state dict that any PyTorch since 0.2 reads.

    Raises:
        FileExistsError: it is there.
        ValueError: its name ends in another way.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists: choose a new file, or remove it first")
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    elif path.suffix == ".pth":
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        torch.save(tensors, path, _use_new_zipfile_serialization=False)
    else:
        raise ValueError(f"{path} ends in none of .npz, .safetensors and .pth")
