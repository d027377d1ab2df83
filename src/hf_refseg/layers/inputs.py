"""Checks of what goes into a forward: errors that name the thing, the value and the way out."""

import torch


def values_are_readable(tensor: torch.Tensor) -> bool:
    """Whether the values of a tensor may be looked at: not on a GPU, which would stall, nor while a graph is traced."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def all_finite(values: torch.Tensor) -> bool:
    """Whether none of the numbers is nan or inf. One pass tells it: a sum keeps both, unless large numbers overflow."""
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


def input_dtype(layer: torch.nn.Module) -> torch.dtype:
    """The type of the numbers that a linear layer takes: that of its weight; float32 where that is quantized."""
    weight = layer.weight  # of `quantize_dynamic` a method, of bitsandbytes whole numbers
    return weight.dtype if isinstance(weight, torch.Tensor) and weight.is_floating_point() else torch.float32


def require_tensors(**values) -> None:
    """Raises TypeError, naming it, for a value that is neither a tensor of a plain layout nor None."""
    for name, value in values.items():
        if value is not None and not isinstance(value, torch.Tensor):
            raise TypeError(f"{name} is a {type(value).__name__}; give a tensor, as the processor returns it")
        if value is not None and value.layout != torch.strided:
            raise TypeError(f"{name} is a tensor of layout {value.layout}; give a dense one: {name}.to_dense()")


def check_pixel_values(pixel_values: torch.Tensor) -> None:
    """
    Raises TypeError or ValueError unless `pixel_values` is a batch of images (B, 3, H, W), of floats that are numbers.

    The pixels themselves are looked at where `values_are_readable`.
    """
    require_tensors(pixel_values=pixel_values)
    if pixel_values.ndim != 4 or 0 in pixel_values.shape or pixel_values.shape[1] != 3:
        raise ValueError(
            f"pixel_values has the shape {tuple(pixel_values.shape)}; give at least one image as (B, 3, H, W)"
        )
    if not pixel_values.is_floating_point():
        raise TypeError(f"pixel_values is of {pixel_values.dtype}; the processor makes floats of a photo's pixels")
    if values_are_readable(pixel_values) and not all_finite(pixel_values):
        raise ValueError("pixel_values hold nan or inf: no mask can be made of them")


def check_expressions(input_ids: torch.Tensor, attention_mask: torch.Tensor | None, vocab_size: int) -> None:
    """
    Raises TypeError or ValueError unless `input_ids` (N, T) holds words the model knows, and the mask, if any, has its
    shape, holds 0 and 1, and leaves every expression a word.

    The values themselves are looked at where `values_are_readable`.
    """
    require_tensors(input_ids=input_ids, attention_mask=attention_mask)
    if input_ids.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"input_ids is of {input_ids.dtype}; ids are whole numbers, torch.int64")
    if input_ids.ndim != 2 or 0 in input_ids.shape:
        raise ValueError(
            f"input_ids has the shape {tuple(input_ids.shape)}; give at least one expression of one word as (N, T)"
        )
    if attention_mask is not None and attention_mask.shape != input_ids.shape:
        raise ValueError(
            f"attention_mask has the shape {tuple(attention_mask.shape)}, input_ids {tuple(input_ids.shape)}: "
            "both are (N, T)"
        )
    if attention_mask is not None and values_are_readable(attention_mask):
        silent = (attention_mask == 0).all(1).nonzero()  # (N, T) -> (N,) -> (silent, 1)
        if len(silent):
            raise ValueError(f"expression {int(silent[0])} has no word: its attention_mask is 0 everywhere")
        if not ((attention_mask == 0) | (attention_mask == 1)).all():
            raise ValueError(
                f"attention_mask holds values from {attention_mask.amin():g} to {attention_mask.amax():g}; it is 1 on "
                "words and 0 on padding"
            )
    if values_are_readable(input_ids) and not 0 <= input_ids.min() <= input_ids.max() < vocab_size:
        raise ValueError(
            f"input_ids runs from {input_ids.min()} to {input_ids.max()}, but the model knows the words 0 to "
            f"{vocab_size - 1}: use the processor that was saved with the model"
        )


def check_labels(labels: torch.Tensor, logits: torch.Tensor) -> None:
    """
    Raises TypeError or ValueError unless there is one mask per expression, at the size of the network's input
    (N, H, W), of 0 and 1 (looked at where `values_are_readable`).
    """
    require_tensors(labels=labels)
    if labels.shape != logits.shape:
        raise ValueError(
            f"labels has the shape {tuple(labels.shape)}, expected {tuple(logits.shape)}: one mask per expression at "
            "the size of the network's input (the processor makes them of segmentation_maps)"
        )
    if values_are_readable(labels) and not ((labels == 0) | (labels == 1)).all():
        raise ValueError(
            f"labels hold values from {labels.min():g} to {labels.max():g}; a mask holds 0 and 1 (the processor makes "
            "them of segmentation_maps)"
        )
