"""Operations are counted as they are run, in place or not."""

import torch
from timed_process import count_gflop


def test_products_added_in_place_count():
    total, first, second = torch.zeros(2, 3, 5), torch.ones(2, 3, 4), torch.ones(2, 4, 5)
    assert count_gflop(lambda: torch.baddbmm(total, first, second)) == 2 * 2 * 3 * 4 * 5 / 1e9
    assert count_gflop(lambda: total.baddbmm_(first, second)) == 2 * 2 * 3 * 4 * 5 / 1e9
