"""The originals' losses, each with the formula and reduction of its paper's code."""

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


def dice_and_cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    r"""
    Mean cross-entropy plus the Dice loss of Milletari et al. 2016, 1 - (2 \sum p y + 1) / (\sum p + \sum y + 1).

    Dice weighs small and large masks alike; the 1 keeps it defined, and a brake on every painted cell, where nothing is
    meant.

    Args:
        logits, target: (N, h, w); the target in [0, 1].
    """
    target = target.to(logits)
    probability = logits.sigmoid()
    overlap = (probability * target).sum((1, 2))  # (N, h, w) -> (N,)
    dice = 1 - (2 * overlap + 1) / (probability.sum((1, 2)) + target.sum((1, 2)) + 1)
    return F.binary_cross_entropy_with_logits(logits, target) + dice.mean()


def segmentation_loss(config, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The loss that `config.loss` names, with the weights of the configuration, in float32."""
    logits = logits.float()
    if config.loss == "sum_over_cells":
        return sum_over_cells(logits, target)
    if config.loss == "dice_and_cross_entropy":
        return dice_and_cross_entropy(logits, target)
    return weighted_mean(logits, target, config.foreground_weight, config.background_weight)
