"""
What LSTM-CNN keeps of images and of expressions.

B images, N expressions, L LSTM state, M hidden layer, (H, W) input, (h, w) feature grid.
"""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput


@dataclass
class LstmCnnImageFeatures(ModelOutput):
    """
    Everything about B images that needs no words; reusable for any number of expressions.

    Args:
        fusion: (B, M, h, w), what image and position add to the hidden layer of the classifier.
        input_size: (H, W) of the network's input.
    """

    fusion: torch.FloatTensor | None = None
    input_size: tuple[int, int] | None = None


@dataclass
class LstmCnnTextFeatures(ModelOutput):
    """
    Everything about N expressions that needs no image.

    Args:
        expression: (N, L), the normalized last state of the LSTM.
    """

    expression: torch.FloatTensor | None = None


__all__ = ["LstmCnnImageFeatures", "LstmCnnTextFeatures"]
