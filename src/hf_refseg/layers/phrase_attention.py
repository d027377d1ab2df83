"""Which words of an expression one module listens to (MAttNet, Eq. 2 and 3)."""

import torch
from torch import nn


class PhraseAttention(nn.Module):
    """A softmax over the words of an expression, and the mean of their vectors under it."""

    def __init__(self, context_size: int):
        super().__init__()
        self.score = nn.Linear(context_size, 1)

    def forward(
        self, context: torch.Tensor, embedded: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            context: (N, T, C), the LSTM's state at each word, which decides.
            embedded: (N, T, E), the vectors that are averaged.
            attention_mask: (N, T) bool, False at padding.

        Returns:
            (N, T) weights, zero at padding, and (N, E) phrases. An expression without words has a phrase of zeros.
        """
        scores = self.score(context)[..., 0]  # (N, T, C) -> (N, T)
        # Equal to the original's softmax over all positions, zeroed at padding and divided by its sum.
        attention = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min).softmax(1) * attention_mask
        return attention, torch.einsum("nt,nte->ne", attention, embedded)
