"""A convolution followed by batch normalization with stored statistics, folded into one operation where possible."""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from .same_padding import pad_same


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
    or load). (B, C, H, W) -> (B, D, ceil(H / stride), ceil(W / stride)).
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
        self.kernel, self.stride, self.dilation, self.symmetric = kernel, stride, dilation, symmetric
        self.convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, dilation=dilation, bias=False)
        self.normalization = FrozenBatchNorm2d(out_channels, eps) if frozen else nn.BatchNorm2d(out_channels, eps)
        self._folded: tuple[tuple, list[torch.Tensor], torch.Tensor, torch.Tensor] | None = None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_folded": None}  # copies and pickles do not carry the kernel twice

    def _apply(self, fn, recurse: bool = True):
        self._folded = None  # moved to another device or dtype: not to be kept alive beside the new weights
        return super()._apply(fn, recurse)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        padding = 0
        if self.stride == 1 or self.symmetric:
            padding = self.dilation * (self.kernel - 1) // 2  # SAME is symmetric at stride 1; no copy is needed
        else:
            maps = pad_same(maps, self.kernel, self.stride, self.dilation)
        if isinstance(self.normalization, FrozenBatchNorm2d):
            # with a gradient too: a product with the kernel is less than one with every cell of the maps
            weight, bias = self._fold() if self._can_fold(maps) else self._multiply()
            return F.conv2d(maps, weight, bias, self.stride, padding, self.dilation)
        maps = F.conv2d(maps, self.convolution.weight, None, self.stride, padding, self.dilation)
        return self.normalization(maps)

    def folded(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Kernel (D, C, k, k) and bias (D,) that do the same to `maps`; None where they may not be folded."""
        return self._fold() if self._can_fold(maps) else None

    def _can_fold(self, maps: torch.Tensor) -> bool:
        if torch.compiler.is_compiling() or not isinstance(self.normalization, FrozenBatchNorm2d):
            return False
        weight = self.convolution.weight
        if weight.is_inference():  # inference tensors carry no version, so a change could not be noticed
            return False
        return not (torch.is_grad_enabled() and (weight.requires_grad or maps.requires_grad))

    def _fold(self) -> tuple[torch.Tensor, torch.Tensor]:
        sources = [self.convolution.weight, *self.normalization.buffers()]
        if sources[0].device.type != "cpu":  # costs nothing there, and sharded weights change without a new version
            return self._multiply_for_later()
        # Versions do not tell everything: a fused optimizer changes a weight and leaves its version as it is.
        key = sample(sources[0]), *((tensor.data_ptr(), tensor._version, tensor.dtype) for tensor in sources)
        if self._folded is None or self._folded[0] != key:
            # The sources are kept too: as long as they live, no other tensor can have their address.
            self._folded = key, [tensor.detach() for tensor in sources], *self._multiply_for_later()
        return self._folded[2:]

    def _multiply(self) -> tuple[torch.Tensor, torch.Tensor]:
        scale, shift = self.normalization.scale_and_shift()
        return self.convolution.weight * scale[:, None, None, None], shift

    def _multiply_for_later(self) -> tuple[torch.Tensor, torch.Tensor]:
        # `inference_mode(False)`: a kernel made inside inference mode could not be used in training later.
        with torch.inference_mode(False), torch.no_grad():
            return self._multiply()


def sample(tensor: torch.Tensor, number: int = 64) -> float:
    """A sum of so many elements, spread over a dense tensor: what a step of training changes, it changes too."""
    number = min(number, tensor.numel())
    return tensor.detach().as_strided((number,), (tensor.numel() // number,)).double().sum().item()
