"""How phrases fit regions, pairs and places in an order."""

import math

import pytest
import torch

from hf_refseg.models.region_matcher.phrase_readings import OrderReading
from hf_refseg.models.region_matcher.region_places import RANKED

# Five things in a row; of each value as many come before as it has on its left.
BEFORE = torch.arange(5.0).expand(1, len(RANKED), 5)
AFTER = 4 - BEFORE
LEFT, RIGHT, ABOVE, MIDDLE = 0, len(RANKED), 1, 2 * len(RANKED)


def read(direction: int, number: int) -> list[float]:
    """The fits of the five for a phrase that names this direction and this number, from 0."""
    reading = OrderReading(phrase_size=1, dropout=0.0)
    for layer, chosen in ((reading.direction, direction), (reading.number, number)):
        torch.nn.init.zeros_(layer.weight)
        with torch.no_grad():
            layer.bias.fill_(-30)[chosen] = 30
    torch.nn.init.zeros_(reading.weight.weight)
    torch.nn.init.constant_(reading.weight.bias, math.log(math.e - 1))  # softplus makes 1 of it
    return reading(BEFORE, AFTER, torch.zeros(1, 1))[0].tolist()


@pytest.mark.parametrize(
    ("direction", "number", "meant"),
    [(LEFT, 0, 0), (LEFT, 1, 1), (RIGHT, 0, 4), (RIGHT, 2, 2), (ABOVE, 3, 3), (MIDDLE, 0, 2), (MIDDLE, 4, 2)],
)
def test_one_of_five_has_the_place_that_is_named(direction, number, meant):
    fits = read(direction, number)
    assert fits[meant] == pytest.approx(math.log(1.02), abs=1e-4)
    others = [fit for region, fit in enumerate(fits) if region != meant]
    assert max(others) < -0.9, "the neighbors clearly do not fit"


def test_direction_and_number_are_read_apart():
    reading = OrderReading(phrase_size=4, dropout=0.0)
    phrases = torch.randn(2, 4)
    fits = reading(BEFORE.expand(2, -1, -1), AFTER.expand(2, -1, -1), phrases)
    assert fits.shape == (2, 5) and not torch.allclose(fits[0], fits[1])
    fits.sum().backward()
    for layer in (reading.direction, reading.number, reading.weight):
        assert layer.weight.grad.any()
