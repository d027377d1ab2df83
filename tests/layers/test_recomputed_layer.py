"""Layers that compute again what their backward pass needs."""

from functools import partial

import torch
from tiny import tiny_mask_rcnn
from torch import nn
from torch.utils.checkpoint import checkpoint

from hf_refseg.layers.caffe_resnet_unit import CaffeResNetUnit
from hf_refseg.layers.recomputed_layer import RecomputedLayer


class Square(RecomputedLayer):
    """Counts how often it computes."""

    def __init__(self):
        super().__init__()
        self.weight, self.count = nn.Parameter(torch.tensor(3.0)), 0
        self._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.recomputed(self.compute, value)

    def compute(self, value: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return (self.weight * value) ** 2


def test_it_computes_twice_in_a_training_that_asks_for_it():
    layer, value = Square(), torch.tensor(2.0, requires_grad=True)
    for asked, training, expected in [(False, True, 1), (True, True, 2), (True, False, 1)]:
        layer.gradient_checkpointing, layer.count = asked, 0
        layer.train(training)
        value.grad = layer.weight.grad = None
        layer(value).backward()
        assert layer.count == expected
        assert value.grad == 36 and layer.weight.grad == 24
    layer.gradient_checkpointing, layer.count = True, 0
    with torch.no_grad():
        layer.train()(value)
    assert layer.count == 1


def test_a_detector_recomputes_its_units():
    model = tiny_mask_rcnn()
    model.gradient_checkpointing_enable()
    units = [module for module in model.modules() if isinstance(module, CaffeResNetUnit)]
    assert units and all(unit.gradient_checkpointing for unit in units)
