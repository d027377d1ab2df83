"""A packed matrix gives the products of F.linear, for any number of rows, and where PyTorch can't pack it, too."""

import pytest
import torch
import torch.nn.functional as F

from hf_refseg.layers import packed_matrix
from hf_refseg.layers.packed_matrix import PackedMatrix, matrices_can_be_packed


@pytest.fixture(params=[True, False], ids=["packed", "not packed"])
def packing(request, monkeypatch):
    if request.param and not matrices_can_be_packed():
        pytest.skip("this PyTorch packs no matrices")
    monkeypatch.setattr(packed_matrix, "matrices_can_be_packed", lambda: request.param)
    return request.param


@pytest.mark.parametrize("num_rows", [0, 1, 7, 300])
@torch.inference_mode()
def test_products_are_those_of_linear(packing, num_rows):
    torch.manual_seed(0)
    matrix, rows = torch.randn(33, 50), torch.randn(num_rows, 50)
    packed = PackedMatrix.of(matrix)
    assert packed.is_packed is packing
    torch.testing.assert_close(packed.times(rows), F.linear(rows, matrix), rtol=1e-5, atol=1e-5)


def test_a_build_without_the_operator_is_told_by_one_try(monkeypatch):
    def missing(*arguments):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", missing)
    assert not matrices_can_be_packed.__wrapped__()


def test_a_build_whose_operator_computes_something_else_is_told_too(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda rows, *rest: rows.new_zeros(len(rows), 4))
    assert not matrices_can_be_packed.__wrapped__()
