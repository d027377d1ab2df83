import pytest
import torch

from hf_refseg.training.schedules import build_scheduler, exponential_decay, polynomial_decay, staircase_decay


def rates(schedule, steps, learning_rate=0.1, **kwargs):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=learning_rate)
    scheduler = build_scheduler(optimizer, schedule, learning_rate=learning_rate, num_training_steps=steps, **kwargs)
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


def test_polynomial_is_the_formula_of_rmi():
    published = {"initial": 0.00025, "end": 1e-5, "power": 0.9, "decay_steps": 750_000}
    assert polynomial_decay(0, **published) == 0.00025
    assert polynomial_decay(375_000, **published) == pytest.approx((0.00025 - 1e-5) * 0.5**0.9 + 1e-5, rel=1e-12)
    assert polynomial_decay(750_000, **published) == polynomial_decay(900_000, **published) == 1e-5


def test_staircase_is_that_of_hu():
    published = {"initial": 0.01, "factor": 0.1, "every": 6000}
    values = [staircase_decay(step, **published) for step in (0, 5999, 6000, 11_999, 12_000)]
    assert values == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001], rel=1e-12)


def test_exponential_is_that_of_mattnet():
    published = {"initial": 4e-4, "factor": 0.1, "every": 8000, "start": 8000}
    assert exponential_decay(0, **published) == exponential_decay(8000, **published) == 4e-4
    assert exponential_decay(12_000, **published) == pytest.approx(4e-4 * 0.1**0.5, rel=1e-12)
    assert exponential_decay(30_000, **published) == pytest.approx(7.1e-7, rel=2e-3)


def test_the_scheduler_follows_the_formulas_step_by_step():
    expected = [(0.1 - 0.02) * (1 - step / 4) ** 0.9 + 0.02 for step in range(4)] + [0.02, 0.02]
    assert rates("polynomial", 6, end=0.02, power=0.9, decay_steps=4) == pytest.approx(expected, rel=1e-12)
    assert rates("staircase", 5, every=2) == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001], rel=1e-12)
    assert rates("exponential", 4, every=2, start=1) == pytest.approx([0.1, 0.1, 0.1 * 0.1**0.5, 0.01], rel=1e-12)
    assert rates("constant", 3) == [0.1, 0.1, 0.1]


def test_the_polynomial_ends_with_the_training_if_no_length_is_given():
    assert rates("polynomial", 4) == pytest.approx([0.1, 0.075, 0.05, 0.025], rel=1e-12)


def test_warmup_multiplies_the_schedule():
    assert rates("constant", 4, warmup_steps=4) == pytest.approx([0.025, 0.05, 0.075, 0.1], rel=1e-12)


def test_errors_teach():
    with pytest.raises(ValueError, match="'cosine'.*polynomial, staircase, exponential, constant"):
        rates("cosine", 1)
    with pytest.raises(ValueError, match="lr_decay_every"):
        rates("staircase", 1)
