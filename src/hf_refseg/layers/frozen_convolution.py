"""A convolution followed by batch normalization with stored statistics, folded into one operation where possible."""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from .add_and_rectify import add_and_rectify
from .packed_convolution import KernelKeeper, PackedKernel, may_keep_kernel
from .same_padding import pad_same
from .winograd import WinogradKernel


class FrozenBatchNorm2d(nn.Module):
    """Batch normalization whose statistics and scale never change: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, num_channels: int, eps: float):
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(num_channels))
        self.register_buffer("bias", torch.zeros(num_channels))
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))

    def initialize(self):
        """The identity, but for eps."""
        for buffer, value in ((self.weight, 1), (self.bias, 0), (self.running_mean, 0), (self.running_var, 1)):
            init.constant_(buffer, value)

    def scale_and_shift(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The same normalization as `x * scale + shift`, each (C,)."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        scale, shift = self.scale_and_shift()
        return maps * scale[:, None, None] + shift[:, None, None]


class NormalizedConvolution(nn.Module):
    """
    Convolution without bias, then batch normalization.

    Padding is TensorFlow's SAME, or symmetric as Caffe and torch have it, which differs where the stride is 2.

    With a frozen normalization the two are folded into one convolution. Where no gradient is wanted, the folded kernel
    is kept on a CPU until a weight changes (a change of the statistics through `.data` is not seen before the next move
    or load).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        eps: float = 1e-3,
        frozen: bool = True,
        symmetric: bool = False,
    ):
        super().__init__()
        self.kernel, self.stride, self.dilation = kernel, stride, dilation
        self.pads_itself = stride > 1 and not symmetric  # SAME is symmetric at stride 1; no copy is needed
        self.padding = 0 if self.pads_itself else dilation * (kernel - 1) // 2
        self.convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, dilation=dilation, bias=False)
        self.normalization = FrozenBatchNorm2d(out_channels, eps) if frozen else nn.BatchNorm2d(out_channels, eps)
        self._keeper = KernelKeeper(stride, self.padding, dilation)

    def _apply(self, fn, recurse: bool = True):
        self._keeper.forget()
        return super()._apply(fn, recurse)

    def forward(
        self, maps: torch.Tensor, added: torch.Tensor | None = None, slope: float | None = None
    ) -> torch.Tensor:
        """
        Args:
            maps: (B, C, H, W).
            added: (B, D, H', W'), added to the normalized maps.
            slope: by which what is negative of the sum is multiplied, 0 for ReLU; None: not rectified.

        Returns:
            (B, D, ceil(H / stride), ceil(W / stride)).
        """
        if self.pads_itself:
            maps = pad_same(maps, self.kernel, self.stride, self.dilation)
        if (kernel := self._folded(maps)) is not None:
            return kernel.convolve(maps, added, slope)
        geometry = self.stride, self.padding, self.dilation
        if isinstance(self.normalization, FrozenBatchNorm2d):
            # with a gradient too: a product with the kernel is less than one with every cell of the maps
            maps = F.conv2d(maps, *self._multiply(), *geometry)
        else:
            maps = self.normalization(F.conv2d(maps, self.convolution.weight, None, *geometry))
        return add_and_rectify(maps, added, slope)

    def without_bias(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Normalized maps without their bias, and the bias (D,); None where the two may not be folded. For maps that
        need no padding."""
        kernel = self._folded(maps)
        return None if kernel is None else (kernel.convolve(maps, bias=False), kernel.bias)

    def _folded(self, maps: torch.Tensor) -> PackedKernel | WinogradKernel | None:
        """The kept kernel of the present weights; None where none may be kept."""
        weight = self.convolution.weight
        if not isinstance(self.normalization, FrozenBatchNorm2d) or not may_keep_kernel(maps, weight, self.training):
            return None
        return self._keeper.kernel(maps, [weight, *self.normalization.buffers()], self._multiply)

    def _multiply(self) -> tuple[torch.Tensor, torch.Tensor]:
        scale, shift = self.normalization.scale_and_shift()
        return self.convolution.weight * scale[:, None, None, None], shift
