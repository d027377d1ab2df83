"""How logical forms are put into words."""

import numpy as np
import pytest

from hf_refseg.data.expressions.things import Expression, Phrase
from hf_refseg.data.expressions.wording import Style, say
from hf_refseg.data.photos.lexicon import PHOTO_WORDS

STYLE = Style(PHOTO_WORDS, articles=("",), landmark_articles=("the",), counts=True)


def said(phrase, style=STYLE):
    rng = np.random.default_rng(0)
    return {" ".join(say(Expression((phrase,)), style, rng).text.split()) for _ in range(200)}


@pytest.mark.parametrize(
    ("phrase", "wordings"),
    [
        (Phrase("bus", color="red"), {"red bus"}),
        (Phrase("bus", location="left"), {"bus on left", "bus on the left", "bus left", "bus on left side"}),
        (Phrase("person", clothes="blue"), {"person in blue", "person wearing blue"}),
        (Phrase("person", number=2), {"both people", "the two people", "two people"}),
        (Phrase("person", relations=(("on", Phrase("horse")),)), {"person on horse", "person on a horse"}),
        (Phrase("person", relations=(("with", Phrase("skis")),)), {"person with skis"}),
        (
            Phrase("bus", relations=(("left of", Phrase("train")),)),
            {"bus left of the train", "bus to left of the train", "bus to the left of the train"},
        ),
        (Phrase("bus", without=Phrase("bus", color="red")), {"bus that is not red"}),
        (Phrase("person", without=Phrase("person", clothes="red")), {"person not in red"}),
        (
            Phrase("person", without=Phrase(relations=(("with", Phrase("umbrella")),))),
            {
                "person without umbrella",
                "person without an umbrella",
                "person without parasol",
                "person without a parasol",
            },
        ),
        (
            Phrase("person", without=Phrase(relations=(("on", Phrase("bench")),))),
            {"person not on bench", "person not on a bench"},
        ),
        (
            Phrase("bus", without=Phrase(location="left")),
            {"bus not on left", "bus not on the left", "bus not on left side"},
        ),
    ],
)
def test_all_wordings_of_a_phrase(phrase, wordings):
    assert said(phrase) == wordings


def test_one_may_be_left_out():
    assert {"left one", "left", "one on left", "on left"} <= said(Phrase("one", location="left one"))


def test_an_article_fits_the_word_that_follows():
    style = Style(PHOTO_WORDS, articles=("a",), landmark_articles=("the",))
    assert said(Phrase("elephant"), style) == {"an elephant"}
    assert said(Phrase("elephant", color="gray"), style) == {"a gray elephant"}
