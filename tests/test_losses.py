"""MAttNet's losses by hand; the other losses are compared where their models train."""

import pytest
import torch
import torch.nn.functional as F

from hf_refseg.losses import attribute_loss, attribute_weights, ranking_loss


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
