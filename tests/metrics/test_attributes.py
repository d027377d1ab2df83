"""Counts by hand: 3 decisions right of 4 made, 3 found of 5 labeled."""

import numpy as np
import pytest
import torch

from hf_refseg.metrics import AttributeMetric

PROBABILITIES = [[0.9, 0.5, 0.1], [0.6, 0.7, 0.49]]
LABELS = [[1, 1, 1], [0, 1, 1]]


@pytest.mark.parametrize("kind", [np.array, torch.tensor, lambda rows: torch.tensor(rows, dtype=torch.float64)])
def test_precision_recall_f1(kind):
    metric = AttributeMetric()
    metric.add(kind(PROBABILITIES), kind(LABELS))
    assert metric.compute() == {"precision": 3 / 4, "recall": 3 / 5, "f1": 6 / 9, "num": 2}


def test_merging_objects_equals_adding_them():
    whole, parts = AttributeMetric(), AttributeMetric()
    whole.add(PROBABILITIES, LABELS)
    for probabilities, labels in zip(PROBABILITIES, LABELS, strict=True):
        part = AttributeMetric()
        part.add(probabilities, labels)
        parts.merge(part)
    assert parts.compute() == whole.compute()


def test_nothing_predicted_is_no_division_by_zero():
    metric = AttributeMetric()
    metric.add([0.1, 0.2], [0, 0])
    assert metric.compute() == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "num": 1}


def test_errors_teach():
    with pytest.raises(ValueError, match="apply the sigmoid to logits first"):
        AttributeMetric().add([3.0, -2.0], [1, 0])
    with pytest.raises(ValueError, match=r"probabilities \(2,\) and labels \(3,\)"):
        AttributeMetric().add([0.1, 0.2], [1, 0, 1])
    with pytest.raises(ValueError, match="no object was added"):
        AttributeMetric().compute()
    with pytest.raises(ValueError, match="cannot merge the threshold 0.4 into 0.5"):
        AttributeMetric().merge(AttributeMetric(0.4))
    with pytest.raises(TypeError, match="cannot merge a int into an AttributeMetric"):
        AttributeMetric().merge(5)
    with pytest.raises(ValueError, match="threshold is 5"):
        AttributeMetric(5)
