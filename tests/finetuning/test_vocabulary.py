"""New words in tokenizer and embeddings, and the old ones as they were."""

import pytest
import torch
from transformers import AutoTokenizer

from hf_refseg.finetuning import DEFAULT_VECTORS
from hf_refseg.finetuning.vocabulary import grow_embeddings, grown_tokenizer, new_words
from hf_refseg.processing.tokenization import split_words, tokenizer_from_sentences
from hf_refseg.processing.word_vectors import load_word_vectors
from tests.tiny import tiny_context_rmi, tiny_lstm_cnn, tiny_rmi

SENTENCES = ["the red dog on the left", "a big truck", "truck"]


@pytest.fixture
def tokenizer():
    return tokenizer_from_sentences(SENTENCES, max_length=7)


def test_new_words_are_those_of_the_tokenizers_own_rule(tokenizer):
    assert new_words(tokenizer, ["The Robot, on the LEFT.", "a robot's dog"]) == ["robot", "s"]


def test_known_words_keep_their_ids_and_rules_stay(tokenizer, tmp_path):
    grown = grown_tokenizer(tokenizer, ["robot", "lorry"])
    assert len(grown) == len(tokenizer) + 2
    assert tokenizer.get_vocab().items() <= grown.get_vocab().items()
    grown.save_pretrained(tmp_path)
    for one in (grown, AutoTokenizer.from_pretrained(tmp_path)):
        assert one("The ROBOT, robots").input_ids == [
            grown.get_vocab()[word] for word in ("the", "robot", "<unk>", "<unk>")
        ]
        assert split_words(one, "a robot.") == ["a", "robot"], "no word inside of another, no stop at the end"
        assert (one.padding_side, one.model_max_length) == (tokenizer.padding_side, 7)
        assert (
            one(["a dog on the left of a robot"], truncation=True).input_ids[0]
            == one("a dog on the left of a").input_ids
        )


@pytest.mark.parametrize("make", [tiny_context_rmi, tiny_rmi, tiny_lstm_cnn])
def test_old_expressions_are_answered_to_the_bit_as_before(make, tokenizer):
    torch.manual_seed(0)
    model = make(vocab_size=len(tokenizer))
    inputs = {"pixel_values": torch.randn(1, 3, 64, 64), "input_ids": torch.tensor([[4, 5, 6]])}
    with torch.no_grad():
        before = model(**inputs).logits
        starts = grow_embeddings(model, grown_tokenizer(tokenizer, ["robot"]), load_word_vectors(DEFAULT_VECTORS))
        assert starts == {"robot": "nothing"} and model.config.vocab_size == len(tokenizer) + 1
        torch.testing.assert_close(model(**inputs).logits, before, rtol=0, atol=0)
        assert model(**{**inputs, "input_ids": torch.tensor([[4, len(tokenizer)]])}).logits.isfinite().all()


def test_a_word_starts_from_its_neighbors(tokenizer, tmp_path):
    file = tmp_path / "glove.txt"
    vectors = {"truck": "1 0 0", "lorry": "0.9 0.1 0", "dog": "0 1 0", "kettle": "0.4 0.5 0.8", "big": "0 0 -1"}
    file.write_text("".join(f"{word} {numbers}\n" for word, numbers in vectors.items()))
    model = tiny_rmi(vocab_size=len(tokenizer))
    grown = grown_tokenizer(tokenizer, ["lorry", "kettle", "robot"])
    starts = grow_embeddings(model, grown, load_word_vectors(file))
    assert starts == {"kettle": "nothing", "lorry": "truck (0.99)", "robot": "nothing"}
    weight, ids = model.word_embeddings.weight, grown.get_vocab()
    lorry, truck = weight[ids["lorry"]], weight[ids["truck"]]
    assert torch.cosine_similarity(lorry, truck, dim=0) > 0.9999
    known = weight[: len(tokenizer)].norm(dim=1)
    torch.testing.assert_close(lorry.norm(), known[known > 0].median())


def test_the_table_that_ships_names_neighbors_too(tokenizer):
    model = tiny_rmi(vocab_size=len(tokenizer))
    starts = grow_embeddings(model, grown_tokenizer(tokenizer, ["puppy"]), load_word_vectors(DEFAULT_VECTORS))
    assert starts["puppy"].startswith("dog (0.")
