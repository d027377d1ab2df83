"""
What the region matcher is trained on: which region is meant, or none, or several; and of what kind it is.

N expressions on up to R regions of their images, K categories.
"""

import torch
import torch.nn.functional as F

from .outputs_region_matcher import RegionMatches
from .word_reader import MODULES


def choice_loss(
    scores: torch.Tensor, nothing: torch.Tensor, overlaps: torch.Tensor, numbers: torch.Tensor, least: float
) -> torch.Tensor:
    """
    Cross-entropy over the regions and "none of them".

    The target of an expression that means one thing is shared among the regions that overlap it, each by how much its
    IoU is above `least`. An expression that means several asks of each region whether it is one of them. Where no
    region overlaps what is meant, an expression does not count.

    Args:
        scores: (N, R), -inf where there is no region.
        nothing: (N,), of "none of them".
        overlaps: (N, R) IoU of each region with what is meant; with that of several, which overlaps it most.
        numbers: (N,) how many things are meant.
        least: IoU from which on a region is a right answer.
    """
    shares = ((overlaps - least) / (1 - least)).clamp(min=0)
    found = shares.sum(1) > 0
    logits = torch.cat([scores.clamp(min=-30), nothing[:, None]], 1).log_softmax(1)  # -> (N, R + 1)
    shares = shares / shares.sum(1, keepdim=True).clamp(min=1e-6)
    one = -(shares * logits[:, :-1]).sum(1)  # -> (N,)
    margin = (scores - nothing[:, None]).clamp(min=-30)
    each = F.binary_cross_entropy_with_logits(margin, (overlaps > 0.5).to(margin), reduction="none")
    exists = scores.isfinite()
    many = (each * exists).sum(1) / exists.sum(1).clamp(min=1)
    many = many + ((each * (overlaps > 0.5)).sum(1) / (overlaps > 0.5).sum(1).clamp(min=1))
    losses = torch.where(numbers == 0, -logits[:, -1], torch.where(numbers == 1, one, many))
    counted = (numbers == 0) | found
    return (losses * counted).sum() / counted.sum().clamp(min=1)


def category_loss(logits: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
    """
    Which category the words name, each by itself, for words may fit several: logits (N, K), categories (N,), -1 where
    it is not known. The right one weighs as much as all others together.
    """
    known = categories >= 0
    target = F.one_hot(categories.clamp(min=0), logits.shape[1]).to(logits)
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")  # (N, K)
    right, wrong = (losses * target).sum(1), (losses * (1 - target)).sum(1)
    return ((right + wrong) * known).sum() / known.sum().clamp(min=1)


def kind_loss(kind: torch.Tensor, is_kind: torch.Tensor) -> torch.Tensor:
    """Which regions are of the kind: (N, R) in [0, 1], and (N, R) 1, 0, or -1 where it is not known."""
    known, kind = is_kind >= 0, kind.float().clamp(1e-4, 1 - 1e-4)
    losses = -torch.where(is_kind == 1, kind, 1 - kind).log()  # (N, R)
    return (losses * known).sum() / known.sum().clamp(min=1)


def color_loss(
    scores: torch.Tensor, overlaps: torch.Tensor, is_kind: torch.Tensor, names_color: torch.Tensor
) -> torch.Tensor:
    """
    Where words name a color, the color alone tells one region from the others of its kind: the cross-entropy of the
    color module's scores among these. By the choice alone that module learns which colors "cars" have, and not "red".

    Args:
        scores: (N, R), the color module's.
        overlaps: (N, R), as of `choice_loss`.
        is_kind: (N, R), as of `kind_loss`.
        names_color: (N,) bool, whether an expression means one thing and names a color.
    """
    right = overlaps > 0.5
    asked = right | (is_kind == 1)
    likely = scores.float().masked_fill(~asked, -30).log_softmax(1)  # (N, R)
    losses = -likely.masked_fill(~right, -60).logsumexp(1)  # -> (N,)
    counted = names_color & right.any(1) & (asked & (overlaps <= 0.2)).any(1)
    return (losses * counted).sum() / counted.sum().clamp(min=1)


def matching_losses(
    config,
    matches: RegionMatches,
    overlaps: torch.Tensor,
    numbers: torch.Tensor,
    categories: torch.Tensor,
    is_kind: torch.Tensor,
    names_color: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """The terms of the loss; arguments as of the functions above."""
    colors = matches.module_scores[:, :, MODULES.index("color")]  # (N, R, S) -> (N, R)
    several = F.binary_cross_entropy_with_logits(matches.several, (numbers > 1).to(matches.several))
    return {
        "choice": choice_loss(matches.scores, matches.nothing, overlaps, numbers, config.target_iou),
        "category": config.category_weight * category_loss(matches.category_logits, categories),
        "kind": config.kind_weight * kind_loss(matches.kind, is_kind),
        "number": config.number_weight * several,
        "color": config.color_weight * color_loss(colors, overlaps, is_kind, names_color & (numbers == 1)),
    }


__all__ = ["matching_losses"]
