"""Operations are counted as they are run, in place or not."""

import torch
from timed_process import count_gflop

from hf_refseg.layers.frozen_convolution import NormalizedConvolution


def test_products_added_in_place_count():
    total, first, second = torch.zeros(2, 3, 5), torch.ones(2, 3, 4), torch.ones(2, 4, 5)
    assert count_gflop(lambda: torch.baddbmm(total, first, second)) == 2 * 2 * 3 * 4 * 5 / 1e9
    assert count_gflop(lambda: total.baddbmm_(first, second)) == 2 * 2 * 3 * 4 * 5 / 1e9


@torch.no_grad()
def test_convolutions_with_packed_kernels_count():
    layer, maps = NormalizedConvolution(8, 16, 3, stride=2, symmetric=True), torch.ones(2, 8, 10, 12)
    out = layer(maps)
    assert out.shape == (2, 16, 5, 6)
    for added in (None, out):
        assert count_gflop(lambda added=added: layer(maps, added, slope=0)) == 2 * out.numel() * 8 * 9 / 1e9
