"""
Spatial-aware dynamic filters (Chen et al., BMVC 2019): the words make seven filters, and each looks at one part of the
image, so that "left" can mean the left half.

B images, N expressions, F filters, C channels, (h, w) feature map, H state of the LSTM over words.
"""

import torch
from torch import nn

from ...layers.spatial_coordinates import NUM_COORDINATES, spatial_coordinates
from .configuration_cac import CacConfig
from .outputs_cac import CacTextFeatures

# The part of the map that a filter looks at, in quarters of its height and width: top, bottom, left and right.
QUARTERS = {
    "whole": (0, 4, 0, 4),
    "up": (0, 2, 0, 4),
    "down": (2, 4, 0, 4),
    "left": (0, 4, 0, 2),
    "right": (0, 4, 2, 4),
    "horizontal": (1, 3, 0, 4),
    "vertical": (0, 4, 1, 3),
}


def part_of_map(name: str, height: int, width: int) -> tuple[int, int, int, int]:
    """
    The cells of a map of (height, width) that a filter looks at: (top, bottom, left, right), bottom and right outside.

    Halves and quarters of odd sizes are rounded down, as in the original: of five rows, two are "up" and three "down".
    """
    sides = (height, height, width, width)
    return tuple(side * quarters // 4 for side, quarters in zip(sides, QUARTERS[name], strict=True))


def part_masks(
    filters: tuple[str, ...], sizes: list[tuple[int, int]], canvas: tuple[int, int], device: torch.device
) -> torch.Tensor:
    """
    Where each filter looks: (B, F, h, w) bool.

    Args:
        filters: names of the F filters.
        sizes: (height, width) of each image's map; cells beyond it belong to no part.
        canvas: (h, w) of the maps in the batch.
    """
    quarters = torch.tensor([QUARTERS[name] for name in filters], device=device)
    top, bottom, left, right = quarters[..., None, None].unbind(1)  # (F, 4) -> 4 x (F, 1, 1)
    y = 4 * torch.arange(1, canvas[0] + 1, device=device)[:, None]  # the lower end of each cell, in quarters of one
    x = 4 * torch.arange(1, canvas[1] + 1, device=device)
    # in whole numbers of quarters, for a size may not be known yet while a graph is traced
    masks = [
        (y > height * top) & (y <= height * bottom) & (x > width * left) & (x <= width * right)  # -> (F, h, w)
        for height, width in sizes
    ]
    return torch.stack(masks)


def map_coordinates(sizes: list[tuple[int, int]], canvas: tuple[int, int], like: torch.Tensor) -> torch.Tensor:
    """Eight coordinates of every cell of each image's own map, zeros beyond it: (B, 8, h, w) as `like`."""
    coordinates = like.new_zeros(len(sizes), NUM_COORDINATES, *canvas)
    for of_image, (height, width) in zip(coordinates, sizes, strict=True):
        of_image[:, :height, :width] = spatial_coordinates(height, width, like.device, like.dtype)
    return coordinates


class SpatialFilters(nn.Module):
    """Filters and their weights, made of an expression, and what they find on a feature map."""

    def __init__(self, config: CacConfig, channels: int):
        super().__init__()
        self.names = tuple(config.filters)
        self.coordinates = config.coordinates
        filter_size = channels + NUM_COORDINATES * config.coordinates
        self.filters = nn.ModuleDict({name: nn.Linear(2 * config.hidden_size, filter_size) for name in self.names})
        self.fusion = nn.Linear(2 * config.hidden_size, len(self.names)) if len(self.names) > 1 else None

    def make_filters(self, sentence: torch.Tensor) -> CacTextFeatures:
        """
        f_i = tanh(W_i s + b_i) for each part of the map, and the weights g = tanh(W s + b) that fuse their responses.

        Args:
            sentence: (N, 2H), s.
        """
        filters = torch.stack([layer(sentence) for layer in self.filters.values()], 1).tanh()  # F x (N, C) -> (N, F, C)
        weights = sentence.new_ones(sentence.shape[0], 1) if self.fusion is None else self.fusion(sentence).tanh()
        return CacTextFeatures(filters=filters, weights=weights)

    def forward(
        self, text: CacTextFeatures, maps: torch.Tensor, sizes: list[tuple[int, int]], image_index: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        R_i = f_i * V in the part i of the map, and zero outside of it; R = sum_i g_i R_i.

        Args:
            text: of N expressions.
            maps: (B, C, h, w), V; zeros beyond the map of an image that is smaller than the batch.
            sizes: (height, width) of each image's map.
            image_index: (N,) image of each expression.

        Returns:
            R (N, h, w) logits and R_i (N, F, h, w).
        """
        canvas = tuple(maps.shape[-2:])
        if self.coordinates:
            maps = torch.cat([maps, map_coordinates(sizes, canvas, maps)], 1)  # -> (B, C + 8, h, w)
        parts = part_masks(self.names, sizes, canvas, maps.device)[image_index]  # (B, F, h, w) -> (N, F, h, w)
        responses = torch.einsum("nfc,nchw->nfhw", text.filters, maps[image_index]) * parts
        return torch.einsum("nf,nfhw->nhw", text.weights, responses), responses
