"""Winograd's filters give the numbers of F.conv2d for maps of all sizes, as close to exact ones as it does."""

import pytest
import torch
import torch.nn.functional as F

from hf_refseg.layers import winograd
from hf_refseg.layers.packed_convolution import KernelKeeper, PackedKernel, packing_works
from hf_refseg.layers.winograd import WinogradKernel, even_share, winograd_pays

C, D = 6, 5


@pytest.fixture(params=[1, 10, 10_000])
def values_at_once(request, monkeypatch):
    """So few tiles that each row of blocks has a turn of its own, some, and all at once."""
    monkeypatch.setattr(winograd, "VALUES_AT_ONCE", request.param * C)


@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("images, height, width", [(1, 16, 16), (3, 7, 7), (2, 13, 18), (1, 1, 1), (0, 8, 8)])
@torch.no_grad()
def test_numbers_are_those_of_the_definition(values_at_once, dilation, images, height, width):
    torch.manual_seed(0)
    weight, bias, maps = torch.randn(D, C, 3, 3), torch.randn(D), torch.randn(images, C, height, width)
    kernel = WinogradKernel.of(weight, bias, dilation)
    plain = F.conv2d(maps, weight, bias, padding=dilation, dilation=dilation)
    added = torch.randn_like(plain)
    given = maps.clone(), added.clone()
    for found, expected in (
        (kernel.convolve(maps), plain),
        (kernel.convolve(maps, slope=0), plain.relu()),
        (kernel.convolve(maps, added), plain + added),
        (kernel.convolve(maps, added, slope=0), (plain + added).relu()),
        (kernel.convolve(maps, bias=False), plain - bias[:, None, None]),
    ):
        assert not images or found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)
    assert torch.equal(maps, given[0]) and torch.equal(added, given[1]), "what is given may be in use elsewhere"


@torch.no_grad()
def test_it_costs_less_than_a_digit():
    torch.manual_seed(0)
    weight, bias, maps = torch.randn(128, 256, 3, 3), torch.randn(128), torch.randn(1, 256, 48, 48).relu()
    exact = F.conv2d(maps.double(), weight.double(), bias.double(), padding=1)
    plain, found = F.conv2d(maps, weight, bias, padding=1), WinogradKernel.of(weight, bias, 1).convolve(maps)
    error, plain_error = ((maps.double() - exact).square().mean().sqrt() for maps in (found, plain))
    assert error < 10 * plain_error
    assert (found - exact).abs().max() / exact.abs().max() < 4e-6


@pytest.mark.parametrize(
    "kernel, stride, padding, dilation, maps, pays",
    [
        ((256, 256, 3, 3), 1, 2, 2, (1, 256, 40, 40), True),
        ((512, 512, 3, 3), 1, 1, 1, (300, 512, 7, 7), True),
        ((512, 512, 3, 3), 1, 4, 4, (1, 512, 40, 40), True),
        ((512, 512, 3, 3), 1, 1, 1, (100, 512, 3, 3), False),  # 16 cells for 9
        ((512, 512, 3, 3), 1, 1, 1, (7, 512, 7, 7), False),  # 28 tiles
        ((512, 512, 3, 3), 1, 1, 1, (0, 512, 7, 7), False),
        ((256, 256, 3, 3), 2, 1, 1, (1, 256, 40, 40), False),
        ((256, 256, 3, 3), 1, 0, 1, (1, 256, 40, 40), False),
        ((64, 256, 3, 3), 1, 1, 1, (1, 256, 40, 40), False),
        ((256, 256, 1, 1), 1, 0, 1, (1, 256, 40, 40), False),
    ],
)
def test_it_is_used_where_it_pays(kernel, stride, padding, dilation, maps, pays):
    assert winograd_pays(kernel, stride, padding, dilation, 1, maps) is pays


@pytest.mark.skipif(not packing_works(), reason="this PyTorch packs no kernels, and Winograd's filters go with them")
@torch.no_grad()
def test_a_module_keeps_the_kernel_that_suits_the_maps():
    torch.manual_seed(0)
    weight, bias = torch.randn(128, 128, 3, 3), torch.randn(128)
    keeper = KernelKeeper(stride=1, padding=1, dilation=1)
    made = []

    def make():
        made.append(None)
        return weight, bias

    for size, kind in ((24, WinogradKernel), (3, PackedKernel), (24, WinogradKernel), (3, PackedKernel)):
        maps = torch.randn(1, 128, size, size)
        kept = keeper.kernel(maps, [weight, bias], make)
        assert type(kept) is kind
        assert keeper.kernel(maps, [weight, bias], make) is kept
        expected = F.conv2d(maps, weight, bias, padding=1).relu()
        assert (kept.convolve(maps, slope=0) - expected).abs().max() < 1e-5 * expected.max()
    assert len(made) == 2, "each is made once, in whatever order the sizes come"


def test_turns_are_about_as_long():
    assert even_share(10, 4) == 4 and even_share(10, 10) == 10 and even_share(9, 8) == 5 and even_share(3, 8) == 3
    assert even_share(3, 0) == 1 and even_share(0, 8) == 1
