"""The bidirectional LSTM over words of Yu et al.'s systems: MAttNet, and CAC after it. HULANet reads words alike."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from .inputs import values_are_readable

LENGTH_GROUPS = 3  # of a batch of expressions, so that short ones are not read on to the end of the longest
FEWEST_GROUPED = 96  # expressions; with fewer, starting the LSTMs again takes as long as the padding


def read_both_ways(
    forward_lstm: nn.LSTM, backward_lstm: nn.LSTM, words: torch.Tensor, is_word: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    The states of an LSTM from the first word to the last and of one from the last to the first.

    On a CPU, many expressions are read in groups of about the same length, with the same numbers.

    Args:
        words: (N, T, V).
        is_word: (N, T) bool, False at what is skipped, wherever it lies.

    Returns:
        context (N, T, 2H), the states of both at each word, zero where there is none; hidden (N, 2H), the state of each
        after the last word it reads.
    """
    if len(words) < FEWEST_GROUPED or not values_are_readable(is_word):
        return read_at_once(forward_lstm, backward_lstm, words, is_word)
    ends = (is_word * torch.arange(1, is_word.shape[1] + 1)).amax(1)  # (N, T) -> (N,), after the last word
    by_length = ends.argsort()
    contexts, hidden = [], []
    for rows in by_length.chunk(LENGTH_GROUPS):
        length = max(1, int(ends[rows].max()))
        group = read_at_once(forward_lstm, backward_lstm, words[rows, :length], is_word[rows, :length])
        contexts.append(F.pad(group[0], (0, 0, 0, words.shape[1] - length)))  # (n, t, 2H) -> (n, T, 2H)
        hidden.append(group[1])
    places = by_length.argsort()
    return torch.cat(contexts)[places], torch.cat(hidden)[places]


def read_at_once(
    forward_lstm: nn.LSTM, backward_lstm: nn.LSTM, words: torch.Tensor, is_word: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """[`read_both_ways`] of expressions that are all read as far as the longest."""
    last = (is_word.sum(1) - 1).clamp(min=0)  # (N, T) -> (N,)
    has_words = is_word.any(1)[:, None]  # (N, T) -> (N, 1)
    skipped = (~is_word).int()
    reading = skipped.argsort(dim=1, stable=True)  # (N, T), positions of the words, then of the padding
    reverse = words.shape[1] - 1 - skipped.flip(1).argsort(dim=1, stable=True)  # (N, T), the last word first
    contexts, hidden = [], []
    for lstm, order in ((forward_lstm, reading), (backward_lstm, reverse)):
        states, _ = lstm(words.take_along_dim(order[..., None], 1))  # (N, T, V) -> (N, T, H), in its order
        hidden.append(states.take_along_dim(last[:, None, None], 1)[:, 0] * has_words)  # (N, T, H) -> (N, H)
        contexts.append(states.take_along_dim(order.argsort(dim=1)[..., None], 1))  # back to the words' places
    context = torch.cat(contexts, 2) * is_word[..., None]  # 2 x (N, T, H) -> (N, T, 2H)
    return context, torch.cat(hidden, 1)


class LanguageEncoder(nn.Module):
    """
    Word embedding, a layer with ReLU, and an LSTM in each direction that reads words only, wherever padding lies.

    The original packs its sequences. Here the words of each expression are moved to the front, in reading order for one
    LSTM and in reverse for the other, so that padding comes last and can be left unread: the same numbers, without a
    step that depends on the data.

    Args:
        vocab_size: rows of the embedding.
        embedding_size: channels E of an embedding.
        word_size: channels V of a word after its layer.
        hidden_size: channels H of an LSTM's state.
        dropout: on the embeddings.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        word_size: int,
        hidden_size: int,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.embeddings = nn.Embedding(vocab_size, embedding_size)
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(embedding_size, word_size)
        self.forward_lstm = nn.LSTM(word_size, hidden_size, batch_first=True)
        self.backward_lstm = nn.LSTM(word_size, hidden_size, batch_first=True)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, read: Callable = read_both_ways
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Args:
            input_ids: (N, T).
            attention_mask: (N, T) bool, False at padding.
            read: by what the LSTMs run over the words, as `read_both_ways` does; an exported graph needs another loop.

        Returns:
            context (N, T, 2H), the states of both LSTMs at each word, zero at padding; hidden (N, 2H), the state of
            each after its last word; embedded (N, T, V), the words after their layer, zero at padding.
        """
        words = self.dropout(self.embeddings(input_ids))  # (N, T) -> (N, T, E)
        embedded = F.relu(self.projection(words)) * attention_mask[..., None]  # (N, T, E) -> (N, T, V)
        context, hidden = read(self.forward_lstm, self.backward_lstm, embedded, attention_mask)
        return context, hidden, embedded
