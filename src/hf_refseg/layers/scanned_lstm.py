"""
The LSTMs of Hu et al. 2016 and Liu et al. 2017 as scans, for exported graphs.

A loop in Python is unrolled while a graph is traced, into one number of words. A scan stays a loop in the graph, for
any number of them, and costs as much as there are words.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from .word_lstm import WordLstm, lstm_cell

State = tuple[torch.Tensor, torch.Tensor]


def scan_steps(
    step: Callable[..., State], state: State, keep: torch.Tensor, *inputs: torch.Tensor, every: bool = False
) -> torch.Tensor:
    """
    Args:
        step: hidden and cell state and the inputs of one word -> new hidden and cell state.
        state: hidden and cell state (N, D, ...) before the first word.
        keep: (N, T) bool, False at padding, which leaves the states as they are.
        inputs: each (N, T, ...), of which a step reads (N, ...).
        every: return the hidden state after every word, not after the last one only.

    Returns:
        (N, D, ...) the hidden state after the last word, or (T, N, D, ...).
    """
    from torch._higher_order_ops.scan import scan

    def read(state: State, word: tuple[torch.Tensor, ...]):
        (hidden, cell), (is_word, *given) = state, word
        new_hidden, new_cell = step(hidden, cell, *given)
        is_word = is_word.reshape(-1, *[1] * (hidden.ndim - 1))  # (N,) -> (N, 1, ...)
        hidden, cell = torch.where(is_word, new_hidden, hidden), torch.where(is_word, new_cell, cell)
        return (hidden, cell), hidden.clone() if every else hidden.new_zeros(1)  # a scan has to collect something

    words = tuple(values.transpose(0, 1).contiguous() for values in (keep, *inputs))  # (N, T, ...) -> (T, N, ...)
    (last, _), collected = scan(read, state, words, dim=0)
    return collected if every else last


def scan_lstm(
    words: torch.Tensor, keep: torch.Tensor, weight_ih: torch.Tensor, weight_hh: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """
    The state of an LSTM after each word: (N, T, D).

    Args:
        words: (N, T, E).
        keep: (N, T) bool, False where the step is skipped.
        weight_ih, weight_hh, bias: (4D, E), (4D, D) and (4D,), the gates in torch's order.
    """
    gates = F.linear(words, weight_ih, bias)  # (N, T, E) -> (N, T, 4D)
    zeros = words.new_zeros(words.shape[0], weight_hh.shape[1])

    def step(hidden: torch.Tensor, cell: torch.Tensor, word: torch.Tensor) -> State:
        return lstm_cell(word + F.linear(hidden, weight_hh), cell)

    return scan_steps(step, (zeros, zeros.clone()), keep, gates, every=True).transpose(0, 1)  # (T, N, D) -> (N, T, D)


def scan_words(lstm: WordLstm, words: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """The hidden states that [`WordLstm`] answers; arguments as of `scan_lstm`."""
    return scan_lstm(words, keep, lstm.weight_ih, lstm.weight_hh, lstm.bias)


def scan_both_ways(
    forward_lstm: nn.LSTM, backward_lstm: nn.LSTM, words: torch.Tensor, is_word: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    What [`read_both_ways`] answers; nothing has to be moved, since a scan skips padding wherever it lies.

    Args:
        words: (N, T, V).
        is_word: (N, T) bool.

    Returns:
        context (N, T, 2H), zero where there is no word, and hidden (N, 2H).
    """
    contexts, hidden = [], []
    for lstm, reverse in ((forward_lstm, False), (backward_lstm, True)):
        read, keep = (words.flip(1), is_word.flip(1)) if reverse else (words, is_word)
        bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
        states = scan_lstm(read, keep, lstm.weight_ih_l0, lstm.weight_hh_l0, bias)  # (N, T, V) -> (N, T, H)
        hidden.append(states[:, -1])
        contexts.append(states.flip(1) if reverse else states)
    return torch.cat(contexts, 2) * is_word[..., None], torch.cat(hidden, 1)
