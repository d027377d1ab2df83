"""Which regions are things of a kind, by what is annotated in their photo."""

from collections.abc import Sequence

import torch

SAME_THING = 0.5  # IoU from which on a region is taken for an annotated object
OTHER_THING = 0.4  # and below which it is surely none


def which_are(overlaps: torch.Tensor, of_kind: Sequence[bool], is_listed: bool) -> torch.Tensor:
    """
    Which regions are things of a kind: (R,) int8, 1, 0, or -1 where it is not known.

    A region that overlaps an object enough is what this object is. One that overlaps no object of the kind is none of
    them, be it a part of one, where all of them are listed.

    Args:
        overlaps: (R, G) IoU of regions and objects.
        of_kind: whether each of the G objects is of the kind.
        is_listed: whether all objects of the kind are among them.
    """
    kinds = torch.full((len(overlaps),), -1, dtype=torch.int8)
    of_kind = torch.tensor(of_kind, dtype=torch.bool)
    if is_listed:
        kinds[(overlaps * of_kind < OTHER_THING).all(1)] = 0
    if of_kind.any():
        best_overlap, best = overlaps.max(1)
        kinds = torch.where(best_overlap >= SAME_THING, of_kind[best].to(torch.int8), kinds)
    return kinds


__all__ = ["which_are"]
