"""Precision, recall and F1 of predicted attributes (Yu et al., MAttNet, CVPR 2018, section 4)."""

import numpy as np

from ..mask_values import as_array


class AttributeMetric:
    """Counts attribute decisions over objects and attributes together (micro average).

    MAttNet takes an attribute for present at a sigmoid of 0.5 or more; objects without any attribute in their
    expressions have no labels and are left to the caller not to add, as in the original.

    Args:
        threshold: probability from which on (inclusive) an attribute is predicted.
    """

    def __init__(self, threshold: float = 0.5):
        if not 0 < threshold < 1:
            raise ValueError(f"threshold is {threshold}; it is a probability between 0 and 1")
        self.threshold = threshold
        self.true_positives = self.predicted = self.labeled = self.num = 0

    def add(self, probabilities, labels) -> None:
        """Count objects: `probabilities` and `labels` are (A,) or (N, A), arrays or tensors; a label is 0 or 1.

        Raises:
            ValueError: if the shapes differ or have another number of axes, or if a value is no probability or no
                label.
        """
        probabilities, labels = as_array(probabilities, "probabilities"), as_array(labels, "labels")
        if probabilities.shape != labels.shape or probabilities.ndim not in (1, 2):
            raise ValueError(f"probabilities {probabilities.shape} and labels {labels.shape}; both are (A,) or (N, A)")
        if probabilities.size and not (0 <= probabilities.min() and probabilities.max() <= 1):
            raise ValueError(
                f"probabilities from {probabilities.min()} to {probabilities.max()}; apply the sigmoid to logits first"
            )
        if not np.isin(labels, (0, 1)).all():
            raise ValueError(f"labels from {labels.min()} to {labels.max()}; each is 0 or 1")
        predicted, labeled = probabilities >= self.threshold, labels != 0
        self.true_positives += int(np.count_nonzero(predicted & labeled))
        self.predicted += int(np.count_nonzero(predicted))
        self.labeled += int(np.count_nonzero(labeled))
        self.num += 1 if labels.ndim == 1 else len(labels)

    def merge(self, other: "AttributeMetric") -> "AttributeMetric":
        """Add what `other` counted, and return this metric.

        Raises:
            ValueError: if the thresholds differ. TypeError: `other` is another kind of metric.
        """
        if not isinstance(other, AttributeMetric):
            raise TypeError(f"cannot merge a {type(other).__name__} into an AttributeMetric")
        if other.threshold != self.threshold:
            raise ValueError(f"cannot merge the threshold {other.threshold} into {self.threshold}")
        self.true_positives += other.true_positives
        self.predicted += other.predicted
        self.labeled += other.labeled
        self.num += other.num
        return self

    def compute(self) -> dict[str, float | int]:
        """`precision`, `recall` and `f1` as fractions (0 where nothing was predicted or labeled), and `num` objects.

        Raises:
            ValueError: if nothing was added.
        """
        if not self.num:
            raise ValueError("no object was added: call add() before compute()")
        return {
            "precision": self.true_positives / self.predicted if self.predicted else 0.0,
            "recall": self.true_positives / self.labeled if self.labeled else 0.0,
            "f1": 2 * self.true_positives / (self.predicted + self.labeled) if self.predicted + self.labeled else 0.0,
            "num": self.num,
        }
