"""The LSTM over words that Hu et al. 2016 and Liu et al. 2017 share."""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init


def lstm_cell(gates: torch.Tensor, cell: torch.Tensor, dim: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """One step of an LSTM from the four pre-activations (input, forget, candidate, output) stacked along `dim`."""
    input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim)  # (N, 4D, ...) -> 4 x (N, D, ...)
    cell = cell * forget_gate.sigmoid() + input_gate.sigmoid() * candidate.tanh()
    return cell.tanh() * output_gate.sigmoid(), cell


def forget_bias(hidden_size: int) -> torch.Tensor:
    """Bias (4D,) of a new LSTM: 1 on the forget gate, which BasicLSTMCell adds at run time, 0 elsewhere."""
    bias = torch.zeros(4 * hidden_size)
    bias[hidden_size : 2 * hidden_size] = 1
    return bias


class WordLstm(nn.Module):
    """
    One LSTM layer over left-padded words that leaves the state untouched at padded steps, in every sample alone.

    There is one bias, as in TensorFlow's BasicLSTMCell (torch's LSTM trains two, which doubles an Adam step); the
    forget bias 1.0 that BasicLSTMCell adds at run time lies in it. Gates are in torch's order: input, forget,
    candidate, output.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size))

    def initialize(self):
        """Glorot uniform over the whole kernel, of which BasicLSTMCell stores both parts as one matrix."""
        limit = (6 / (self.weight_ih.shape[1] + self.hidden_size + 4 * self.hidden_size)) ** 0.5
        init.uniform_(self.weight_ih, -limit, limit)
        init.uniform_(self.weight_hh, -limit, limit)
        init.copy_(self.bias, forget_bias(self.hidden_size))

    def forward(
        self, words: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            words: (N, T, E) word embeddings.
            attention_mask: (N, T), 0 where the step is skipped; None runs every step, as Hu's code does.

        Returns:
            (N, T, D) the hidden state after each step, and (N, T, D) the cell state.
        """
        batch, steps, _ = words.shape
        inputs = F.linear(words, self.weight_ih, self.bias)  # (N, T, E) -> (N, T, 4D)
        hidden = cell = words.new_zeros(batch, self.hidden_size)
        has_words = [True] * steps
        if attention_mask is not None and words.device.type == "cpu" and not torch.compiler.is_compiling():
            has_words = attention_mask.any(0).tolist()  # (N, T) -> (T,); reading it would stall a GPU
        hidden_states, cell_states = [], []
        for step in range(steps):
            if has_words[step]:
                new_hidden, new_cell = lstm_cell(inputs[:, step] + F.linear(hidden, self.weight_hh), cell)
            if attention_mask is None:
                hidden, cell = new_hidden, new_cell
            elif has_words[step]:
                keep = attention_mask[:, step, None].bool()  # (N, T) -> (N, 1)
                hidden, cell = torch.where(keep, new_hidden, hidden), torch.where(keep, new_cell, cell)
            hidden_states.append(hidden)
            cell_states.append(cell)
        return torch.stack(hidden_states, 1), torch.stack(cell_states, 1)  # T x (N, D) -> (N, T, D)
