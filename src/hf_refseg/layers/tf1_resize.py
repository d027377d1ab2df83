"""TensorFlow 1's bilinear resize: corners not aligned and no half-pixel centers, so `src = dst * in / out`."""

import torch
import torch.nn.functional as F


def resize_bilinear_tf1(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """
    Resize (B, C, h, w) maps to (B, C, H, W) as `tf.image.resize_bilinear(align_corners=False)` of TensorFlow 1 does.

    Enlarging by a whole factor k hits cell i exactly at row k*i, and the last k-1 rows repeat the last cell;
    shrinking by a whole factor is plain subsampling (binary masks stay binary). Not the half-pixel resize of
    `F.interpolate(align_corners=False)`: the two differ by up to half a cell.
    """
    height, width = size
    in_height, in_width = maps.shape[-2:]
    if in_height % height == 0 and in_width % width == 0:
        return maps[..., :: in_height // height, :: in_width // width]  # (B, C, h, w) -> (B, C, H, W)
    return enlarge_bilinear_tf1(maps, size)


def enlarge_bilinear_tf1(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The same for a `size` that is no whole fraction of the maps'; a graph may be traced for sizes not known yet."""
    height, width = size
    # One repeated row and column turn `dst * in / out` into the aligned-corner grid of a map one cell larger.
    maps = F.pad(maps, (0, 1, 0, 1), mode="replicate")  # (B, C, h, w) -> (B, C, h + 1, w + 1)
    maps = F.interpolate(maps, size=(height + 1, width + 1), mode="bilinear", align_corners=True)
    return maps[..., :height, :width]  # (B, C, H + 1, W + 1) -> (B, C, H, W)
