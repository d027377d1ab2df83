"""What post-processing checks before it makes masks: sizes, the threshold, and that the model's numbers are numbers."""

import numbers

import torch
from PIL import Image
from transformers.utils import ModelOutput

from ..layers.inputs import all_finite


def check_threshold(threshold: float) -> None:
    """Raises TypeError for what is not a number, ValueError for what is not a probability."""
    if not isinstance(threshold, numbers.Real) or isinstance(threshold, bool):
        raise TypeError(f"threshold is {threshold!r}, a {type(threshold).__name__}; give a number such as 0.5")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}; it is a probability between 0 and 1")


def checked_sizes(sizes, name: str = "target_sizes") -> list[tuple[int, int]]:
    """(B, 2) heights and widths as tuples of ints.

    Raises ValueError for what is not a list of two whole numbers above 0 each, or for more pixels than an image may
    have (`PIL.Image.MAX_IMAGE_PIXELS`).
    """
    try:
        table = sizes.tolist() if hasattr(sizes, "tolist") else sizes
        rows = [tuple(size.tolist() if hasattr(size, "tolist") else size) for size in table]
    except (TypeError, NotImplementedError, RuntimeError):  # the latter of tensors without values, or sparse ones
        table, rows = sizes, None
    limit = Image.MAX_IMAGE_PIXELS or float("inf")
    whole = rows is not None and all(
        len(row) == 2 and all(isinstance(side, numbers.Integral) and side > 0 for side in row) for row in rows
    )
    if not whole or any(height * width > limit for height, width in rows):
        given = " ".join(str(table).split())[:80]
        raise ValueError(
            f"{name} is {given}; give one (height, width) per image, in whole pixels and at most {limit:,} of them, "
            "usually inputs['original_sizes']"
        )
    return [(int(height), int(width)) for height, width in rows]


def image_sizes(outputs, target_sizes: torch.Tensor | list[tuple[int, int]] | None) -> list[tuple[int, int]] | None:
    """(height, width) of each image, from `target_sizes` or else from the outputs; None where neither says it.

    Raises ValueError for what is no size, and where both say it and differ: the boxes of the outputs are in pixels of
    their own sizes. TypeError for what no model returns, such as the tuple of return_dict=False.
    """
    if not isinstance(outputs, ModelOutput):
        raise TypeError(
            f"outputs is a {type(outputs).__name__}; give what the model returned, without return_dict=False"
        )
    given = None if target_sizes is None else checked_sizes(target_sizes)
    known = None if outputs.original_sizes is None else checked_sizes(outputs.original_sizes, "original_sizes")
    if given is not None and known is not None and given != known:
        raise ValueError(
            f"target_sizes are {given}, but the boxes of the outputs are in pixels of images of {known} (height, "
            "width); leave target_sizes out, and give the model all that the processor returned: model(**inputs), or "
            "get_image_features(**inputs)"
        )
    return known if given is None else given


def check_finite(outputs) -> None:
    """Raises ValueError where the logits, scores or boxes of an answer hold nan or inf: its mask would be empty, or
    full, and look like an answer."""
    for name in ("logits", "scores", "pred_boxes"):
        values = getattr(outputs, name)
        if values is None or all_finite(values):
            continue
        broken = (~values.isfinite().flatten(1).all(1) if values.ndim > 1 else ~values.isfinite()).nonzero()[:, 0]
        raise ValueError(
            f"the {name} of expression {int(broken[0])} are not finite ({len(broken)} of {len(values)} expressions): "
            "the weights or the pixels hold nan or inf, or the numbers are too large for "
            f"{str(values.dtype).removeprefix('torch.')}; load the model in float32, or get another checkpoint"
        )
