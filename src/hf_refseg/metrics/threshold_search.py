"""The threshold above which a given share of all pixels lies (PhraseCut's ThreshBinSearcher).

HULANet's score maps are not probabilities; the original binarises them where 14, 16, 18 or 20 % of the pixels of a
split are foreground, which a histogram of the scores tells without a second pass.
"""

from collections.abc import Sequence

import numpy as np

from ..mask_values import as_array

BINS = 100


class ThresholdSearch:
    """A histogram of scores in [0, 1], in 100 bins; integers, mergeable."""

    def __init__(self):
        self.counts = np.zeros(BINS, np.int64)

    def add(self, scores) -> None:
        """Count every pixel of a score map, an array or tensor of any shape.

        Raises:
            ValueError: if a score is outside of [0, 1] or nan.
        """
        scores = as_array(scores, "the score map").astype(np.float64)
        if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
            raise ValueError(f"scores from {scores.min()} to {scores.max()}; they must lie in [0, 1]")
        bins = np.minimum((scores.ravel() * BINS).astype(np.int64), BINS - 1)
        self.counts += np.bincount(bins, minlength=BINS)

    def merge(self, other: "ThresholdSearch") -> "ThresholdSearch":
        """Add the pixels of `other`, and return this search; raises TypeError for what is none."""
        if not isinstance(other, ThresholdSearch):
            raise TypeError(f"cannot merge a {type(other).__name__} into a ThresholdSearch")
        self.counts += other.counts
        return self

    def compute(self, shares: Sequence[float] = (0.14, 0.16, 0.18, 0.20)) -> list[float]:
        """For each share of all pixels the threshold above which it lies, interpolated within a bin.

        Raises:
            ValueError: if no pixel was added, or a share is not in (0, 1].
        """
        total = int(self.counts.sum())
        if not total:
            raise ValueError("no score was added: call add() before compute()")
        from_above = np.append(0, np.cumsum(self.counts[::-1]))  # pixels in the k highest bins, (BINS + 1,)
        thresholds = []
        for share in shares:
            if not 0 < share <= 1:
                raise ValueError(f"a share of pixels lies in (0, 1], got {share}")
            wanted = share * total
            full = int(np.searchsorted(from_above, wanted, side="right")) - 1  # bins that are foreground as a whole
            inside = (wanted - from_above[full]) / self.counts[BINS - 1 - full] if full < BINS else 0.0
            thresholds.append(float((BINS - full - inside) / BINS))
        return thresholds
