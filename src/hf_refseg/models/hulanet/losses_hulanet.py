"""Losses of HULANet: of maps of phrases, and of the classifier of attributes. The weights are our choices."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

EPSILON = 1e-6


def map_loss(maps: torch.Tensor, targets: torch.Tensor, positive_weight: float) -> torch.Tensor:
    """
    Binary cross-entropy of maps of probabilities, the mean over the places of each: (N, h, w) twice -> (N,) float32.

    Args:
        maps: in [0, 1].
        targets: in [0, 1], which share of each place belongs to the target.
        positive_weight: of the places that do.
    """
    maps = maps.float().clamp(EPSILON, 1 - EPSILON)
    targets = targets.float()
    losses = -(positive_weight * targets * maps.log() + (1 - targets) * (1 - maps).log())
    return losses.mean((1, 2))


def instance_attribute_loss(
    logits: torch.Tensor, labels: torch.Tensor, positive_weights: Sequence[float] | None = None
) -> torch.Tensor:
    """
    Binary cross-entropy over all attributes of G instances, the mean of both.

    Args:
        logits, labels: (G, A), the labels in {0, 1}.
        positive_weights: A weights of the attributes that an instance has; None: 1.
    """
    weights = None if positive_weights is None else torch.tensor(positive_weights, device=logits.device)
    return F.binary_cross_entropy_with_logits(logits.float(), labels.float(), pos_weight=weights)


def positive_weights(counts: Sequence[int], num_instances: int) -> list[float]:
    r"""\sqrt{(n - n_k) / n_k} of each attribute k that n_k of n instances have, between 1 and 50.

    Raises:
        ValueError: more instances have an attribute than there are.
    """
    if counts and max(counts) > num_instances:
        raise ValueError(f"an attribute is counted {max(counts)} times in {num_instances} instances")
    return [min(max(((num_instances - count) / max(count, 1)) ** 0.5, 1.0), 50.0) for count in counts]


__all__ = ["instance_attribute_loss", "map_loss", "positive_weights"]
