"""The losses against their formulas, written out over single cells."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from hf_refseg.losses import (
    attribute_loss,
    attribute_weights,
    ranking_loss,
    segmentation_loss,
    sum_over_cells,
    weighted_mean,
)

LOGITS = [[[0.5, -2.0], [3.0, 0.0]], [[-1.0, 4.0], [0.25, -0.5]]]
TARGET = [[[1.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]]


def cells():
    """(expression, logit, target) of all eight cells."""
    for n, (logits, target) in enumerate(zip(LOGITS, TARGET, strict=True)):
        for row_logits, row_target in zip(logits, target, strict=True):
            yield from ((n, p, y) for p, y in zip(row_logits, row_target, strict=True))


def cross_entropy(logit, target):
    probability = 1 / (1 + math.exp(-logit))
    return -target * math.log(probability) - (1 - target) * math.log(1 - probability)


def test_liu_sums_over_cells_and_averages_over_expressions():
    expected = sum(cross_entropy(p, y) for _, p, y in cells()) / 2
    assert sum_over_cells(torch.tensor(LOGITS), torch.tensor(TARGET)).item() == pytest.approx(expected, rel=1e-6)


def test_hu_weighs_foreground_and_background_and_averages_over_cells():
    expected = sum((3 if y else 0.5) * cross_entropy(p, y) for _, p, y in cells()) / 8
    loss = weighted_mean(torch.tensor(LOGITS), torch.tensor(TARGET), foreground_weight=3, background_weight=0.5)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_a_configuration_names_its_loss_which_is_computed_in_float32():
    logits, target = torch.tensor(LOGITS), torch.tensor(TARGET)
    loss = segmentation_loss(SimpleNamespace(loss="sum_over_cells"), logits.bfloat16(), target)
    assert loss.dtype == torch.float32
    assert loss == sum_over_cells(logits.bfloat16().float(), target)


def test_the_weights_of_the_configuration_reach_the_loss():
    config = SimpleNamespace(loss="weighted_mean", foreground_weight=1.0, background_weight=1 / 3)
    logits, target = torch.tensor(LOGITS), torch.tensor(TARGET)
    assert segmentation_loss(config, logits, target) == weighted_mean(logits, target, 1.0, 1 / 3)


def test_ranking_loss_by_hand():
    scores = torch.tensor([0.5, 0.2, 0.45, 0.0, 0.1, 0.3])  # two right pairs, wrong regions, wrong expressions
    # margins broken: region 0.05 and none, expression none and 0.2
    assert ranking_loss(scores) == pytest.approx((0.05 + 0.2) / 2)
    assert ranking_loss(scores, 0.1, 2.0, 0.5) == pytest.approx((2 * 0.05 + 0.5 * 0.2) / 2)


def test_attribute_loss_counts_described_regions_only():
    logits, labels = torch.randn(3, 2, requires_grad=True), torch.tensor([[1.0, 0], [0, 0], [1, 1]])
    weights = torch.tensor([1.0, 4.0])
    expected = F.binary_cross_entropy_with_logits(logits[[0, 2]], labels[[0, 2]], weights)
    torch.testing.assert_close(attribute_loss(logits, labels, weights), expected)
    none = attribute_loss(logits, torch.zeros(3, 2))
    assert none == 0
    none.backward()
    assert not logits.grad.any()


def test_attribute_weights_run_from_1_to_10():
    assert attribute_weights([400, 100, 4, 1])[::3] == [1.0, 10.0]
    assert attribute_weights([400, 100, 1])[1] == pytest.approx(1 + 9 * (0.1 - 0.05) / 0.95)
    assert attribute_weights([7, 7]) == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"at least 1, got \[3, 0\]"):
        attribute_weights([3, 0])
