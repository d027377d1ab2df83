import pytest
from transformers import AutoTokenizer

from hf_refseg.models.hulanet.phrase_structure import split_phrase
from hf_refseg.models.hulanet.tokenization_hulanet import build_phrase_tokenizer, phrase_tokenizer_from_sentences

SENTENCES = ["Man's  t-shirt, (50% off)", "white dog, white cat", 'a "b" <c> x?y\\z&q`!][+@ d']


@pytest.mark.parametrize("sentence", SENTENCES)
def test_words_are_those_of_split_phrase(sentence, tmp_path):
    phrase_tokenizer_from_sentences(SENTENCES).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    words = tokenizer.convert_ids_to_tokens(tokenizer(sentence)["input_ids"])
    assert words == ["<BOS>", *split_phrase(sentence), "<EOS>"]


def test_the_most_frequent_words_come_first():
    tokenizer = phrase_tokenizer_from_sentences(["white dog", "white cat", "white dog", "a cat"])
    words = ["<PAD>", "<UNK>", "<BOS>", "<EOS>", "white", "cat", "dog", "a"]
    assert tokenizer.convert_ids_to_tokens(list(range(8))) == words
    assert tokenizer("white bear")["input_ids"] == [2, 4, 1, 3]
    assert len(phrase_tokenizer_from_sentences(["white dog", "white cat"], min_count=2)) == 5


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (["<PAD>", "dog"], "first four entries must be"),
        (["<PAD>", "<UNK>", "<BOS>", "<EOS>", "dog", "dog"], r"\['dog'\] more than once"),
    ],
)
def test_vocabularies_that_do_not_fit_are_refused(vocabulary, message):
    with pytest.raises(ValueError, match=message):
        build_phrase_tokenizer(vocabulary)
