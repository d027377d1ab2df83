r"""
What the detections of one image say at each place of it, as maps with one channel per category, or per attribute.

Channel k at a place is the largest value of all detections of k that cover the place, else 0: of a category the score
of the detection, of an attribute its probability. Each channel is then scaled to mean 0 and variance 1 over the image,
without a shift, so that the channel of a category that was not detected stays 0.

There would be 1,272 maps of categories and 593 of attributes, but two things are known beforehand. Channels of what was
not detected are 0 and add nothing; they are not made. And a place matters only by which detections cover it: the places
that the same detections cover form one cell, and everything is computed once per cell. Nothing is approximated.

R detections, (h, w) the grid of places, Q cells, D channels, P values of detections, N maps.
"""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput

EPSILON = 1e-5
BITS = 62  # detections whose cover fits into one int64
NUMBERS_AT_ONCE = 2**20  # of what detections say in every cell, at most, before the largest is taken


@dataclass
class DetectionCells(ModelOutput):
    """
    The cells of one image.

    Args:
        index: (h, w) int64, the cell of each place.
        sizes: (Q,) float32, how many places a cell has.
        covered: (R, Q) float32 in {0, 1}, which detections cover it.
    """

    index: torch.LongTensor | None = None
    sizes: torch.FloatTensor | None = None
    covered: torch.FloatTensor | None = None

    @classmethod
    def of_masks(cls, masks: torch.Tensor) -> "DetectionCells":
        """The cells of R masks (R, h, w) bool; a single one without any mask."""
        places = masks.flatten(1)  # (R, h, w) -> (R, hw)
        index = torch.zeros(places.shape[1], dtype=torch.long, device=masks.device)
        sizes = torch.full_like(index[:1], len(index))
        for some in places.split(BITS) if len(places) else ():
            bits = torch.zeros_like(index)
            for mask in some:
                bits = bits * 2 + mask
            bits = bits.unique(return_inverse=True)[1]
            _, index, sizes = (index * len(index) + bits).unique(return_inverse=True, return_counts=True)
        # any place of a cell can speak for it
        speaker = torch.zeros_like(sizes).scatter(0, index, torch.arange(len(index), device=index.device))
        return cls(index.view(masks.shape[1:]), sizes.float(), places.index_select(1, speaker).float())

    @classmethod
    def of_places(cls, masks: torch.Tensor) -> "DetectionCells":
        """Every place a cell of its own: for exported graphs, where no size may depend on what is in a photo."""
        places = masks.flatten(1).float()  # (R, h, w) -> (R, hw)
        index = torch.arange(places.shape[1], device=masks.device)
        return cls(index.view(masks.shape[1:]), torch.ones_like(index, dtype=torch.float32), places)

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """From cells to places: (N, Q) -> (N, h, w)."""
        return values.index_select(1, self.index.flatten()).unflatten(1, self.index.shape)

    def mean_inside(self, maps: torch.Tensor) -> torch.Tensor:
        """The mean of maps (N, h, w) inside each detection: (N, R); 0 for one that covers nothing."""
        sums = maps.new_zeros(maps.shape[0], self.sizes.shape[0])
        sums = sums.index_add(1, self.index.flatten(), maps.flatten(1))  # (N, hw) -> (N, Q)
        return sums @ self.covered.mT / (self.covered @ self.sizes).clamp(min=1)  # (N, Q) x (Q, R) -> (N, R)


@dataclass
class DetectionChannels(ModelOutput):
    """
    The channels that are not 0.

    Args:
        index: (D,) int64, category or attribute of each.
        maps: (D, Q) float32, the largest value in each cell.
        mean, deviation: (D,) over the image.
    """

    index: torch.LongTensor | None = None
    maps: torch.FloatTensor | None = None
    mean: torch.FloatTensor | None = None
    deviation: torch.FloatTensor | None = None

    @classmethod
    def of_values(
        cls, cells: DetectionCells, detections: torch.Tensor, channels: torch.Tensor, values: torch.Tensor
    ) -> "DetectionChannels":
        """
        Args:
            cells: of R detections.
            detections: (P,) int64, whose value it is.
            channels: (P,) int64, of which category or attribute.
            values: (P,), all of at least 0.
        """
        index, rows = channels.unique(return_inverse=True)
        maps = cells.covered.new_zeros(index.shape[0], cells.sizes.shape[0])
        step = max(1, NUMBERS_AT_ONCE // cells.index.numel())
        for start in range(0, len(values), step):
            some = slice(start, start + step)
            worth = values[some, None].float() * cells.covered.index_select(0, detections[some])  # -> (P, Q)
            maps.scatter_reduce_(0, rows[some, None].expand_as(worth), worth, "amax")  # (P, Q) -> (D, Q)
        return cls.of_maps(cells, index, maps)

    @classmethod
    def of_maps(cls, cells: DetectionCells, index: torch.Tensor, maps: torch.Tensor) -> "DetectionChannels":
        """Category or attribute of each channel (D,), and its largest value in each cell (D, Q)."""
        share = cells.sizes / cells.sizes.sum()
        mean = maps @ share  # (D, Q) -> (D,)
        variance = (maps - mean[:, None]).square() @ share  # (D, Q) -> (D,)
        return cls(index, maps, mean, (variance + EPSILON).sqrt())

    def weighted_sum(self, weights: torch.Tensor) -> torch.Tensor:
        """The sum of the scaled channels with a weight each: (N, D) -> (N, Q)."""
        weights = weights / self.deviation
        return weights @ self.maps - (weights @ self.mean)[:, None]  # (N, D) x (D, Q) -> (N, Q)


__all__ = ["DetectionCells", "DetectionChannels"]
