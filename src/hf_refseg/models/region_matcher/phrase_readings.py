"""
How well a phrase fits what is known without words: a region, a pair of regions, or a place in an order.

B images of up to R regions, N expressions whose phrases are (N, E + 2H); C and P channels in which a phrase meets a
region and a pair of regions.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ...layers.image_index import places_in_images
from .region_places import RANKED

ORDINALS, ORDINAL_WIDTH = 5, 0.35  # first to fifth; a number of others that is further from the right one does not fit
SIDEWAYS, MIDDLE_WIDTH = 2, 0.7  # of the values of `RANKED` the first two know a middle: as many before as after
LEAST_ORDER = 0.02  # what has another place may still be meant: some of the others are not found


class Meeting(nn.Module):
    """
    How well a region fits a phrase, by a sum and a product of both: (B, R, V) and (N, E + 2H) -> (N, R).

    The side of the region needs no words and is computed once per image.
    """

    def __init__(self, thing_size: int, phrase_size: int, size: int, dropout: float):
        super().__init__()
        self.thing = nn.Linear(thing_size, 2 * size)
        self.phrase = nn.Linear(phrase_size, 2 * size)
        self.score = nn.Linear(size, 1)
        self.dropout = nn.Dropout(dropout)

    def encode(self, things: torch.Tensor) -> torch.Tensor:
        """(..., R, V) -> (..., R, 2C)."""
        return self.thing(things)

    def forward(self, things: torch.Tensor, phrases: torch.Tensor) -> torch.Tensor:
        """(N, R, 2C) as of `encode`, and (N, E + 2H) -> (N, R)."""
        (sums, products), (added, factors) = things.chunk(2, -1), self.phrase(self.dropout(phrases)).chunk(2, -1)
        met = F.relu(sums + added[:, None] + products * factors[:, None])  # -> (N, R, C)
        # -> (N, C), channels are left out
        read = F.dropout(self.score.weight.expand(phrases.shape[0], -1), self.dropout.p, self.training)
        return torch.einsum("nrc,nc->nr", met, read) + self.score.bias


class PairReading(nn.Module):
    """
    How well a pair of regions fits a phrase: features of the pair, weighed as the phrase asks.

    There are R * R pairs of each image. So their features are made without words, and all that is left to do for an
    expression is a product.
    """

    def __init__(self, pair_size: int, phrase_size: int, size: int, dropout: float):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(pair_size, size), nn.ReLU(), nn.Linear(size, size), nn.ReLU())
        self.weights = nn.Linear(phrase_size, size + 1)
        self.dropout = nn.Dropout(dropout)

    def encode(self, pairs: torch.Tensor) -> torch.Tensor:
        """(B, R, R, V) -> (B, R, R, P)."""
        return self.features(pairs)

    def forward(self, pairs: torch.Tensor, phrases: torch.Tensor, image_index: torch.Tensor) -> torch.Tensor:
        """(B, R, R, P) as of `encode`, (N, E + 2H) and (N,) -> (N, R, R)."""
        asked = self.weights(self.dropout(phrases))  # -> (N, P + 1)
        weights, bias = self.dropout(asked[:, :-1]), asked[:, -1]
        # one product for all expressions of an image, L at most, for a copy of its features for each costs more
        places, most = places_in_images(image_index)
        lines = weights.new_zeros(len(pairs), most, weights.shape[1])  # (B, L, P)
        lines = lines.index_put((image_index, places), weights)
        scores = lines @ pairs.flatten(1, 2).mT  # (B, L, P) and (B, R * R, P) -> (B, L, R * R)
        own = scores[image_index, places].unflatten(1, pairs.shape[1:3])  # -> (N, R, R)
        return own + bias[:, None, None]


class OrderReading(nn.Module):
    """
    How well the place of a region in an order fits a phrase such as "third from the left".

    A direction and a number are read apart from each other. So "third from the bottom" is understood where the training
    had "third from the left" and "second from the bottom". MAttNet has nothing like it.
    """

    def __init__(self, phrase_size: int, dropout: float):
        super().__init__()
        self.direction = nn.Linear(phrase_size, 2 * len(RANKED) + SIDEWAYS)
        self.number = nn.Linear(phrase_size, ORDINALS)
        self.weight = nn.Linear(phrase_size, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, before: torch.Tensor, after: torch.Tensor, phrases: torch.Tensor) -> torch.Tensor:
        """2 x (N, 5, R) as of `numbers_beside`, and (N, E + 2H) -> (N, R)."""
        phrases = self.dropout(phrases)
        directions = self.direction(phrases).softmax(1)  # -> (N, 12)
        numbers = self.number(phrases).softmax(1)  # -> (N, 5)
        ordinals = torch.arange(ORDINALS, device=phrases.device).to(phrases)[:, None]
        others = torch.cat([before, after], 1)[:, :, None]  # -> (N, 10, 1, R)
        ordered = torch.einsum("nkor,no->nkr", near(others - ordinals, ORDINAL_WIDTH), numbers)  # -> (N, 10, R)
        middle = near(before[:, :SIDEWAYS] - after[:, :SIDEWAYS], MIDDLE_WIDTH)  # -> (N, 2, R)
        fit = torch.einsum("nkr,nk->nr", torch.cat([ordered, middle], 1), directions)  # -> (N, R)
        return F.softplus(self.weight(phrases)) * (fit + LEAST_ORDER).log()


def near(distance: torch.Tensor, width: float) -> torch.Tensor:
    """1 at no distance, and nearly 0 from three widths on."""
    return (-(distance / width).square() / 2).exp()


__all__ = ["Meeting", "OrderReading", "PairReading"]
