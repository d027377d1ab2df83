"""
What every converter is made of: a table that says for each of our tensors which original arrays it comes from, and how.

A converter is data. `build_state_dict` turns the table and the arrays of a checkpoint into a state dict, and refuses a
checkpoint in which an array is missing or unknown.
"""

import re
import textwrap
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

# What training leaves beside the weights: Adam's and Momentum's slots, Adam's powers and the step counter.
OPTIMIZER_SLOTS = re.compile(r"(^|/)(Adam|Adam_\d+|Momentum|beta[12]_power|Variable)$")


# A file that unpacks to less than this is read whatever its compression; trained weights shrink to nine tenths at best,
# and the zeros of an unused optimizer to nothing.
UNCHECKED_BYTES, MOST_COMPRESSION = 1 << 27, 20
LONGEST_REASON = 300  # characters: zipfile and numpy repeat what they could not read


@dataclass(frozen=True)
class Arithmetic:
    """
    What happens to the numbers of a tensor besides being moved.

    Args:
        apply: from the moved array, and the source's further arrays, to our tensor.
        undo: back from our tensor and the further arrays.
    """

    apply: Callable[..., np.ndarray]
    undo: Callable[..., np.ndarray]


@dataclass(frozen=True)
class Source:
    """
    One of our tensors.

    Args:
        names: the original array that holds its numbers, and those that take part in the arithmetic.
        build: moves numbers of the first array to where they are in our tensor, and changes none; so the way back
            follows from it.
        arithmetic: what changes them then; None: nothing.
    """

    names: tuple[str, ...]
    build: Callable[[np.ndarray], np.ndarray]
    arithmetic: Arithmetic | None = None

    def make(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Our tensor from the original arrays."""
        first, *others = (np.asarray(arrays[name], np.float32) for name in self.names)
        moved = self.build(first)
        return moved if self.arithmetic is None else self.arithmetic.apply(moved, *others)


def as_given(array: np.ndarray) -> np.ndarray:
    return array


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """
    The arrays of an `.npz` file.

    Raises:
        ValueError: it is damaged, holds pickled objects, or would unpack to far more than weights ever do.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > max(UNCHECKED_BYTES, MOST_COMPRESSION * path.stat().st_size):
            raise ValueError(f"it would unpack to {unpacked:,} bytes, which no checkpoint of this size does")
        with np.load(path, allow_pickle=False) as arrays:
            if odd := [name for name in arrays.files if not isinstance(arrays[name], np.ndarray)]:
                raise ValueError(f"its members {', '.join(odd[:5])} are no arrays")
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # numpy raises whatever its parser hits: ValueError, BadZipFile, EOFError, ...
        raise ValueError(f"{path} is not a readable .npz of plain arrays: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """What an error of a file's reader says, at a length that can be read."""
    return textwrap.shorten(str(error), LONGEST_REASON) or type(error).__name__


def build_state_dict(
    arrays: Mapping[str, np.ndarray], sources: Mapping[str, Source], unused: Iterable[str] = ()
) -> dict[str, torch.Tensor]:
    """
    Our state dict from the original arrays.

    Args:
        arrays: original name to array.
        sources: our name to its source.
        unused: original names that the published graph builds but never uses.

    Raises:
        ValueError: an array is missing, or one is neither used nor an optimizer slot; the names are listed. An array
            that is not finite.
    """
    check_names(arrays, sources, unused)
    state_dict = {}
    for name, source in sources.items():
        made = source.make(arrays)
        if not np.isfinite(made).all():
            raise ValueError(
                f"{', '.join(source.names)} of the checkpoint hold nan or inf, so the model would answer nothing: get "
                "another copy, or one from before its training diverged"
            )
        state_dict[name] = torch.from_numpy(np.ascontiguousarray(made))
    return state_dict


def check_names(arrays: Mapping[str, np.ndarray], sources: Mapping[str, Source], unused: Iterable[str] = ()) -> None:
    """Raises ValueError as [`build_state_dict`]."""
    wanted = {name for source in sources.values() for name in source.names}
    missing = sorted(wanted - set(arrays))
    unknown = sorted(name for name in set(arrays) - wanted - set(unused) if not OPTIMIZER_SLOTS.search(name))
    if missing or unknown:
        problems = [
            f"{len(names)} {kind} array{'s' if len(names) > 1 else ''}: {', '.join(names[:20])}"
            + (f" and {len(names) - 20} more" if len(names) > 20 else "")
            for kind, names in (("missing", missing), ("unknown", unknown))
            if names
        ]
        raise ValueError("the checkpoint does not fit the model; " + "; ".join(problems))
