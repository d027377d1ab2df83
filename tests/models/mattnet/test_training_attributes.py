"""Attributes out of sentences, with the tagger and with tags given by hand."""

import pytest

from hf_refseg.models.mattnet.training_attributes import (
    attribute_vocabulary,
    load_tagger,
    ref_attributes,
    sentence_attributes,
)


@pytest.fixture(scope="module")
def tagger():
    pytest.importorskip("HanTa", reason="attributes are read out of sentences with the extra `attributes`")
    return load_tagger()


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("the man in the red shirt on the left", {"man"}),
        ("Big striped umbrella", {"striped", "umbrella"}),
        ("blue plaid shirt lady", {"blue", "lady"}),
        ("black and white cow", {"black", "white", "cow"}),
        ("women in white", {"woman"}),
        ("far left dude", {"dude"}),
        ("right side old man", {"old", "man"}),
        ("red", {"red"}),
        ("the second one from the right", set()),
        ("she is sitting", set()),
        ("", set()),
    ],
)
def test_what_a_sentence_says_of_its_object(tagger, sentence, expected):
    assert sentence_attributes(sentence.split(), tagger) == expected


def test_sentences_of_a_ref_are_united(tagger):
    assert ref_attributes([["red", "car"], ["old", "car"]], tagger) == {"red", "car", "old"}


def test_vocabulary_keeps_the_most_frequent():
    refs = [["red", "car"], ["red", "red"], ["car"], ["blue"], ["old"]]
    assert attribute_vocabulary(refs, 3) == {"car": 2, "red": 2, "blue": 1}
    assert list(attribute_vocabulary(refs, 2, exclude=["car"])) == ["red", "blue"]
    with pytest.raises(ValueError, match="4 different attributes, fewer than num_attributes=50"):
        attribute_vocabulary(refs)


def test_the_tagger_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "HanTa.HanoverTagger", None)
    with pytest.raises(ImportError, match=r"hf-refseg\[attributes\]"):
        load_tagger()
