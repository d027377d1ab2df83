"""
What RMI keeps of images and of expressions, and what its paper draws.

B images, N expressions, T words, D multimodal state, (H, W) input, (h, w) feature grid.
"""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput


@dataclass
class RmiImageFeatures(ModelOutput):
    """
    Everything about B images that needs no words; reusable for any number of expressions.

    Args:
        visual_gates: (B, 4D, h, w), what image and position add to the gates of the multimodal LSTM.
        input_size: (H, W) of the network's input.
    """

    visual_gates: torch.FloatTensor | None = None
    input_size: tuple[int, int] | None = None


@dataclass
class RmiTextFeatures(ModelOutput):
    """
    Everything about N expressions that needs no image.

    Args:
        word_gates: (N, T, 4D), what each word and the sentence up to it add to the gates of every cell.
        attention_mask: (N, T) bool, False on padding.
    """

    word_gates: torch.FloatTensor | None = None
    attention_mask: torch.BoolTensor | None = None

    def at(self, rows, steps) -> torch.Tensor:
        """What the words at these rows and steps, n of them, add to the gates: (N, T, 4D) -> (n, 4D, 1, 1)."""
        return self.word_gates[rows, steps][:, :, None, None]

    def added_to(self, visual_gates: torch.Tensor, rows, steps, band: slice) -> torch.Tensor:
        """What image and word add to the gates in a band of the grid's rows: (n, 4D, h', w) -> (n, 4D, h', w)."""
        return visual_gates + self.at(rows, steps)


@dataclass
class RmiExplanation(ModelOutput):
    """
    What the paper draws (Fig. 5).

    Args:
        word_maps: (T, N, h, w), the mean multimodal state of each cell after each word.
    """

    word_maps: torch.FloatTensor | None = None


__all__ = ["RmiExplanation", "RmiImageFeatures", "RmiTextFeatures"]
