"""
Convolutions for inference on a CPU, whose kernels are packed once.

`F.conv2d` brings the kernel into the order of oneDNN at every call, and adds and rectifies in further passes over the
maps. The operator of oneDNN behind it takes a packed kernel and does all of that in one pass. PyTorch calls it for
frozen models, but does not document it: this file is the only one that does, after one try, and falls back on
`F.conv2d`. Kernels of 3x3 that are worth it are kept for Winograd's filters instead (see winograd.py).

Which order oneDNN wants depends on the size of the maps. A kernel in another order is right, but is put in order at
every call, which takes up to ten times as long as the convolution of small maps: so each order has a kernel of its own.
"""

import ctypes
import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn
from transformers.utils import logging

from .add_and_rectify import add_and_rectify
from .winograd import WinogradKernel, winograd_pays

logger = logging.get_logger(__name__)

MOST_KERNELS = 2  # of one convolution: maps of most sizes want one order or another
MOST_NUMBERS = 2**24  # of a kernel whose order is looked at: 64 MB; float32 counts up to here
ACTIVATIONS = {None: ("none", [], None), 0: ("relu", [], None)}  # of oneDNN, by the slope of what is negative


@dataclass(frozen=True)
class PackedKernel:
    """
    Kernel (D, C, k, k) and bias (D,) of one convolution, as inference wants them.

    Args:
        stride, padding, dilation: the same along both axes.
        groups: of channels that are convolved each by themselves; the kernel is (D, C / groups, k, k).
        is_packed: the kernel is in the order of oneDNN, see `packed`.
    """

    kernel: torch.Tensor
    bias: torch.Tensor
    stride: int
    padding: int
    dilation: int
    groups: int = 1
    is_packed: bool = False

    @property
    def geometry(self) -> tuple[list[int], list[int], list[int], int]:
        return [self.padding] * 2, [self.stride] * 2, [self.dilation] * 2, self.groups

    def check_finite(self) -> None:
        """Raises ValueError where weights are not finite: oneDNN's ReLU makes 0 of NaN, so that nothing would tell."""
        if not (self.kernel.isfinite().all() and self.bias.isfinite().all()):
            raise ValueError(
                "the weights of a convolution are not finite: the file of the weights is damaged, or a training "
                "diverged; load an earlier checkpoint"
            )

    def prepared(self, size: Sequence[int], form: str) -> "PackedKernel | WinogradKernel":
        """In this `best_form` for maps of a size (B, C, H, W); it is right for all sizes."""
        if form == "winograd":
            return WinogradKernel.of(self.kernel, self.bias, self.dilation)
        return self if form == "plain" else self.packed(size)

    def packed(self, size: Sequence[int]) -> "PackedKernel":
        """The same in the order that oneDNN wants for maps of a size (B, C, H, W); it is right for all sizes."""
        kernel = torch.ops.mkldnn._reorder_convolution_weight(self.kernel, *self.geometry, list(size))
        return replace(self, kernel=kernel, is_packed=True)

    def order(self) -> str:
        """Names the order of a packed kernel, whose numbers are known, by where in memory they are."""
        numbers = torch.ops.mkldnn._nbytes(self.kernel) // 4
        memory = (ctypes.c_float * numbers).from_address(torch.ops.mkldnn.data_ptr(self.kernel))
        seen = torch.frombuffer(memory, dtype=torch.float32)
        seen = torch.cat([seen[:2048], seen[:: -(-numbers // 2048)]])
        return hashlib.blake2b(seen.numpy().tobytes(), digest_size=8).hexdigest()

    def convolve(
        self, maps: torch.Tensor, added: torch.Tensor | None = None, slope: float | None = None, bias: bool = True
    ) -> torch.Tensor:
        """
        rectify(convolution + bias + added), each where wanted: (B, C, H, W) -> (B, D, H', W').

        Args:
            slope: as of `add_and_rectify`.
        """
        bias = self.bias if bias else None
        if not self.is_packed:
            maps = F.conv2d(maps, self.kernel, bias, self.stride, self.padding, self.dilation, self.groups)
            return add_and_rectify(maps, added, slope)
        convolution = torch.ops.mkldnn._convolution_pointwise
        if added is None:
            activation = ACTIVATIONS.get(slope, ("leaky_relu", [slope], ""))
            return convolution(maps, self.kernel, bias, *self.geometry, *activation)
        # oneDNN, up to torch 2.10, does not know the order of single cells; and after a sum, it only takes ReLU
        if added.shape[2:].numel() == 1 or slope not in ACTIVATIONS:
            return add_and_rectify(self.convolve(maps, bias=bias is not None), added, slope)
        activation = "relu" if slope == 0 else None
        return convolution(maps, added, self.kernel, bias, *self.geometry, "add", 1, activation, [], None)


class KernelKeeper:
    """
    Keeps the [`PackedKernel`] or [`WinogradKernel`] of a module until one of the tensors that it is made of changes.

    Maps whose sizes want different forms have a kernel each, the last `MOST_KERNELS`. Copies and pickles of the module
    leave them out. Threads may share it: what one is using is never changed.

    Args:
        stride, padding, dilation, groups: of the convolution.
    """

    def __init__(self, stride: int, padding: int, dilation: int, groups: int = 1):
        self.geometry = stride, padding, dilation, groups
        self.forget()

    def __reduce__(self):
        return KernelKeeper, self.geometry

    def forget(self) -> None:
        """Drop what is kept, so that it is not alive beside weights that were moved."""
        self.kept: KeptKernels | None = None

    def kernel(
        self,
        maps: torch.Tensor,
        sources: Sequence[torch.Tensor],
        make: Callable[[], tuple[torch.Tensor, torch.Tensor]],
    ) -> PackedKernel | WinogradKernel:
        """
        The kernel of the weights as they are now.

        Args:
            maps: (B, C, H, W) that will be convolved.
            sources: the tensors that kernel and bias are made of, the weight first.
            make: returns kernel and bias.

        Raises:
            ValueError: weights that are not finite.
        """
        pack = maps.dtype == sources[0].dtype == torch.float32 and packing_works()
        form = best_form(sources[0].shape, self.geometry, maps.shape, torch.get_num_threads()) if pack else "plain"
        kept = self.kept
        kernels = kept.kernels if kept is not None and kept.is_of(sources) else {}
        if form not in kernels:
            kept = self.kept = None  # what is dropped and what is made need not be alive at once
            kernels = dict(list(kernels.items())[1 - MOST_KERNELS :])
            # What is made inside of inference mode could not be used in training later.
            with torch.inference_mode(False), torch.no_grad():
                kernel = PackedKernel(*make(), *self.geometry)
                kernel.check_finite()
                kernels[form] = kernel.prepared(maps.shape, form)
            self.kept = KeptKernels(sources, kernels)
        return kernels[form]


class KeptKernels:
    """
    Kernels, and what they were made of.

    Args:
        sources: the tensors, the weight first. They are kept: as long as they live, no other can have their address.
        kernels: by their `best_form`.
    """

    def __init__(self, sources: Sequence[torch.Tensor], kernels: "dict[str, PackedKernel | WinogradKernel]"):
        self.sources, self.kernels = [tensor.detach() for tensor in sources], kernels
        self.versions = self._versions(sources)
        self.numbers = sample(self.sources[0])
        self.values = self.numbers.clone()

    @staticmethod
    def _versions(sources: Sequence[torch.Tensor]) -> list[tuple]:
        return [(tensor.data_ptr(), tensor._version, tensor.dtype) for tensor in sources]

    def is_of(self, sources: Sequence[torch.Tensor]) -> bool:
        """Whether `sources` are these tensors, and have not changed since."""
        # Versions do not tell everything: a fused optimizer changes a weight and leaves its version as it is.
        return self._versions(sources) == self.versions and torch.equal(self.numbers, self.values)


@functools.lru_cache(maxsize=2**14)
def best_form(kernel: torch.Size, geometry: tuple[int, int, int, int], maps: torch.Size, num_threads: int) -> str:
    """
    In which form a kernel convolves fastest.

    Args:
        kernel: its size (D, C / groups, k, k).
        geometry: stride, padding, dilation and groups.
        maps: their size (B, C, H, W).
        num_threads: of PyTorch now, which oneDNN looks at too.

    Returns:
        "winograd", or a name of the order that oneDNN wants; the same for all sizes of maps that want the same.
    """
    if winograd_pays(kernel, *geometry, maps):
        return "winograd"
    if math.prod(kernel) > MOST_NUMBERS:
        return "packed"
    with torch.inference_mode(False), torch.no_grad():
        counted = torch.arange(math.prod(kernel), dtype=torch.float32).view(kernel)
        return PackedKernel(counted, counted[:, 0, 0, 0], *geometry).packed(maps).order()


@functools.cache
def packing_works() -> bool:
    """Whether this build of PyTorch has the operator, and it computes what we expect; tried once."""
    if not torch.backends.mkldnn.is_available():
        return False
    with torch.inference_mode(False), torch.no_grad():
        maps = torch.linspace(-1, 1, 400).view(1, 4, 10, 10).contiguous(memory_format=torch.channels_last)
        kernel, bias = torch.linspace(-1, 1, 144).view(4, 4, 3, 3), torch.linspace(-1, 1, 4)
        tried = [
            PackedKernel(kernel[:, : 4 // groups], bias, stride=1, padding=2, dilation=2, groups=groups)
            for groups in (1, 4)
        ]
        calls = [(added, slope) for added in (None, maps) for slope in (0, 0.1)]
        expected = [one.convolve(maps, *call) for one in tried for call in calls]
        try:
            packed = [one.packed(maps.shape) for one in tried]
            packed[0].order()
            found = [one.convolve(maps, *call) for one in packed for call in calls]
        except (AttributeError, RuntimeError) as error:
            logger.info(f"kernels of convolutions can't be packed by this PyTorch, it takes F.conv2d instead: {error}")
            return False
        return all(torch.allclose(*pair, atol=1e-5) for pair in zip(found, expected, strict=True))


def may_keep_kernel(maps: torch.Tensor, weight: torch.Tensor, training: bool) -> bool:
    """
    Whether a convolution of `maps` may use a kernel that was prepared earlier: on a CPU, where no gradient is wanted.

    Args:
        training: the module is in training; outside of it, gradients that prevent this are likely unwanted.
    """
    if weight.device.type != "cpu" or maps.device.type != "cpu":
        return False  # elsewhere it costs nothing, and sharded weights change without a new version
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled("cpu"):
        return False
    if torch._C._functorch.is_functorch_wrapped_tensor(maps):  # torch.func has to see the convolution
        return False
    if weight.is_inference():  # such tensors carry no version, so a change could not be noticed
        logger.warning_once(
            "the model was made inside of torch.inference_mode(), where a change of its weights can't be noticed: its "
            "convolutions are prepared anew for every image, which takes up to 1.8 times as long. Make it outside, and "
            "call it inside."
        )
        return False
    if not (torch.is_grad_enabled() and (weight.requires_grad or maps.requires_grad)):
        return True
    if not training:
        logger.warning_once(
            "the model was called with gradients on outside of training: its convolutions are prepared anew for every "
            "image, which takes longer. Where you want no gradient, call it inside of torch.inference_mode()."
        )
    return False


def lay_out_for_inference(maps: torch.Tensor) -> torch.Tensor:
    """Images or maps (B, C, H, W) for inference on a CPU: channels last in memory, as packed kernels read them."""
    if maps.device.type == "cpu" and not torch.is_grad_enabled():
        return maps.contiguous(memory_format=torch.channels_last)
    return maps


def sample(tensor: torch.Tensor, number: int = 64) -> torch.Tensor:
    """A view of so many elements, spread over a dense tensor: what a step of training changes, it changes too."""
    number = min(number, tensor.numel())
    return tensor.detach().as_strided((number,), (tensor.numel() // number,))


class PackedConvolution(nn.Conv2d):
    """
    Convolution with or without (leaky) ReLU after it: (B, C, H, W) -> (B, D, H', W').

    Where no gradient is wanted, the packed kernel is kept beside the weight, which then takes its memory twice.
    (`F.conv2d` takes as much, for the time of the call.)

    Args:
        stride, padding, dilation: the same along both axes.
        slope: by which what is negative is multiplied after it: 0 for ReLU; None: not rectified.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        slope: float | None = None,
    ):
        super().__init__(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias)
        self.slope = slope
        self._keeper = KernelKeeper(stride, padding, dilation, groups)

    def _apply(self, fn, recurse: bool = True):
        self._keeper.forget()
        return super()._apply(fn, recurse)

    def forward(self, maps: torch.Tensor, added: torch.Tensor | None = None) -> torch.Tensor:
        """rectify(convolution + added), each where wanted."""
        if not may_keep_kernel(maps, self.weight, self.training):
            return add_and_rectify(super().forward(maps), added, self.slope)
        sources = [self.weight] if self.bias is None else [self.weight, self.bias]
        return self._keeper.kernel(maps, sources, self._detached).convolve(maps, added, self.slope)

    def _detached(self) -> tuple[torch.Tensor, torch.Tensor]:
        weight = self.weight.detach()
        return weight, weight.new_zeros(len(weight)) if self.bias is None else self.bias.detach()
