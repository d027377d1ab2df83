"""
What this machine can do: a 3x3 convolution, whose rate no other float32 operation of the systems exceeds.

A 1x1 convolution or a matrix product of the same size is up to 14 % slower on the processors we tried, and shares of
those would look too good.
"""

CHANNELS, SIZE = 512, 40
GFLOP = 2 * 9 * CHANNELS**2 * SIZE**2 / 1e9


def prepare(row: dict):
    """`row["dtype"]`: "float32" or "bfloat16"."""
    import torch

    dtype = getattr(torch, row["dtype"])
    maps = torch.randn(1, CHANNELS, SIZE, SIZE).to(dtype)
    kernel = torch.randn(CHANNELS, CHANNELS, 3, 3).to(dtype)

    @torch.inference_mode()
    def run():
        torch.nn.functional.conv2d(maps, kernel, padding=1)

    return run
