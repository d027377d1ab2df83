"""What torch can't write as ONNX, or only with a loop over rows: operators of ours for the graphs that are exported."""

import torch
from onnxscript import opset18


def sort_stably(values, stable: bool = True, dim: int = -1, descending: bool = False):
    """`sort(stable=True)`: TopK of all, which has the lower index first among equal values."""
    size = opset18.Gather(opset18.Shape(values), opset18.Constant(value_ints=[dim]))
    return opset18.TopK(values, size, axis=dim, largest=int(descending))


def sum_rows(
    weight,
    indices,
    offsets,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights=None,
    include_last_offset: bool = False,
    padding_idx: int = -1,
):
    """
    `embedding_bag` as [`crop_regions`] calls it: M weighted sums of K rows each, which torch writes as a loop over M.

    Args:
        weight: (V, C), the rows.
        indices, per_sample_weights: (M * K,), which rows and how much of them.
        offsets: (M,), where each sum begins.

    Returns:
        (M, C), and three outputs that nobody reads.
    """
    shape = opset18.Concat(opset18.Shape(offsets), opset18.Constant(value_ints=[-1]), axis=0)  # (M, K)
    rows = opset18.Gather(weight, opset18.Reshape(indices, shape))  # -> (M, K, C)
    shares = opset18.Unsqueeze(opset18.Reshape(per_sample_weights, shape), opset18.Constant(value_ints=[2]))
    sums = opset18.ReduceSum(opset18.Mul(rows, shares), opset18.Constant(value_ints=[1]), keepdims=0)
    return sums, offsets, offsets, offsets


TRANSLATIONS = {
    torch.ops.aten.sort.stable: sort_stably,
    torch.ops.aten._embedding_bag.default: sum_rows,
    torch.ops.aten._embedding_bag_forward_only.default: sum_rows,
    torch.ops.aten.embedding_bag.padding_idx: sum_rows,
}
