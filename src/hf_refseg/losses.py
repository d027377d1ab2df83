"""The originals' losses, each with the formula and reduction of its paper's code."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F


def sum_over_cells(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    r"""
    Liu et al. 2017: L = 1/N \sum_n \sum_{ij} CE(\sigma(p_{ij}), y_{ij}).

    The paper writes 1/(W H); the code sums over the grid, which makes the loss W*H times larger against weight decay.

    Args:
        logits, target: (N, h, w); the target in [0, 1].
    """
    return F.binary_cross_entropy_with_logits(logits, target.to(logits), reduction="sum") / len(logits)


def weighted_mean(
    logits: torch.Tensor, target: torch.Tensor, foreground_weight: float = 1.0, background_weight: float = 1.0
) -> torch.Tensor:
    r"""
    Hu et al. 2016, Eq. 2: L = mean w CE(\sigma(p), y) with w = a_f on the foreground and a_b on the background.

    Args:
        logits, target: the same shape; the target in {0, 1}.
    """
    target = target.to(logits)
    weight = target * (foreground_weight - background_weight) + background_weight
    return F.binary_cross_entropy_with_logits(logits, target, weight=weight)


def segmentation_loss(config, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The loss that `config.loss` names, with the weights of the configuration, in float32."""
    logits = logits.float()
    if config.loss == "sum_over_cells":
        return sum_over_cells(logits, target)
    return weighted_mean(logits, target, config.foreground_weight, config.background_weight)


def ranking_loss(
    scores: torch.Tensor, margin: float = 0.1, visual_weight: float = 1.0, language_weight: float = 1.0
) -> torch.Tensor:
    r"""
    Yu et al. 2018, Eq. 10: mean of [m + s(r', q) - s(r, q)]_+ and [m + s(r, q') - s(r, q)]_+ over B right pairs (r, q).

    Args:
        scores: (3B,) of the right pairs, of the same expressions with wrong regions, and of the same regions with
            wrong expressions.
    """
    right, wrong_region, wrong_expression = scores.float().chunk(3)  # (3B,) -> 3 x (B,)
    visual = F.relu(margin + wrong_region - right)
    language = F.relu(margin + wrong_expression - right)
    return (visual_weight * visual + language_weight * language).mean()


def attribute_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    r"""
    Yu et al. 2018, Eq. 5: L = mean_{ij} w_j CE(\sigma(p_{ij}), y_{ij}) over regions i said to have one.

    Args:
        logits, labels: (P, A); a region whose labels are all 0 was described without attributes and does not count.
        weights: (A,) of the attributes, see `attribute_weights`.

    Returns:
        0 where no region counts.
    """
    labels = labels.to(logits.device, torch.float32)
    weights = None if weights is None else weights.to(logits.device, torch.float32)
    losses = F.binary_cross_entropy_with_logits(logits.float(), labels, weights, reduction="none")  # (P, A)
    described = labels.any(1)  # (P, A) -> (P,)
    return (losses.mean(1) * described).sum() / described.sum().clamp(min=1)


def attribute_weights(counts: Sequence[int]) -> list[float]:
    r"""1 / \sqrt{count} of each attribute, stretched to 1 (the most frequent) to 10 (the rarest); equal counts give 1.

    Raises:
        ValueError: an attribute that never occurs, which no weight makes learnable.
    """
    if not counts or min(counts) < 1:
        raise ValueError(f"attribute_weights needs counts of at least 1, got {list(counts)}: leave such attributes out")
    inverse = [count**-0.5 for count in counts]
    low, high = min(inverse), max(inverse)
    return [1 + 9 * (value - low) / (high - low) if high > low else 1.0 for value in inverse]
