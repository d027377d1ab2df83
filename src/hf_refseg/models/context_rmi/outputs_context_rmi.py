"""
What RMI with context keeps beyond RMI's own, of images and of expressions.

B images, N expressions, T words, V visual and word channels, D multimodal state, (h, w) feature grid.
"""

from dataclasses import dataclass

import torch

from ..rmi.outputs_rmi import RmiImageFeatures, RmiTextFeatures


@dataclass
class ContextRmiImageFeatures(RmiImageFeatures):
    """
    Args:
        visual: (B, V, h, w), the normalized visual feature of each cell.
        detail: (B, S, h', w'), the feature map of smaller stride; None where `config.detail_size` is 0.
    """

    visual: torch.FloatTensor | None = None
    detail: torch.FloatTensor | None = None


@dataclass
class ContextRmiTextFeatures(RmiTextFeatures):
    """
    Args:
        words: (N, T, V), the embeddings of the words.
    """

    words: torch.FloatTensor | None = None


@dataclass
class WordsInCells(RmiTextFeatures):
    """
    The words of N expressions, each with its similarity to every cell of the expression's image.

    Args:
        similarity: (N, T, h, w), the product of word and visual feature.
        similarity_gates: (4D, 1, 1), what a similarity of 1 adds to the gates of a cell.
    """

    similarity: torch.FloatTensor | None = None
    similarity_gates: torch.FloatTensor | None = None

    def at(self, rows, steps) -> torch.Tensor:
        """What the words at these rows and steps, n of them, add to the gates: (N, T, 4D) -> (n, 4D, h, w)."""
        similarity = self.similarity[rows, steps][:, None]  # (N, T, h, w) -> (n, 1, h, w)
        return torch.addcmul(super().at(rows, steps), similarity, self.similarity_gates.to(similarity.dtype))

    def added_to(self, visual_gates: torch.Tensor, rows, steps, band: slice) -> torch.Tensor:
        """The same as of one word for all cells, without maps of `at` in between."""
        similarity = self.similarity[rows, steps][:, None, band]  # (N, T, h, w) -> (n, 1, h', w)
        gates = visual_gates + super().at(rows, steps)  # (n, 4D, h', w)
        return gates.addcmul_(similarity, self.similarity_gates.to(similarity.dtype))


__all__ = ["ContextRmiImageFeatures", "ContextRmiTextFeatures", "WordsInCells"]
