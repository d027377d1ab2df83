"""
3x3 convolutions with four ninths of the products: Winograd's filters F(2x2, 3x3) (Lavin and Gray, CVPR 2016).

The output is made in tiles of 2x2 cells, each from 4x4 cells of the input (Sec. 4.1): Y = A' ((G g G') * (B' d B)) A.
That takes 16 products per tile and pair of channels, where the definition takes 36. The sums over the channels are 16
matrix products; B and A only add and subtract. In dilated convolutions, a tile takes every `dilation`-th cell.

B images, C and D channels, (H, W) maps, I x J blocks of 2 * dilation cells a side, each with dilation^2 tiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

FEWEST_CHANNELS = 128  # with fewer, adding and subtracting takes as long as what is saved
MOST_WASTE = 1.35  # cells of the blocks per cell of the maps; crops of 7x7 in blocks of 8x8 are worth it
TILES_AT_ONCE = 512  # their values stay in the cache of the processor
G = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))


def winograd_pays(kernel: Sequence[int], stride: int, padding: int, dilation: int, maps: Sequence[int]) -> bool:
    """Whether a convolution of maps (B, C, H, W) with a kernel (D, C, k, k), sizes both, is faster this way."""
    if tuple(kernel[2:]) != (3, 3) or stride != 1 or padding != dilation or min(kernel[:2]) < FEWEST_CHANNELS:
        return False
    height, width = maps[2:]
    rows, columns = (2 * dilation * num_blocks(length, dilation) for length in (height, width))
    return rows * columns <= MOST_WASTE * height * width


def num_blocks(length: int, dilation: int) -> int:
    """Blocks along an axis; the last may reach over the border."""
    return -(-length // (2 * dilation))


@dataclass(frozen=True)
class WinogradKernel:
    """
    Transformed kernel (16, C, D) and bias (D,) of a 3x3 convolution with stride 1, padded by its dilation.

    It does what [`PackedKernel`] does.
    """

    kernel: torch.Tensor
    bias: torch.Tensor
    dilation: int

    @classmethod
    def of(cls, kernel: torch.Tensor, bias: torch.Tensor, dilation: int) -> "WinogradKernel":
        """From the kernel (D, C, 3, 3) as it is trained."""
        g = torch.tensor(G, dtype=torch.float64)
        transformed = torch.einsum("ar,dcrs,bs->abcd", g, kernel.double(), g)  # G g G': (D, C, 3, 3) -> (4, 4, C, D)
        return cls(transformed.flatten(0, 1).to(kernel.dtype).contiguous(), bias, dilation)

    def convolve(
        self, maps: torch.Tensor, added: torch.Tensor | None = None, relu: bool = False, bias: bool = True
    ) -> torch.Tensor:
        """relu(convolution + bias + added), each where wanted: (B, C, H, W) -> (B, D, H, W), channels last."""
        maps = maps.permute(0, 2, 3, 1)  # (B, C, H, W) -> (B, H, W, C)
        images, height, width, _ = maps.shape
        side = 2 * self.dilation
        rows, columns = num_blocks(height, self.dilation), num_blocks(width, self.dilation)
        out = maps.new_empty(images, rows, 2, self.dilation, columns, 2, self.dilation, len(self.bias))
        tiles_of_row = columns * self.dilation**2
        images_at_once = max(1, TILES_AT_ONCE // (tiles_of_row * rows))
        rows_at_once = even_share(rows, max(1, TILES_AT_ONCE // tiles_of_row))
        for start in range(0, images, images_at_once):
            for row in range(0, rows, rows_at_once):
                part = out[start : start + images_at_once, row : row + rows_at_once]
                above = side * row - self.dilation
                below = above + side * (part.shape[1] + 1)
                cells = maps[start : start + images_at_once, max(above, 0) : below]
                right = side * columns + self.dilation - width
                outside = (0, 0, self.dilation, right, max(-above, 0), max(below - height, 0))
                self._convolve_blocks(F.pad(cells, outside).contiguous(), part, relu and added is None, bias)
        out = out.view(images, side * rows, side * columns, len(self.bias))
        out = out[:, :height, :width].contiguous().permute(0, 3, 1, 2)  # -> (B, D, H, W)
        if added is not None:
            out += added
            out = F.relu(out, inplace=True) if relu else out
        return out

    def _convolve_blocks(self, cells: torch.Tensor, out: torch.Tensor, relu: bool, bias: bool) -> None:
        """
        Fills `out` (B, I, 2, dilation, J, 2, dilation, D) from the cells (B, H', W', C) of these blocks and of half a
        block around them.
        """
        images, rows, _, dilation, columns, _, _, _ = out.shape
        channels = cells.shape[-1]
        # B' d B: first along the rows, then along the columns
        blocks = cells.view(images, rows + 1, 2, dilation, -1, channels)  # (B, H', W', C) -> (B, I + 1, 2, ., W', C)
        half = cells.new_empty(4, images, rows, dilation, *cells.shape[2:])
        spread((blocks[:, :-1, 0], blocks[:, :-1, 1], blocks[:, 1:, 0], blocks[:, 1:, 1]), half)
        blocks = half.view(4, -1, columns + 1, 2, dilation, channels)  # -> (4, B * I * dilation, J + 1, 2, ., C)
        spread_cells = cells.new_empty(4, 4, blocks.shape[1], columns, dilation, channels)
        blocks = blocks[:, :, :-1, 0], blocks[:, :, :-1, 1], blocks[:, :, 1:, 0], blocks[:, :, 1:, 1]
        spread(blocks, spread_cells.transpose(0, 1))
        products = torch.bmm(spread_cells.view(16, -1, channels), self.kernel)  # (16, N, C), (16, C, D) -> (16, N, D)
        if bias:
            products[5] += self.bias  # A' and A bring the value at (1, 1) to all four cells
        # A' m A: first along the rows, then along the columns
        half = products.new_empty(2, 4, *products.shape[1:])
        collect(products.view(4, 4, *products.shape[1:]), half)
        places = out.permute(5, 2, 0, 1, 3, 4, 6, 7)  # -> (2, 2, B, I, dilation, J, dilation, D), columns first
        collect(half.transpose(0, 1).unflatten(2, (images, rows, dilation, columns, dilation)), places)
        if relu:
            out.clamp_(min=0)


def spread(values: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
    """B' d along one axis: four values to four, `out` (4, ...)."""
    first, second, third, fourth = values
    torch.sub(first, third, out=out[0])
    torch.add(second, third, out=out[1])
    torch.sub(third, second, out=out[2])
    torch.sub(second, fourth, out=out[3])


def collect(values: torch.Tensor, out: torch.Tensor) -> None:
    """A' m along one axis: values (4, ...) to `out` (2, ...)."""
    first, second, third, fourth = values
    torch.add(second, third, out=out[0]).add_(first)
    torch.sub(second, third, out=out[1]).sub_(fourth)


def even_share(number: int, most: int) -> int:
    """How many at once, at most `most`, so that all turns are about as long."""
    return -(-number // -(-number // most))
