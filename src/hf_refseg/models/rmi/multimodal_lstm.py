"""
The multimodal LSTM of RMI (Liu et al., ICCV 2017, Sec. 3.2): shared by all cells, it reads word by word.

Its kernel is kept as three natural parts: what an image contributes is computed once per image, what a word
contributes once per word, and only the recurrent part per cell and word. The original multiplies the whole 3508-row
kernel at each of them: 449 GFLOP instead of 71 for 20 words at 320x320, same numbers.

N expressions, n of them at a time, T words, D multimodal state, (h, w) feature grid.
"""

from collections.abc import Iterator

import torch
from torch import nn
from transformers import initialization as init

from ...layers.packed_convolution import PackedConvolution
from ...layers.recomputed_layer import RecomputedLayer
from ...layers.word_lstm import forget_bias, lstm_cell
from .outputs_rmi import RmiTextFeatures

CELLS_AT_ONCE = 400  # of the bands that `step_in_place` goes over


class MultimodalLstm(RecomputedLayer):
    """The convolutional LSTM with 1x1 kernels of Eq. 6: one cell, shared by all positions (i, j)."""

    def __init__(self, visual_size: int, word_size: int, hidden_size: int):
        super().__init__()
        self.visual_gates = nn.Conv2d(visual_size, 4 * hidden_size, 1)
        self.word_gates = nn.Linear(word_size, 4 * hidden_size, bias=False)
        self.state_gates = PackedConvolution(hidden_size, 4 * hidden_size, 1, bias=False)

    def initialize(self):
        """Glorot uniform over all parts of the kernel, one matrix in the original; biases of 1 on the forget gates."""
        parts = [part.weight for part in self.children()]
        limit = (6 / (sum(part.shape[1] for part in parts) + len(parts[0]))) ** 0.5
        for part in parts:
            init.uniform_(part, -limit, limit)
        init.copy_(self.visual_gates.bias, forget_bias(self.state_gates.in_channels))

    def step(self, visual_gates, word_gates, hidden, cell) -> tuple[torch.Tensor, torch.Tensor]:
        """The states (N, D, h, w) after one more word; gates of the images (N, 4D, h, w), of the word (N, 4D, 1, 1)."""
        return lstm_cell(visual_gates + word_gates + self.state_gates(hidden), cell)

    def step_in_place(self, visual_gates, words, rows, steps, hidden, cell, is_first: bool):
        """
        The same on the states themselves, without gradients, for the words at these rows and steps. It goes over the
        maps by bands, whose gates stay in the cache of the processor. Before the first word the state is zero.

        tanh(x) is 2 * sigmoid(2x) - 1, which takes PyTorch a third of the time.
        """
        height, width = hidden.shape[-2:]
        band_height = max(1, CELLS_AT_ONCE // width)
        for top in range(0, height, band_height):
            band = slice(top, top + band_height)
            gates = words.added_to(visual_gates[:, :, band], rows, steps, band)  # (n', 4D, h', w)
            state, memory = hidden[:, :, band], cell[:, :, band]
            if not is_first:
                gates = self.state_gates(state, added=gates)
            input_gate, forget_gate, candidate, output_gate = gates.chunk(4, 1)  # -> 4 x (n', D, h', w)
            memory.mul_(forget_gate.sigmoid_()).sub_(input_gate.sigmoid_())
            memory.addcmul_(input_gate, candidate.mul_(2).sigmoid_(), value=2)
            torch.mul(memory, 2, out=state).sigmoid_().mul_(2).sub_(1).mul_(output_gate.sigmoid_())

    def read(self, visual_gates: torch.Tensor, words: RmiTextFeatures) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """
        Yield the hidden and cell state (N, D, h, w) after each of the T words; padding leaves them as they are.
        No step depends on the values of a tensor, as GPUs and compilation want it.

        Args:
            visual_gates: (N, 4D, h, w) of the image of each expression.
        """
        batch, size, height, width = visual_gates.shape
        hidden = cell = visual_gates.new_zeros(batch, size // 4, height, width)
        for step in range(words.attention_mask.shape[1]):
            new_hidden, new_cell = self.recomputed(self.step, visual_gates, words.at(slice(None), step), hidden, cell)
            keep = words.attention_mask[:, step, None, None, None]  # (N, T) -> (N, 1, 1, 1)
            hidden, cell = torch.where(keep, new_hidden, hidden), torch.where(keep, new_cell, cell)
            yield hidden, cell

    def read_packed(
        self, visual_gates: torch.Tensor, words: RmiTextFeatures, rows: torch.Tensor
    ) -> Iterator[torch.Tensor]:
        """
        The same without the steps of padding, which cost as much as words: for CPUs.
        Without gradients it works in place.

        Args:
            visual_gates: (n, 4D, h, w) of the image of each of the `rows`.
            rows: (n,) the expressions to read, the longest first.

        Yields:
            The hidden state (n', D, h, w) of the n' first rows, those that are not at their end: before the first word,
            and after each. Without gradients the next step overwrites it.
        """
        mask = words.attention_mask[rows]
        steps = mask.int().argsort(dim=1, descending=True, stable=True)  # (n, T), those of words before padding
        num_reading = mask.sum(1)[:, None] > torch.arange(mask.shape[1])  # (n, 1) > (T,) -> (n, T)
        size = visual_gates.shape[1]
        hidden, cell = (torch.zeros_like(visual_gates[:, : size // 4]) for _ in range(2))  # in the layout of the gates
        yield hidden
        for number, reading in enumerate(num_reading.sum(0).tolist()):  # (n, T) -> (T,), falling
            if not reading:
                return
            hidden, cell = hidden[:reading], cell[:reading]
            image, read = visual_gates[:reading], (rows[:reading], steps[:reading, number])
            if torch.is_grad_enabled():
                hidden, cell = self.recomputed(self.step, image, words.at(*read), hidden, cell)
            else:
                self.step_in_place(image, words, *read, hidden, cell, is_first=number == 0)
            yield hidden


__all__ = ["MultimodalLstm"]
