"""What phrases mean where some things may or may not fit. RefShapes' and the photos' tests read whole sentences."""

from dataclasses import dataclass

import pytest

from hf_refseg.data.expressions.places import SPATIAL
from hf_refseg.data.expressions.semantics import denoted, matching, referents
from hf_refseg.data.expressions.things import Expression, Phrase, Thing, any_of, both, denied


@dataclass(frozen=True, slots=True)
class Block(Thing):
    """A thing that clearly, perhaps or not at all is a block."""

    fit: bool | None = True

    def fits(self, phrase):
        return self.fit

    def related(self, predicate, other):
        return SPATIAL[predicate](self, other)


def block(x, y=0.5, side=0.1, fit=True):
    return Block(x - side / 2, y - side / 2, x + side / 2, y + side / 2, fit)


@pytest.mark.parametrize(
    ("first", "second", "conjunction", "disjunction"),
    [(True, None, None, True), (False, None, False, None), (None, None, None, None), (True, False, False, True)],
)
def test_three_truth_values(first, second, conjunction, disjunction):
    assert both(first, second) is both(second, first) is conjunction
    assert any_of([first, second]) is any_of([second, first]) is disjunction


def test_denial_and_the_empty_disjunction():
    assert denied(None) is None and denied(True) is False and any_of([]) is False


def test_one_uncertain_thing_makes_a_phrase_undecidable():
    assert denoted(Phrase(), [block(0.2), block(0.8, fit=False)]) == {0}
    assert denoted(Phrase(), [block(0.2), block(0.8, fit=None)]) is None
    assert matching(Phrase(), [block(0.2), block(0.8, fit=None)]) == [0]


def test_a_rank_is_certain_if_what_is_uncertain_comes_after_it():
    scene = [block(0.2), block(0.8, fit=None)]
    assert denoted(Phrase(location="leftmost"), scene) == {0}
    assert denoted(Phrase(location="rightmost"), scene) is None
    assert denoted(Phrase(location="left one"), [block(0.2), block(0.25)]) is None


def test_the_edges_count_for_the_left_one():
    # The wide block's center is further left, but the narrow one begins before it.
    assert denoted(Phrase(location="left one"), [block(0.5, side=0.1), block(0.65, side=0.9)]) is None


def test_how_many_there_must_be():
    row = [block(x) for x in (0.1, 0.3, 0.5, 0.7)]
    assert denoted(Phrase(location="second from left"), row[:2]) is None
    assert (
        denoted(Phrase(location="second from left"), row[:3]) == {1} == denoted(Phrase(location="middle one"), row[:3])
    )
    assert denoted(Phrase(location="middle one"), row) is None
    assert denoted(Phrase(location="third from right"), row) == {1}


def test_what_is_denied_is_left_out():
    scene = [block(0.1), block(0.9)]
    assert denoted(Phrase(without=Phrase(location="left")), scene) == {1}
    assert denoted(Phrase(without=Phrase(location="left")), [block(0.45), block(0.9)]) is None


def test_a_landmark_must_be_told():
    scene = [block(0.2), block(0.5), block(0.8)]
    beside = Phrase(relations=(("left of", Phrase(location="rightmost")),), number=2)
    assert referents(Expression((beside,)), scene) == {0, 1}
    assert denoted(Phrase(relations=(("left of", Phrase()),)), scene) is None


def test_several_landmarks_and_ranks_that_are_denied_are_unclear():
    scene = [block(0.2), block(0.5), block(0.8)]
    for number in (0, 2, 3):
        assert denoted(Phrase(relations=(("left of", Phrase(number=number)),)), scene) is None
    assert denoted(Phrase(relations=(("left of", Phrase(number=0)),)), scene[:1]) is None
    assert denoted(Phrase(without=Phrase(location="leftmost")), scene) is None


def test_the_number_must_fit():
    scene = [block(0.2), block(0.8)]
    assert (
        referents(Expression((Phrase(number=2),)), scene) == {0, 1} == referents(Expression((Phrase(number=0),)), scene)
    )
    assert (
        referents(Expression((Phrase(),)), scene) is None and referents(Expression((Phrase(number=3),)), scene) is None
    )
    assert referents(Expression((Phrase(location="left"), Phrase(location="left"))), scene) is None
