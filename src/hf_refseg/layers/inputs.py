"""Checks of what goes into a forward: errors that name the thing, the value and the way out."""

import torch


def values_are_readable(tensor: torch.Tensor) -> bool:
    """Whether the values of a tensor may be looked at: not on a GPU, which would stall, nor while a graph is traced."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def check_pixel_values(pixel_values: torch.Tensor) -> None:
    """Raises ValueError unless `pixel_values` is a batch of images (B, C, H, W)."""
    if pixel_values.ndim != 4 or 0 in pixel_values.shape:
        raise ValueError(
            f"pixel_values has the shape {tuple(pixel_values.shape)}; give at least one image as (B, C, H, W)"
        )


def check_expressions(input_ids: torch.Tensor, attention_mask: torch.Tensor | None, vocab_size: int) -> None:
    """
    Raises ValueError unless `input_ids` (N, T) holds words the model knows and the mask, if any, has its shape.

    The ids themselves are looked at where `values_are_readable`.
    """
    if input_ids.ndim != 2 or 0 in input_ids.shape:
        raise ValueError(
            f"input_ids has the shape {tuple(input_ids.shape)}; give at least one expression of one word as (N, T)"
        )
    if attention_mask is not None and attention_mask.shape != input_ids.shape:
        raise ValueError(
            f"attention_mask has the shape {tuple(attention_mask.shape)}, input_ids {tuple(input_ids.shape)}: "
            "both are (N, T)"
        )
    if values_are_readable(input_ids) and not 0 <= input_ids.min() <= input_ids.max() < vocab_size:
        raise ValueError(
            f"input_ids runs from {input_ids.min()} to {input_ids.max()}, but the model knows the words 0 to "
            f"{vocab_size - 1}: use the processor that was saved with the model"
        )


def check_labels(labels: torch.Tensor, logits: torch.Tensor) -> None:
    """Raises ValueError unless there is one mask per expression, at the size of the network's input (N, H, W)."""
    if labels.shape != logits.shape:
        raise ValueError(
            f"labels has the shape {tuple(labels.shape)}, expected {tuple(logits.shape)}: one mask per expression at "
            "the size of the network's input (the processor makes them of segmentation_maps)"
        )
