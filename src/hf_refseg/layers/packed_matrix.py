"""
Products with a matrix that is packed once, for inference on a CPU.

`F.linear` brings the matrix into the order of its kernels at every call, which counts where there are few rows, and on
some processors those kernels are slower than oneDNN's. The operator of oneDNN behind it takes a packed matrix, whose
order suits any number of rows; that of a 1x1 convolution (packed_convolution.py) would not. PyTorch calls it for frozen
models, but does not document it: this file is the only one that does, after one try, and falls back on `F.linear`.
"""

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers.utils import logging

logger = logging.get_logger(__name__)


@dataclass(frozen=True)
class PackedMatrix:
    """
    A matrix (D, C) as inference wants it.

    Args:
        is_packed: the matrix is in the order of oneDNN.
    """

    matrix: torch.Tensor
    is_packed: bool

    @classmethod
    def of(cls, matrix: torch.Tensor) -> "PackedMatrix":
        """From a float32 matrix (D, C)."""
        if matrices_can_be_packed():
            return cls(torch.ops.mkldnn._reorder_linear_weight(matrix), is_packed=True)
        return cls(matrix, is_packed=False)

    def times(self, rows: torch.Tensor) -> torch.Tensor:
        """The product of each row with the matrix: (N, C) -> (N, D)."""
        if self.is_packed:
            return torch.ops.mkldnn._linear_pointwise(rows, self.matrix, None, "none", [], None)
        return F.linear(rows, self.matrix)


@functools.cache
def matrices_can_be_packed() -> bool:
    """Whether this build of PyTorch has the operator, and it computes what we expect; tried once."""
    if not torch.backends.mkldnn.is_available():
        return False
    with torch.inference_mode(False), torch.no_grad():
        matrix, rows = torch.linspace(-1, 1, 24).view(4, 6), torch.linspace(-1, 1, 18).view(3, 6)
        try:
            packed = PackedMatrix(torch.ops.mkldnn._reorder_linear_weight(matrix), is_packed=True)
            found = packed.times(rows)
        except (AttributeError, RuntimeError) as error:
            logger.info(f"matrices can't be packed by this PyTorch, it takes F.linear instead: {error}")
            return False
        return torch.allclose(found, F.linear(rows, matrix), atol=1e-5)
