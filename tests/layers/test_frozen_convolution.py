"""The folded kernel is that of the weights as they are now."""

import copy

import pytest
import torch

from hf_refseg.layers.frozen_convolution import NormalizedConvolution


@pytest.fixture
def module() -> NormalizedConvolution:
    torch.manual_seed(0)
    module = NormalizedConvolution(3, 5, 3)
    for name in ("weight", "bias", "running_mean"):
        getattr(module.normalization, name).normal_()
    return module.eval()


def fused_step(module):
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, fused=True)
    module(torch.randn(1, 3, 6, 6)).sum().backward()
    optimizer.step()


def plain_step(module):
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(torch.randn(1, 3, 6, 6)).sum().backward()
    optimizer.step()


def through_data(module):
    module.convolution.weight.data.mul_(2)


def by_loading(module):
    module.load_state_dict({name: tensor + 1 for name, tensor in module.state_dict().items()})


def of_the_normalization(module):
    module.normalization.running_mean.add_(1)


@pytest.mark.parametrize("change", [fused_step, plain_step, through_data, by_loading, of_the_normalization])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_no_change_of_the_weights_is_missed(module, change, layout):
    """transformers' Trainer uses a fused optimizer, after whose steps the tensors look unchanged to autograd."""
    module.to(memory_format=layout)
    maps = torch.randn(1, 3, 6, 6)
    with torch.no_grad():
        before = module(maps)
    change(module)
    with torch.no_grad():
        assert not torch.equal(module(maps), before)
        assert torch.equal(module(maps), copy.deepcopy(module)(maps))


def test_the_kernel_is_kept_while_nothing_changes(module):
    with torch.no_grad():
        module(torch.randn(1, 3, 6, 6))
        kept = module._keeper.kept
        module(torch.randn(1, 3, 8, 8))
    assert kept is not None and module._keeper.kept is kept


def test_what_is_added_and_rectified_is_the_same_with_gradients(module):
    maps, added = torch.randn(2, 3, 6, 6), torch.randn(2, 5, 6, 6)
    with torch.no_grad():
        found = module(maps, added, slope=0)
    torch.testing.assert_close(found, module(maps, added.clone(), slope=0).detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found, (module(maps) + added).relu().detach(), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_bias_can_wait(module):
    maps = torch.randn(1, 3, 6, 6)
    without, bias = module.without_bias(maps)
    torch.testing.assert_close(without + bias[:, None, None], module(maps), rtol=1e-5, atol=1e-5)
    trained = NormalizedConvolution(3, 5, 3, frozen=False).eval()
    assert trained.without_bias(maps) is None
