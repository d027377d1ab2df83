"""
The captioner of the caption-aware consistency (Chen et al., BMVC 2019): from what the network sees of an object back
to the words that named it. The paper calls it Show, Attend and Tell; its code has Att2in2 of Rennie et al. 2017, whose
LSTM reads the attended cells through its candidate only, the larger of two, without tanh.

N expressions, T words, L steps, G = g x g cells of the pooled maps, D channels of a cell, E of a word, H of a state,
V words and one more, which nothing is trained on. Captions begin and end with the padding's id.
"""

import torch
import torch.nn.functional as F
from torch import nn

from .configuration_cac import CacConfig

MOST_BEAMS, MOST_WORDS = 1000, 1000


class Captioner(nn.Module):
    """An LSTM that attends to the cells of a map and says a word at every step."""

    def __init__(self, config: CacConfig, feature_size: int):
        super().__init__()
        words, hidden = config.vocab_size + 1, config.caption_hidden_size
        self.end = config.pad_token_id
        self.dropout = nn.Dropout(config.caption_dropout)
        self.embeddings = nn.Embedding(words, config.caption_word_size)
        self.cells = nn.Linear(feature_size, hidden)
        self.cell_attention = nn.Linear(hidden, config.caption_attention_size)
        self.state_attention = nn.Linear(hidden, config.caption_attention_size)
        self.attention_score = nn.Linear(config.caption_attention_size, 1)
        self.word_gates = nn.Linear(config.caption_word_size, 5 * hidden)
        self.state_gates = nn.Linear(hidden, 5 * hidden)
        self.attended_candidates = nn.Linear(hidden, 2 * hidden)
        self.word_logits = nn.Linear(hidden, words)

    def encode(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All that needs no words: (N, G, D) -> cells (N, G, H) and their part of the attention (N, G, A)."""
        cells = self.dropout(F.relu(self.cells(features)))
        return cells, self.cell_attention(cells)

    def read_words(self, words: torch.Tensor) -> torch.Tensor:
        """The words' part of the gates: (N, L) ids -> (N, L, 5H)."""
        return self.word_gates(self.dropout(F.relu(self.embeddings(words))))

    def attend(self, cells: torch.Tensor, cell_attention: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """The mean of the cells that the state before this step attends to: (N, G, H) and (N, H) -> (N, H)."""
        scores = self.attention_score(torch.tanh(cell_attention + self.state_attention(hidden)[:, None]))  # (N, G, 1)
        return torch.einsum("ng,ngh->nh", scores[..., 0].softmax(1), cells)

    def step(
        self, word_gates: torch.Tensor, attended: torch.Tensor, hidden: torch.Tensor, memory: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The next state: (N, 5H), (N, H), and the state (N, H) twice -> (N, H) twice."""
        gates = word_gates + self.state_gates(hidden)
        size = hidden.shape[1]
        entry, forget, output = gates[:, : 3 * size].sigmoid().chunk(3, 1)  # (N, 3H) -> 3 x (N, H)
        first, second = (gates[:, 3 * size :] + self.attended_candidates(attended)).chunk(2, 1)  # -> 2 x (N, H)
        memory = forget * memory + entry * torch.maximum(first, second)
        return output * memory.tanh(), memory

    def forward(self, features: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """
        How likely each word of a given caption is (teacher forcing).

        Args:
            features: (N, G, D).
            words: (N, L), which [`caption_words`] makes: the end's id, then the words.

        Returns:
            (N, L, V + 1) log-probabilities of the word after each of them.
        """
        cells, cell_attention = self.encode(features)
        word_gates = self.read_words(words)
        hidden = memory = cells.new_zeros(len(cells), cells.shape[2])
        states = []
        for step in range(words.shape[1]):
            attended = self.attend(cells, cell_attention, hidden)
            hidden, memory = self.step(word_gates[:, step], attended, hidden, memory)
            states.append(hidden)
        logits = self.word_logits(self.dropout(torch.stack(states, 1)))  # L x (N, H) -> (N, L, V + 1)
        return logits.float().log_softmax(-1)

    @torch.no_grad()
    def generate(
        self, features: torch.Tensor, max_length: int, num_beams: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        The most likely caption found, by the sum of its words' log-probabilities, whatever its length.

        Args:
            features: (N, G, D).
            max_length: longest caption in words, without its end.
            num_beams: captions that are kept at every step; 1 is greedy.

        Returns:
            (N, max_length) ids, the end's id behind the last word, and (N, max_length) log-probability of each, zero
            behind the end.

        Raises:
            ValueError: `num_beams` or `max_length` is not a whole number from 1 to what is worth waiting for.
        """
        for name, number, most in (("num_beams", num_beams, MOST_BEAMS), ("max_length", max_length, MOST_WORDS)):
            if type(number) is not int or not 1 <= number <= most:
                raise ValueError(f"{name} is {number!r}; give a whole number from 1 to {most}")
        cells, cell_attention = (part.repeat_interleave(num_beams, 0) for part in self.encode(features))  # N -> N K
        num = len(features)
        hidden = memory = cells.new_zeros(len(cells), cells.shape[2])
        word = torch.full((len(cells),), self.end, device=cells.device)
        captions = torch.full((num, num_beams, max_length), self.end, device=cells.device)
        likely = cells.new_zeros(num, num_beams, max_length, dtype=torch.float32)
        sums = torch.full((num, num_beams), -torch.inf, device=cells.device)
        sums[:, 0] = 0  # all beams are alike at first
        best = (torch.full((num,), -torch.inf, device=cells.device), captions[:, 0], likely[:, 0])
        rows = torch.arange(num, device=cells.device)[:, None]
        for step in range(max_length):
            attended = self.attend(cells, cell_attention, hidden)
            hidden, memory = self.step(self.read_words(word), attended, hidden, memory)
            log_probs = self.word_logits(hidden).float().log_softmax(-1)  # (N K, V + 1)
            log_probs[:, -1] = -torch.inf  # no word has this id
            sums, index = (
                (sums.flatten()[:, None] + log_probs).view(num, -1).topk(num_beams)
            )  # (N, K (V + 1)) -> (N, K)
            word = index % log_probs.shape[1]
            beam = index // log_probs.shape[1] + rows * num_beams  # of the N K
            hidden, memory = hidden[beam].flatten(0, 1), memory[beam].flatten(0, 1)
            captions, likely = captions.flatten(0, 1)[beam], likely.flatten(0, 1)[beam]
            captions[..., step], likely[..., step] = word, log_probs[beam, word]
            ended = word == self.end if step + 1 < max_length else torch.ones_like(word, dtype=torch.bool)
            best = keep_better(best, (sums.where(ended, -torch.inf), captions, likely))
            sums = sums.where(~ended, -torch.inf)
            if bool((sums.max(1).values <= best[0]).all()):  # no word makes a caption more likely
                break
            word = word.flatten()
        return best[1], best[2]


def keep_better(best: tuple[torch.Tensor, ...], beams: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """(sum (N,), captions (N, L), log-probabilities (N, L)), and the same of K beams (N, K, ...): the better one."""
    sums, chosen = beams[0].max(1)
    rows, better = torch.arange(len(sums), device=sums.device), sums > best[0]
    others = (sums, *(part[rows, chosen] for part in beams[1:]))
    return tuple(new.where(better.view(-1, *[1] * (new.ndim - 1)), old) for old, new in zip(best, others, strict=True))


def caption_words(
    input_ids: torch.Tensor, attention_mask: torch.Tensor, end: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    What the captioner reads and says of expressions, wherever their padding lies.

    Args:
        input_ids: (N, T).
        attention_mask: (N, T) bool, False at padding.
        end: id that a caption begins and ends with.

    Returns:
        words (N, T + 1): the end, then the words; targets (N, T + 1): the words, then the end; and mask (N, T + 1)
        bool, True at the targets that count: an expression's words and one end.
    """
    order = (~attention_mask).int().argsort(dim=1, stable=True)  # (N, T), the words first
    words = input_ids.masked_fill(~attention_mask, end).take_along_dim(order, 1)
    ends = torch.full_like(words[:, :1], end)
    lengths = attention_mask.sum(1, keepdim=True)
    mask = torch.arange(words.shape[1] + 1, device=words.device) <= lengths
    return torch.cat([ends, words], 1), torch.cat([words, ends], 1), mask
