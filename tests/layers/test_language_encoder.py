"""The language layers of MAttNet against packed sequences and the formulas of its code."""

import pytest
import torch
from torch import nn

from hf_refseg.layers import language_encoder
from hf_refseg.layers.language_encoder import FEWEST_GROUPED, LENGTH_GROUPS, LanguageEncoder, read_at_once
from hf_refseg.layers.normalize_scale import NormalizeScale
from hf_refseg.layers.phrase_attention import PhraseAttention

WORDS = torch.tensor([[3, 4, 5, 6], [7, 0, 0, 0], [8, 9, 2, 0]])


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return LanguageEncoder(vocab_size=10, embedding_size=5, word_size=6, hidden_size=7).eval()


def packed(encoder: LanguageEncoder, words: torch.Tensor):
    """What the original computes: a packed bidirectional LSTM."""
    both = nn.LSTM(6, 7, batch_first=True, bidirectional=True)
    weights = {name: value for name, value in encoder.forward_lstm.state_dict().items()}
    weights |= {f"{name}_reverse": value for name, value in encoder.backward_lstm.state_dict().items()}
    both.load_state_dict(weights)
    embedded = encoder.projection(encoder.embeddings(words)).relu()
    lengths = (words != 0).sum(1)
    sequence = nn.utils.rnn.pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
    states, (hidden, _) = both(sequence)
    context, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
    return context, torch.cat([hidden[0], hidden[1]], 1)


def test_masked_lstms_equal_a_packed_one(encoder):
    context, hidden, embedded = encoder(WORDS, WORDS != 0)
    expected_context, expected_hidden = packed(encoder, WORDS)
    torch.testing.assert_close(context, expected_context)
    torch.testing.assert_close(hidden, expected_hidden)
    assert not context[WORDS == 0].any() and not embedded[WORDS == 0].any()


def test_padding_may_lie_anywhere(encoder):
    spread = torch.tensor([[3, 4, 5, 6], [0, 0, 7, 0], [8, 0, 9, 2]])
    context, hidden, _ = encoder(spread, spread != 0)
    expected_context, expected_hidden, _ = encoder(WORDS, WORDS != 0)
    torch.testing.assert_close(hidden, expected_hidden)
    torch.testing.assert_close(context[spread != 0], expected_context[WORDS != 0])


@pytest.mark.parametrize("right_padded", [True, False])
def test_many_expressions_are_read_in_groups_with_the_same_numbers(encoder, monkeypatch, right_padded):
    torch.manual_seed(0)
    lengths = torch.randint(0, 12, (FEWEST_GROUPED, 1))
    places = torch.arange(11) if right_padded else torch.rand(FEWEST_GROUPED, 11).argsort(1)
    words = torch.randint(1, 10, (FEWEST_GROUPED, 11)) * (places < lengths)
    grouped, at_once, steps = [], [], []

    def counting(*arguments):
        steps.append(arguments[2].shape[:2].numel())
        return read_at_once(*arguments)

    for found in (grouped, at_once):
        encoder.zero_grad()
        monkeypatch.setattr(language_encoder, "read_at_once", counting)
        context, hidden, _ = encoder(words, words != 0)
        (context.sum() + hidden.square().sum()).backward()
        found.extend([context, hidden, *(parameter.grad for parameter in encoder.parameters())])
        monkeypatch.setattr(language_encoder, "FEWEST_GROUPED", FEWEST_GROUPED + 1)
    for one, other in zip(grouped, at_once, strict=True):
        torch.testing.assert_close(one, other)
    assert len(steps) == LENGTH_GROUPS + 1
    if right_padded:
        assert sum(steps[:-1]) < 0.8 * steps[-1], "less is read"


def test_no_words_give_zeros_and_no_nan(encoder):
    context, hidden, embedded = encoder(torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3, dtype=torch.bool))
    attention, phrase = PhraseAttention(14)(context, embedded, torch.zeros(1, 3, dtype=torch.bool))
    assert not any(values.any() for values in (context, hidden, embedded, attention, phrase))


def test_phrase_attention_is_the_originals():
    torch.manual_seed(0)
    module, mask = PhraseAttention(8), WORDS != 0
    context, embedded = torch.randn(3, 4, 8) * mask[..., None], torch.randn(3, 4, 5) * mask[..., None]
    attention, phrase = module(context, embedded, mask)
    over_all = module.score(context)[..., 0].softmax(1) * mask
    torch.testing.assert_close(attention, over_all / over_all.sum(1, keepdim=True))
    torch.testing.assert_close(phrase, (attention[..., None] * embedded).sum(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_normalize_scale(dtype):
    module = NormalizeScale(3, init_norm=20).to(dtype)
    scaled = module(torch.tensor([[3.0, 0, 4], [0, 0, 0]], dtype=dtype))
    torch.testing.assert_close(scaled, torch.tensor([[12.0, 0, 16], [0, 0, 0]], dtype=dtype), rtol=1e-2, atol=1e-2)
