"""
3x3 convolutions with a quarter of the products: Winograd's filters F(4x4, 3x3) (Lavin and Gray, CVPR 2016).

The output is made in tiles of 4x4 cells, each from 6x6 cells of the input (Sec. 4.1): Y = A' ((G g G') * (B' d B)) A.
That takes 36 products per tile and pair of channels, where the definition takes 144. The sums over the channels are 36
matrix products. In dilated convolutions, a tile takes every `dilation`-th cell.

A, B and G come from the values of polynomials at six points. Lavin and Gray take 0, 1, -1, 2, -2 and infinity, whose
rounding errors are several times those of ours: 0, a, -a, b, -b and infinity with a = sqrt(1/2) and b = sqrt(2). They
cost less than a digit of float32 (tests/layers/test_winograd.py).

B images, C and D channels, (H, W) maps, I x J blocks of 4 * dilation cells a side, each with dilation^2 tiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .add_and_rectify import add_and_rectify
from .packed_matrix import PackedMatrix

TILE, WINDOW = 4, 6  # cells a side of what a tile makes, and of what it reads
FEWEST_CHANNELS = 128  # with fewer, adding takes as long as what is saved
FEWEST_TILES = 32  # with fewer, reading the matrices takes as long
MOST_WASTE = 1.5  # cells of the blocks per cell of the maps; crops of 7x7 in blocks of 8x8 are worth it
VALUES_AT_ONCE = 2**16  # tiles times channels whose values stay in the cache of the processor
ROOT = 2**0.5  # b; a is half of it
G = (
    (1, 0, 0),
    (-2 / 3, -ROOT / 3, -1 / 3),
    (-2 / 3, ROOT / 3, -1 / 3),
    (1 / 6, ROOT / 6, 1 / 3),
    (1 / 6, -ROOT / 6, 1 / 3),
    (0, 0, 1),
)


def winograd_pays(
    kernel: Sequence[int], stride: int, padding: int, dilation: int, groups: int, maps: Sequence[int]
) -> bool:
    """Whether a convolution of maps (B, C, H, W) with a kernel (D, C, k, k), sizes both, is faster this way."""
    if (tuple(kernel[2:]), stride, padding, groups) != ((3, 3), 1, dilation, 1) or min(kernel[:2]) < FEWEST_CHANNELS:
        return False
    images, _, height, width = maps
    tiles = dilation**2 * num_blocks(height, dilation) * num_blocks(width, dilation)
    return images * tiles >= FEWEST_TILES and TILE**2 * tiles <= MOST_WASTE * height * width


def num_blocks(length: int, dilation: int) -> int:
    """Blocks along an axis; the last may reach over the border."""
    return -(-length // (TILE * dilation))


@dataclass(frozen=True)
class WinogradKernel:
    """
    Transformed kernel, six lines of six matrices (D, C), and bias (D,) of a 3x3 convolution with stride 1, padded by
    its dilation.

    It does what [`PackedKernel`] does.
    """

    matrices: Sequence[Sequence[PackedMatrix]]
    bias: torch.Tensor
    dilation: int

    @classmethod
    def of(cls, kernel: torch.Tensor, bias: torch.Tensor, dilation: int) -> "WinogradKernel":
        """From the kernel (D, C, 3, 3) as it is trained."""
        g = torch.tensor(G, dtype=torch.float64)
        transformed = torch.einsum("ar,dcrs,bs->abdc", g, kernel.double(), g)  # G g G': (D, C, 3, 3) -> (6, 6, D, C)
        lines = transformed.to(kernel.dtype).contiguous()
        return cls([[PackedMatrix.of(matrix) for matrix in line] for line in lines], bias, dilation)

    def convolve(
        self, maps: torch.Tensor, added: torch.Tensor | None = None, slope: float | None = None, bias: bool = True
    ) -> torch.Tensor:
        """
        rectify(convolution + bias + added), each where wanted: (B, C, H, W) -> (B, D, H, W), channels last; `slope` as
        of [`PackedKernel`]'s.
        """
        maps = maps.permute(0, 2, 3, 1)  # (B, C, H, W) -> (B, H, W, C)
        added = None if added is None else added.permute(0, 2, 3, 1)  # (B, D, H, W) -> (B, H, W, D)
        images, height, width, channels = maps.shape
        side = TILE * self.dilation
        rows, columns = num_blocks(height, self.dilation), num_blocks(width, self.dilation)
        out = maps.new_empty(images, height, width, len(self.bias))
        tiles_of_row = columns * self.dilation**2
        tiles_at_once = VALUES_AT_ONCE // channels
        images_at_once = even_share(images, tiles_at_once // (tiles_of_row * rows))
        height_at_once = side * even_share(rows, tiles_at_once // tiles_of_row)
        right = side * columns + self.dilation - width
        for start in range(0, images, images_at_once):
            for top in range(0, height, height_at_once):
                part = slice(start, start + images_at_once), slice(top, top + height_at_once)
                bottom = min(top + height_at_once, side * rows)
                above, below = top - self.dilation, bottom + self.dilation
                outside = (0, 0, self.dilation, right, max(-above, 0), max(below - height, 0))
                cells = F.pad(maps[part[0], max(above, 0) : below], outside).contiguous()
                blocks = self._convolve_blocks(cells)
                place = out[part]
                blocks = blocks[:, : place.shape[1], :width]  # the last blocks may reach over the border
                torch.add(blocks, self.bias if bias else 0, out=place)
                add_and_rectify(place, None if added is None else added[part], slope)
        return out.permute(0, 3, 1, 2)  # (B, H, W, D) -> (B, D, H, W)

    def _convolve_blocks(self, cells: torch.Tensor) -> torch.Tensor:
        """
        Without bias: (B, 4I + 2, 4J + 2, C) -> (B, 4I, 4J, D), sides in units of `dilation` cells. The input has
        `dilation` cells around the blocks.
        """
        images, channels, dilation, size = len(cells), cells.shape[-1], self.dilation, len(self.bias)
        rows, columns = (length // (TILE * dilation) for length in cells.shape[1:3])
        num_tiles = images * rows * dilation * columns * dilation  # N
        # B' d B: first along the rows
        windows = cells.new_empty(WINDOW, images, rows, dilation, *cells.shape[2:])
        spread(windows_along(cells, 1, dilation).permute(4, 0, 1, 5, 2, 3), windows)
        windows = windows.flatten(1, 3)  # (6, B, I, dilation, W', C) -> (6, B * I * dilation, W', C)
        values = cells.new_empty(WINDOW, windows.shape[1], columns, dilation, channels)
        half = cells.new_empty(TILE, WINDOW, num_tiles, size)
        for line, matrices in enumerate(self.matrices):
            # then along the columns, and back along them after the products, while all this is in the cache
            spread(windows_along(windows[line], 1, dilation).permute(3, 0, 1, 4, 2), values)
            factors = values.view(WINDOW, num_tiles, channels)
            products = [matrix.times(factor) for matrix, factor in zip(matrices, factors, strict=True)]  # (N, D) each
            collect(products, half[:, line])
        # A' m A: now along the rows
        out = cells.new_empty(images, rows, TILE, dilation, columns, TILE, dilation, size)
        places = out.permute(2, 5, 0, 1, 3, 4, 6, 7)  # -> (4, 4, B, I, dilation, J, dilation, D), rows first
        half = half.unflatten(2, (images, rows, dilation, columns, dilation))
        collect(half.unbind(1), places)
        return out.flatten(4, 6).flatten(1, 3)  # (B, I, 4, dilation, J, 4, dilation, D) -> (B, 4I, 4J, D)


def windows_along(cells: torch.Tensor, axis: int, dilation: int) -> torch.Tensor:
    """A view of the six cells that each tile reads along an axis: (..., L, ...) -> (..., blocks, ..., 6, dilation)."""
    return cells.unfold(axis, WINDOW * dilation, TILE * dilation).unflatten(-1, (WINDOW, dilation))


def spread(cells: torch.Tensor, out: torch.Tensor) -> None:
    """B' d along one axis: cells (6, ...) to `out` (6, ...)."""
    first, second, third, fourth, fifth, sixth = cells
    torch.add(first, fifth, out=out[0]).sub_(third, alpha=2.5)
    even, odd = torch.sub(fifth, third, alpha=2), torch.sub(fourth, second, alpha=2)
    torch.add(even, odd, alpha=ROOT / 2, out=out[1])
    torch.sub(even, odd, alpha=ROOT / 2, out=out[2])
    torch.sub(fifth, third, alpha=0.5, out=even)
    torch.sub(fourth, second, alpha=0.5, out=odd)
    torch.add(even, odd, alpha=ROOT, out=out[3])
    torch.sub(even, odd, alpha=ROOT, out=out[4])
    torch.add(second, sixth, out=out[5]).sub_(fourth, alpha=2.5)


def collect(values: Sequence[torch.Tensor], out: torch.Tensor) -> None:
    """A' m along one axis: six values to `out` (4, ...)."""
    first, second, third, fourth, fifth, sixth = values
    inner_sum, inner_difference = second + third, second - third
    outer_sum, outer_difference = fourth + fifth, fourth - fifth
    torch.add(first, inner_sum, out=out[0]).add_(outer_sum)
    torch.add(inner_difference, outer_difference, alpha=2, out=out[1]).mul_(ROOT / 2)
    torch.add(inner_sum, outer_sum, alpha=4, out=out[2]).mul_(0.5)
    torch.add(sixth, inner_difference, alpha=ROOT / 4, out=out[3]).add_(outer_difference, alpha=2 * ROOT)


def even_share(number: int, most: int) -> int:
    """How many at once, at most `most` but at least 1, so that all turns are about as long."""
    return -(-number // -(-number // max(1, most))) if number else 1
