"""Words: fixed vectors and what is learned beside them, the phrase of each module, and which categories are named."""

import torch

from hf_refseg.models.region_matcher.word_reader import MODULES
from tests.tiny import VOCAB_SIZE, tiny_region_matcher


@torch.no_grad()
def test_words_beyond_the_training_have_their_fixed_vector():
    torch.manual_seed(0)
    vectors = tiny_region_matcher().matching.reader.vectors
    fixed = torch.randn(VOCAB_SIZE, 6)
    fixed[3] = 0  # <unk> has none
    before = vectors.learned.weight.clone()
    vectors.set_fixed(fixed)
    assert torch.equal(vectors.learned.weight[3], before[3]) and not vectors.learned.weight[4].any()
    read = vectors(torch.arange(VOCAB_SIZE)[None])[0]
    torch.testing.assert_close(read[4:], fixed[4:], atol=0.02, rtol=0)
    assert torch.equal(read[3], before[3])


def test_what_was_learned_about_a_word_is_left_out_now_and_then():
    torch.manual_seed(0)
    model = tiny_region_matcher(word_dropout=0.5).train()
    vectors = model.matching.reader.vectors
    torch.nn.init.ones_(vectors.learned.weight)
    ids = torch.full((1, 200), 5)
    learned = vectors(ids)[0] - vectors(torch.full((1, 1), 25)).new_zeros(6)
    values = (learned - learned.amin(0)).amax(1)
    assert 60 < (values > 0.5).sum() < 140
    assert (vectors.eval()(ids)[0] - learned.amax(0)).abs().max() < 1e-5


@torch.no_grad()
def test_padding_changes_no_phrase():
    torch.manual_seed(0)
    reader = tiny_region_matcher().matching.reader
    ids, is_word = torch.tensor([[5, 6, 0, 0]]), torch.tensor([[True, True, False, False]])
    padded, short = reader(ids, is_word), reader(ids[:, :2], is_word[:, :2])
    for name in ("phrases", "sentence", "module_weights"):
        torch.testing.assert_close(padded[name], short[name])
    assert padded.word_attentions.shape == (1, len(MODULES), 4) and not padded.word_attentions[..., 2:].any()
    torch.testing.assert_close(padded.word_attentions.sum(-1), torch.ones(1, len(MODULES)))
    torch.testing.assert_close(padded.module_weights.mean(1), torch.ones(1))


@torch.no_grad()
def test_words_near_a_name_name_its_category():
    torch.manual_seed(0)
    names = tiny_region_matcher().matching.categories
    names.context.weight.zero_()
    dog, cat = torch.eye(6)[:2]
    before = names.names[3].clone()
    names.set_names([dog, cat, dog + cat, torch.zeros(6), -dog])
    assert torch.equal(names.names[3], before), "a name without a vector keeps its own"
    phrase = torch.cat([3 * dog, torch.zeros(names.context.in_features)])  # the length of a vector says nothing
    logits = names(phrase[None])[0]
    sure, least = names.sharpness
    torch.testing.assert_close(logits[[0, 1, 4]], torch.stack([sure + least, least, least - sure]))
    assert logits[1] < logits[2] < logits[0]
