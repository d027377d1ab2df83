"""
What the words of an expression ask for: fixed word vectors, an LSTM both ways, and a phrase for each module.

A word that the training never saw still has its fixed vector, which is near those of words like it. What is learned
about a word of the training is added to its vector, and left out now and then while training, so that the rest of the
model keeps understanding the fixed vectors too.

N expressions of T words, V words in all, E channels of a vector, H of an LSTM's state, S modules.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from ...layers.language_encoder import read_both_ways
from ...layers.phrase_attention import PhraseAttention
from .configuration_region_matcher import RegionMatcherConfig
from .outputs_region_matcher import RegionMatcherTextFeatures

MODULES = ("subject", "location", "color", "relation", "comparison")


class WordVectors(nn.Module):
    """Fixed vectors, 8 bits a number, and what is learned beside them: (N, T) -> (N, T, E)."""

    def __init__(self, config: RegionMatcherConfig):
        super().__init__()
        self.dropout = config.word_dropout
        self.register_buffer("numbers", torch.zeros(config.vocab_size, config.word_size, dtype=torch.int8))
        self.register_buffer("scales", torch.zeros(config.vocab_size))
        self.learned = nn.Embedding(max(config.num_trained_words, 1), config.word_size)

    def initialize(self):
        init.zeros_(self.numbers)
        init.zeros_(self.scales)

    @torch.no_grad()
    def set_fixed(self, vectors: torch.Tensor) -> None:
        """
        The fixed vectors of all words (V, E) float32. What is learned about words that have one starts from nothing.
        """
        scales = vectors.abs().amax(1) / 127  # (V, E) -> (V,)
        self.numbers.copy_((vectors / scales.clamp(min=1e-9)[:, None]).round())
        self.scales.copy_(scales)
        has_vector = scales[: len(self.learned.weight)] > 0
        self.learned.weight[has_vector] = 0

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        dtype, known = self.learned.weight.dtype, len(self.learned.weight)
        fixed = self.numbers[input_ids].to(dtype) * self.scales[input_ids].to(dtype)[..., None]  # (N, T) -> (N, T, E)
        learned = self.learned(input_ids.clamp(max=known - 1)) * (input_ids < known)[..., None]
        if self.training and self.dropout:
            learned = learned * (torch.rand_like(learned[..., :1]) >= self.dropout)
        return fixed + learned


class WordReader(nn.Module):
    """Expressions to the phrase that each module is asked, and how much each module counts."""

    def __init__(self, config: RegionMatcherConfig):
        super().__init__()
        self.vectors = WordVectors(config)
        self.dropout = nn.Dropout(config.dropout)
        self.forward_lstm = nn.LSTM(config.word_size, config.hidden_size, batch_first=True)
        self.backward_lstm = nn.LSTM(config.word_size, config.hidden_size, batch_first=True)
        self.attentions = nn.ModuleList(PhraseAttention(2 * config.hidden_size) for _ in MODULES)
        self.weights = nn.Linear(2 * config.hidden_size, len(MODULES))

    def forward(
        self, input_ids: torch.Tensor, is_word: torch.Tensor, read: Callable = read_both_ways
    ) -> RegionMatcherTextFeatures:
        """
        Args:
            input_ids, is_word: (N, T) ids, and (N, T) bool, False at padding.
            read: by what the LSTMs run over the words; an exported graph needs another loop.
        """
        words = self.vectors(input_ids) * is_word[..., None]  # (N, T) -> (N, T, E)
        context, hidden = read(self.forward_lstm, self.backward_lstm, self.dropout(words), is_word)
        both = torch.cat([words, context], 2)  # -> (N, T, E + 2H)
        attentions, phrases = zip(*(attention(context, both, is_word) for attention in self.attentions), strict=True)
        return RegionMatcherTextFeatures(
            phrases=torch.stack(phrases),  # S x (N, E + 2H) -> (S, N, E + 2H)
            sentence=hidden,
            module_weights=self.weights(self.dropout(hidden)).softmax(1) * len(MODULES),  # (N, 2H) -> (N, S)
            word_attentions=torch.stack(attentions, 1),  # S x (N, T) -> (N, S, T)
        )


class CategoryNames(nn.Module):
    """
    Which of the detector's categories a phrase could name: "puppy" is near "dog".

    K categories.
    """

    def __init__(self, config: RegionMatcherConfig, num_labels: int):
        super().__init__()
        self.word_size = config.word_size
        self.names = nn.Parameter(torch.empty(num_labels, config.word_size))
        self.meaning = nn.Linear(config.word_size, config.word_size, bias=False)
        self.sharpness = nn.Parameter(torch.empty(2))
        self.context = nn.Linear(2 * config.hidden_size, num_labels)
        self.dropout = nn.Dropout(config.dropout)

    def initialize(self):
        init.normal_(self.names)
        init.copy_(self.sharpness, torch.tensor([8.0, -5.0]))
        init.eye_(self.meaning.weight)
        init.normal_(self.context.weight, std=0.01)
        init.zeros_(self.context.bias)

    @torch.no_grad()
    def set_names(self, vectors: Sequence[torch.Tensor]) -> None:
        """The fixed vector (E,) of each category's name; a name that has none, zeros, keeps its random one."""
        for row, vector in zip(self.names, vectors, strict=True):
            if vector.any():
                row.copy_(vector)

    def forward(self, phrases: torch.Tensor) -> torch.Tensor:
        """Logits of each category, each by itself: (N, E + 2H) -> (N, K)."""
        words, context = phrases[:, : self.word_size], phrases[:, self.word_size :]
        names = F.linear(self.names, self.meaning.weight)  # (K, E)
        similar = F.normalize(self.meaning(words), dim=-1) @ F.normalize(names, dim=-1).mT  # -> (N, K)
        return self.sharpness[0] * similar + self.sharpness[1] + self.context(self.dropout(context))


__all__ = ["MODULES", "CategoryNames", "WordReader", "WordVectors"]
