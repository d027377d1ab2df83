"""Text of every alphabet and nesting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_refseg import RmiImageProcessor, RmiProcessor
from hf_refseg.processing.pairing import pair
from hf_refseg.processing.tokenization import split_words, tokenizer_from_sentences

from .cases import VALUES, answer_or_refusal, cases

WORDS = ["the", "red", "dog", "on", "left", ".", ",", "'s", "\u0130", "\u212a", "\ud800", "<pad>", "<unk>", "x" * 300]
TEXTS = st.text(max_size=40) | st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)


@pytest.fixture(scope="module")
def processor():
    tokenizer = tokenizer_from_sentences(["the red dog on the left"])
    return RmiProcessor(RmiImageProcessor(size={"height": 32, "width": 32}), tokenizer)


def test_every_text(processor):
    @cases(short=150)
    @given(TEXTS, st.none() | st.integers(1, 40))
    def check(text, max_length):
        options = {} if max_length is None else {"max_length": max_length}
        inputs = answer_or_refusal(lambda: processor(text=text, **options), "expression 0")
        if inputs is None:
            return
        words, unread = split_words(processor.tokenizer, text), processor.unread_words(text, max_length)
        assert words[: max_length or 20] + unread == words
        assert inputs["input_ids"].shape == (1, len(words) - len(unread))
        assert set(processor.unknown_words(text)) <= set(words)

    check()


@cases(short=150)
@given(
    st.lists(TEXTS | st.lists(TEXTS, max_size=3), max_size=4) | TEXTS | VALUES | st.sets(TEXTS, min_size=1, max_size=3),
    st.none() | st.integers(1, 4),
)
def test_texts_are_paired_or_refused(text, num_images):
    paired = answer_or_refusal(lambda: pair(text, num_images), "text", "expression")
    if paired is not None:
        expressions, image_index = paired
        assert all(isinstance(expression, str) for expression in expressions)
        assert (image_index is None) == (num_images is None and not any(isinstance(row, list) for row in text))
        assert image_index is None or (
            len(image_index) == len(expressions) and int(image_index.max()) < (num_images or 9)
        )
