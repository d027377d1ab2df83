"""Which values are a mask. Whatever could mean two things is refused, as it would give numbers that look right."""

from numbers import Integral

import numpy as np

MOST_COUNTED = 1 << 48  # more than the pixels of any picture; the sums of as many still fit into 64 bits


def as_array(values, name: str) -> np.ndarray:
    """numpy of an array, a tensor of any device and type, a picture, or nested lists.

    Raises ValueError, which calls the values by their `name`, for what has no numbers to read.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise ValueError(f"{name} is a masked array, whose mask would be lost; say what its gaps are: values.filled(0)")
    try:
        if hasattr(values, "detach"):  # a tensor: numpy knows neither those of a GPU nor bfloat16
            values = values.detach().cpu()
            values = values.float() if values.is_floating_point() and values.itemsize < 4 else values
        array = np.asarray(values)
    except Exception as error:  # sparse and meta tensors, ragged lists, closed pictures: each raises its own kind
        raise ValueError(f"{name} is a {type(values).__name__} that numpy cannot read: {error}") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected numbers, got {array.dtype}; give an array, a tensor or a picture")
    return array


def foreground(mask, name: str = "a mask") -> np.ndarray:
    """
    A mask as a bool array (H, W).

    Args:
        mask: an array, tensor or picture (H, W): bool, 0 and 1, or 0 and one other whole number, such as the 255 of
            pictures or the number of an object.
        name: what error messages call it.

    Raises:
        ValueError: it is not (H, W) or holds other values: probabilities, logits, nan, several labels, or what JPEG
            makes of a mask.
    """
    array = as_array(mask, name)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name} has the shape {array.shape}; expected one mask (height, width)")
    if array.dtype == bool:
        return array
    inside = array != 0
    largest = array.max()
    whole = largest >= 0 and (array.dtype.kind != "f" or largest in (0, 1, 255))
    if not whole or np.count_nonzero(array == largest) != max(np.count_nonzero(inside), (largest == 0) * array.size):
        few = ", ".join(f"{value:g}" for value in np.unique(array)[:6])
        raise ValueError(
            f"{name} is no mask: it holds {few}{', ...' if len(np.unique(array)) > 6 else ''}. A mask holds 0 and one "
            "other value, such as 1 or 255: compare probabilities with a threshold first, choose one label of a map of "
            "several, and keep masks as PNG, for JPEG blurs them"
        )
    return inside


def as_bool(value, name: str) -> bool:
    """True or False of a bool of Python, numpy or torch, or of 0 and 1.

    Raises ValueError for what has no single meaning, such as a probability.
    """
    if getattr(value, "ndim", 0) or value not in (0, 1):
        raise ValueError(f"{name} is {value!r}; give True or False")
    return bool(value)


def as_count(value, name: str) -> int:
    """A whole number, none below 0 and none above `MOST_COUNTED`.

    Raises ValueError for other numbers.
    """
    whole = isinstance(value, Integral) or (isinstance(value, (float, np.floating)) and float(value).is_integer())
    if not whole or isinstance(value, bool) or not 0 <= value <= MOST_COUNTED:
        raise ValueError(f"{name} is {value!r}; give a whole number from 0 to {MOST_COUNTED:,}")
    return int(value)
