import itertools

import pytest
import torch

from hf_refseg.models.cac.captioner import Captioner, caption_words
from hf_refseg.models.cac.configuration_cac import CacConfig
from hf_refseg.models.cac.losses_cac import caption_loss


def tiny_captioner(vocab_size: int = 20, **kwargs) -> Captioner:
    torch.manual_seed(0)
    sizes = {"caption_word_size": 5, "caption_hidden_size": 6, "caption_attention_size": 7}
    captioner = Captioner(CacConfig(vocab_size=vocab_size, **sizes, **kwargs), feature_size=8).eval()
    for parameter in captioner.parameters():
        torch.nn.init.normal_(parameter)
    return captioner


@pytest.fixture
def features():
    return torch.randn(3, 9, 8, generator=torch.Generator().manual_seed(1))


IDS = torch.tensor([[4, 5, 6, 7], [0, 0, 8, 9], [3, 0, 0, 0]])


def test_words_and_targets_wherever_the_padding_lies():
    words, targets, mask = caption_words(IDS, IDS != 0, end=0)
    assert words.tolist() == [[0, 4, 5, 6, 7], [0, 8, 9, 0, 0], [0, 3, 0, 0, 0]]
    assert targets.tolist() == [[4, 5, 6, 7, 0], [8, 9, 0, 0, 0], [3, 0, 0, 0, 0]]
    assert mask.sum(1).tolist() == [5, 3, 2]


def test_ids_below_the_padding_mask_are_not_read():
    """Some tokenizers pad with another id than the captions' end."""
    ids = torch.tensor([[4, 5, 19]])
    words, targets, _ = caption_words(ids, torch.tensor([[True, True, False]]), end=0)
    assert words.tolist() == [[0, 4, 5, 0]] and targets.tolist() == [[4, 5, 0, 0]]


@torch.no_grad()
def test_a_step_is_the_cell_of_the_code(features):
    """One word, written out: three sigmoid gates, the larger of two candidates, tanh on the way out only."""
    captioner = tiny_captioner()
    cells = torch.relu(captioner.cells(features))
    attention = captioner.attention_score(
        torch.tanh(captioner.cell_attention(cells) + captioner.state_attention(torch.zeros(3, 1, 6)))
    ).softmax(1)
    attended = (attention * cells).sum(1)
    gates = captioner.word_gates(torch.relu(captioner.embeddings.weight[0])) + captioner.state_gates(torch.zeros(3, 6))
    extra = captioner.attended_candidates(attended)
    candidate = torch.maximum(gates[:, 18:24] + extra[:, :6], gates[:, 24:] + extra[:, 6:])
    memory = gates[:, :6].sigmoid() * candidate
    hidden = gates[:, 12:18].sigmoid() * memory.tanh()
    expected = captioner.word_logits(hidden).log_softmax(-1)
    torch.testing.assert_close(captioner(features, torch.zeros(3, 1, dtype=torch.long))[:, 0], expected)


@torch.no_grad()
def test_greedy_captions_say_the_likeliest_word_at_every_step(features):
    captioner = tiny_captioner()
    captions, log_probs = captioner.generate(features, max_length=6)
    words = torch.cat([torch.zeros(3, 1, dtype=torch.long), captions], 1)
    told = captioner(features, words)[..., :-1]  # the last index is no word
    for row in range(3):
        for step in range(6):
            assert captions[row, step] == told[row, step].argmax()
            torch.testing.assert_close(log_probs[row, step], told[row, step].max())
            if captions[row, step] == 0:
                assert not captions[row, step:].any() and not log_probs[row, step + 1 :].any()
                break


@torch.no_grad()
def test_beams_enough_find_the_likeliest_caption(features):
    captioner = tiny_captioner(vocab_size=4)
    length = 3
    captions, log_probs = captioner.generate(features, max_length=length, num_beams=60)
    likeliest = torch.full((3,), -torch.inf)
    for said in itertools.product(range(4), repeat=length):
        end = said.index(0) if 0 in said else length
        if any(said[end:]):
            continue
        words = torch.tensor([[0, *said]]).expand(3, -1)
        of_words = captioner(features, words)[:, :-1].gather(2, words[:, 1:, None])[..., 0]
        likeliest = torch.maximum(likeliest, of_words[:, : end + 1].sum(1))
    torch.testing.assert_close(log_probs.sum(1), likeliest)
    greedy = captioner.generate(features, max_length=length)[1].sum(1)
    assert (greedy <= log_probs.sum(1) + 1e-6).all()
    assert captions.shape == (3, length)


@torch.no_grad()
def test_captions_of_a_batch_are_those_of_each_alone(features):
    captioner = tiny_captioner()
    together = captioner.generate(features, max_length=5, num_beams=3)
    for row in range(3):
        alone = captioner.generate(features[row, None], max_length=5, num_beams=3)
        assert torch.equal(alone[0][0], together[0][row])
        torch.testing.assert_close(alone[1][0], together[1][row])


def test_loss_is_a_mean_over_the_words_of_all_expressions(features):
    captioner = tiny_captioner()
    words, targets, mask = caption_words(IDS, IDS != 0, end=0)
    log_probs = captioner(features, words)
    loss = caption_loss(log_probs, targets, mask)
    total = sum(-log_probs[row, step, targets[row, step]] for row in range(3) for step in range(5) if mask[row, step])
    torch.testing.assert_close(loss, total / 10)
    loss.backward()
    assert all(parameter.grad is not None for parameter in captioner.parameters())


def test_dropout_is_active_in_training_only(features):
    captioner = tiny_captioner(caption_dropout=0.5)
    words = caption_words(IDS, IDS != 0, end=0)[0]
    assert torch.equal(captioner(features, words), captioner(features, words))
    captioner.train()
    assert not torch.equal(captioner(features, words), captioner(features, words))
