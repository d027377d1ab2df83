"""Arrays and tensors of pixels, of any type and order of axes, as arrays that Pillow takes: uint8, channels last."""

import numpy as np
import torch
from transformers.utils import logging

logger = logging.get_logger(__name__)

CHANNELS = (1, 3, 4)


def readable_array(array: np.ndarray | torch.Tensor, name: str) -> np.ndarray:
    """numpy of what is an array in memory; raises ValueError for tensors that have no pixels to read."""
    if isinstance(array, torch.Tensor):
        if array.layout != torch.strided or array.is_meta or array.is_quantized or array.is_nested:
            kinds = {"on the meta device": array.is_meta, "quantized": array.is_quantized, "nested": array.is_nested}
            kind = next((kind for kind, is_so in kinds.items() if is_so), str(array.layout))
            raise ValueError(f"{name} is a tensor that is {kind}; give a dense one that has values")
        array = array.detach().cpu()
        short = array.is_floating_point() and array.dtype != torch.float64  # of some of these numpy has no type
        array = (array.float() if short else array).resolve_conj().resolve_neg().numpy()
    if isinstance(array, np.ma.MaskedArray):
        raise ValueError(f"{name} is a masked array, whose mask would be lost; say what its gaps are: array.filled(0)")
    if 0 in array.shape:
        raise ValueError(f"{name} has no pixels: its shape is {array.shape}")
    return array


def channels_last(array: np.ndarray, name: str, channels_first: bool, input_data_format: str | None) -> np.ndarray:
    """(H, W), (H, W, C) or (C, H, W) -> (H, W) or (H, W, C), with C in {1, 3, 4}.

    Args:
        channels_first: the order to be tried first where none is given.
        input_data_format: `"channels_first"` or `"channels_last"`.

    Raises ValueError for another shape.
    """
    if input_data_format not in (None, "channels_first", "channels_last"):
        raise ValueError(f"input_data_format is {input_data_format!r}; use 'channels_first' or 'channels_last'")
    if array.ndim == 2:
        return array
    if array.ndim == 3:
        if input_data_format is None:
            orders = [channels_first, not channels_first]
        else:
            orders = [input_data_format == "channels_first"]
        for first in orders:
            if array.shape[0 if first else 2] in CHANNELS:
                return array.transpose(1, 2, 0) if first else array  # (C, H, W) -> (H, W, C)
    raise ValueError(
        f"{name} has the shape {array.shape}; expected (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels"
        + (f" in the order {input_data_format}" if input_data_format else "")
    )


def to_uint8(array: np.ndarray, name: str) -> np.ndarray:
    """Values of 8 bits: uint16 / 257, floats in [0, 1] * 255, booleans 0 and 255.

    Raises ValueError for other types, and for values outside of their range.
    """
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} has the dtype {array.dtype}; expected uint8, uint16, bool, or float in [0, 1]")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # some TIFF are big-endian
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        if not (low >= 0 and high <= 1):  # so that NaN is refused too
            raise ValueError(
                f"{name} is {array.dtype} with values from {low} to {high}; float images must lie in [0, 1]: "
                "divide by 255, or convert to uint8"
            )
        return np.rint(array * 255).astype(np.uint8)
    if array.dtype == np.uint16 or (array.dtype == np.int32 and high > 255):
        # Pillow gives some 16-bit files as 32-bit integers (mode "I")
        if low >= 0 and high <= 65535:
            if 0 < high <= 255:
                logger.warning("%s has 16 bits, but no value above %d: it is read as nearly black", name, high)
            return np.rint(array / 257).astype(np.uint8)
    elif array.dtype.kind in "iu" and low >= 0 and high <= 255:
        return array.astype(np.uint8)
    raise ValueError(
        f"{name} is {array.dtype} with values from {low} to {high}; expected uint8, uint16, bool, or float in [0, 1]"
    )
