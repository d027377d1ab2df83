"""The two losses that CAC adds to its detector's (Chen et al., BMVC 2019): of the fused response and of the caption."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ...layers.inputs import values_are_readable
from ...layers.nearest_resize import resize_nearest


def response_loss(
    response: torch.Tensor, masks: Sequence[torch.Tensor], map_sizes: Sequence[tuple[int, int]]
) -> torch.Tensor:
    r"""
    L_res = mean_{yx} CE(\sigma(R_{yx}), G_{yx}), the mean over expressions; G is the mask at the size of the map.

    Args:
        response: (N, h, w) logits.
        masks: N of (Y_i, X_i), the objects in the network's input without padding.
        map_sizes: (height, width) of each expression's own map within (h, w).
    """
    losses = []
    for logits, mask, (height, width) in zip(response.float(), masks, map_sizes, strict=True):
        target = resize_nearest(mask, (height, width)).to(logits)  # (Y_i, X_i) -> (h_i, w_i)
        losses.append(F.binary_cross_entropy_with_logits(logits[:height, :width], target))
    return torch.stack(losses).mean()


def caption_loss(log_probs: torch.Tensor, targets: torch.Tensor, counting: torch.Tensor) -> torch.Tensor:
    r"""
    L_cap = -\sum log p(target) / number of targets, which are the words of all expressions and an end of each.

    Args:
        log_probs: (N, L, V + 1), of [`Captioner`].
        targets, counting: (N, L) ids, and bool that is True where a target counts; see [`caption_words`].
    """
    of_targets = log_probs.gather(2, targets[..., None])[..., 0]  # (N, L, V + 1) -> (N, L)
    return -(of_targets * counting).sum() / counting.sum()


def check_objects(
    labels: torch.Tensor,
    box_labels: torch.Tensor | None,
    class_labels: torch.Tensor | None,
    shape: tuple[int, int, int],
    num_categories: int,
) -> None:
    """
    Raises ValueError unless each of N expressions has an object: a mask of the network's input, `shape` (N, Y, X), a
    box (N, 4), and (where `values_are_readable`) a category (N,) that the detector knows.
    """
    if box_labels is None or class_labels is None:
        raise ValueError("a training step needs labels, box_labels and class_labels: give all three")
    expected = {"labels": shape, "box_labels": (shape[0], 4), "class_labels": shape[:1]}
    for (name, size), values in zip(expected.items(), (labels, box_labels, class_labels), strict=True):
        if tuple(values.shape) != size:
            raise ValueError(
                f"{name} has the shape {tuple(values.shape)}, expected {size}: one object per expression, its mask at "
                "the size of the network's input (the processor makes them)"
            )
    if values_are_readable(class_labels) and not 0 <= class_labels.min() <= class_labels.max() < num_categories:
        raise ValueError(
            f"class_labels runs from {class_labels.min()} to {class_labels.max()}, but the detector knows the "
            f"categories 0 to {num_categories - 1}"
        )
