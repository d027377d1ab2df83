"""Scopes of parameters: what is decayed, frozen, and given a rate or a gradient of its own."""

import pytest
import torch
from tiny import tiny_caffe_resnet_config, tiny_rmi

from hf_refseg.models.rmi.training_rmi import KEYS
from hf_refseg.training.parameter_scopes import (
    decayed_parameters,
    freeze_parameters,
    frozen_normalizations,
    parameter_rates,
    parameters_in,
    scale_gradients,
)

SCOPES = KEYS.parameter_scopes


def test_a_backbone_trained_from_scratch_decays_its_kernels_but_no_normalization():
    model = tiny_rmi(backbone_config=tiny_caffe_resnet_config(freeze_batch_norm=False))
    decayed = decayed_parameters(model, SCOPES, "conv_kernels")
    assert "backbone.stem.convolution.weight" in decayed
    assert not [name for name in decayed if "normalization" in name]
    assert frozen_normalizations(model) == []
    freeze_parameters(model, SCOPES, "backbone")
    assert len(frozen_normalizations(model)) == sum(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules()) > 0


def test_the_factor_reaches_the_gradient():
    bias = tiny_rmi().classifier.bias.detach()
    gradients = []
    for factor in (1.0, 2.0):
        torch.manual_seed(0)
        model = tiny_rmi()
        scale_gradients(model, SCOPES, {"conv_biases": factor})
        pixels, words = torch.ones(1, 3, 16, 16), torch.tensor([[4, 5]])
        model(pixel_values=pixels, input_ids=words, labels=torch.ones(1, 16, 16)).loss.backward()
        gradients.append((model.classifier.bias.grad, model.classifier.weight.grad))
    assert gradients[0][0].shape == bias.shape and gradients[0][0].abs().sum() > 0
    assert torch.equal(gradients[1][0], 2 * gradients[0][0])
    assert torch.equal(gradients[1][1], gradients[0][1])


def test_rates_belong_to_whole_names_and_to_one_scope():
    model = torch.nn.ModuleDict({"new": torch.nn.Linear(2, 2), "newer": torch.nn.Linear(2, 2)})
    scopes = {"new_layers": (r"new\..*",), "weights": (r".*\.weight",)}
    assert parameter_rates(model, scopes, {"new_layers": 10.0}) == {"new.weight": 10.0, "new.bias": 10.0}
    with pytest.raises(ValueError, match="rate_factors: new.weight is in two of the scopes new_layers, weights"):
        parameter_rates(model, scopes, {"new_layers": 10.0, "weights": 2.0})


def test_unknown_and_empty_scopes_are_errors():
    linear = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="unknown freeze 'nonsense': the scopes of Linear are backbone, "):
        freeze_parameters(linear, SCOPES, "nonsense")
    with pytest.raises(ValueError, match="freeze: the scope 'backbone' has no parameter in this Linear"):
        freeze_parameters(linear, SCOPES, "backbone")
    with pytest.raises(ValueError, match="the scopes of Linear are -"):
        parameters_in(linear, {}, "backbone", "freeze")
    linear.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing of the scope 'kernels' is trained in this Linear"):
        decayed_parameters(linear, {"kernels": (".*",)}, "kernels")
