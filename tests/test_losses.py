"""The losses against their formulas, written out over single cells."""

import math
from types import SimpleNamespace

import pytest
import torch

from hf_refseg.losses import dice_and_cross_entropy, segmentation_loss, sum_over_cells, weighted_mean

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


def test_dice_is_of_each_expression():
    expected = sum(cross_entropy(p, y) for _, p, y in cells()) / 8
    for expression in (0, 1):
        own = [(1 / (1 + math.exp(-p)), y) for n, p, y in cells() if n == expression]
        overlap, sizes = sum(p * y for p, y in own), sum(p + y for p, y in own)
        expected += (1 - (2 * overlap + 1) / (sizes + 1)) / 2
    assert dice_and_cross_entropy(torch.tensor(LOGITS), torch.tensor(TARGET)).item() == pytest.approx(
        expected, rel=1e-6
    )


def test_dice_of_an_empty_mask_is_finite_and_falls_with_what_is_painted():
    nothing = torch.zeros(1, 4, 4)
    painted = [dice_and_cross_entropy(torch.full((1, 4, 4), logit), nothing).item() for logit in (-20.0, -2.0, 2.0)]
    assert painted[0] == pytest.approx(0, abs=1e-6) and painted == sorted(painted)


@pytest.mark.parametrize(
    ("name", "function"),
    [("sum_over_cells", sum_over_cells), ("dice_and_cross_entropy", dice_and_cross_entropy)],
)
def test_a_configuration_names_its_loss_which_is_computed_in_float32(name, function):
    logits, target = torch.tensor(LOGITS), torch.tensor(TARGET)
    loss = segmentation_loss(SimpleNamespace(loss=name), logits.bfloat16(), target)
    assert loss.dtype == torch.float32
    assert loss == function(logits.bfloat16().float(), target)


def test_the_weights_of_the_configuration_reach_the_loss():
    config = SimpleNamespace(loss="weighted_mean", foreground_weight=1.0, background_weight=1 / 3)
    logits, target = torch.tensor(LOGITS), torch.tensor(TARGET)
    assert segmentation_loss(config, logits, target) == weighted_mean(logits, target, 1.0, 1 / 3)
