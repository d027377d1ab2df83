"""TensorFlow's `SAME` padding, which is asymmetric for even totals: the odd row goes to the bottom and right."""

import torch
import torch.nn.functional as F


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Rows of padding (before, after) that make a convolution's output `ceil(size / stride)` long."""
    extent = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def pad_same(images: torch.Tensor, kernel: int, stride: int, dilation: int = 1) -> torch.Tensor:
    """Zero-pad (B, C, H, W) as TensorFlow does for a square kernel; the convolution after it takes `padding=0`."""
    height, width = images.shape[-2:]
    top, bottom = same_padding(height, kernel, stride, dilation)
    left, right = same_padding(width, kernel, stride, dilation)
    return F.pad(images, (left, right, top, bottom))  # (B, C, H, W) -> (B, C, top + H + bottom, left + W + right)
