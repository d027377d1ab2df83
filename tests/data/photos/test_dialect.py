"""Made expressions mean what they are said to mean, and are worded as people speak."""

import numpy as np
import pytest

from hf_refseg.data.expressions.semantics import referents
from hf_refseg.data.photos.dialect import (
    ORDER,
    describe_group,
    describe_nothing,
    describe_thing,
    vocabulary,
    worth_saying,
)
from hf_refseg.data.photos.lexicon import PHOTO_NOUNS, PHOTO_WORDS, look_alikes
from hf_refseg.data.photos.making import draw_expressions, make_expressions

from .test_scene import EVERYTHING, LEFT_DOG, RIGHT_DOG, region, scene

RED, WHITE = (210, 20, 20), (245, 245, 245)


@pytest.fixture
def street():
    """A man beside a bicycle, a woman, two dogs of two colors, one of which lies further off, and a red car."""
    return scene(
        region("person", 10, 20, 40, 110, said=("man",)),
        region("person", 150, 20, 180, 110, said=("woman",)),
        region("dog", 60, 70, 90, 110),
        region("dog", 110, 90, 126, 104),
        region("bicycle", 36, 60, 58, 110),
        region("car", 60, 20, 120, 50),
        paint=[(2, WHITE), (3, RED), (5, RED)],
    )


def said(things, make, count=300):
    rng = np.random.default_rng(0)
    return [made for made in (make(things, rng) for _ in range(count)) if made is not None]


def describe(things, rng, thing):
    return describe_thing(things, thing, rng)


def test_every_expression_means_its_referents(street):
    made = [
        one
        for target in worth_saying(street)
        for one in said(street, lambda s, rng, t=target: describe_thing(s, t, rng), 60)
    ]
    made += said(street, describe_group) + said(street, lambda s, rng: describe_nothing(s, rng, look_alike=True))
    assert len(made) > 300
    for one in made:
        assert referents(one.expression, street) == set(one.referents), one.text


def test_people_speak_shortly(street):
    texts = [one.text for one in said(street, lambda s, rng: describe_thing(s, s[0], rng))]
    assert {"man", "the man", "guy left", "man on the left"} <= set(texts)
    assert sum(len(text.split()) for text in texts) / len(texts) < 4
    assert not any("  " in text or text != text.strip() for text in texts)


def test_what_tells_two_of_a_kind_apart(street):
    texts = {one.text for one in said(street, lambda s, rng: describe_thing(s, s[2], rng))}
    assert {"white dog", "dog in front", "dog not on the right"} & texts >= {"white dog"}
    assert "dog" not in texts and "red dog" not in texts
    types = {one.expression_type for one in said(street, lambda s, rng: describe_thing(s, s[2], rng))}
    assert types == {"attribute", "location", "relational", "negation"}


@pytest.mark.parametrize("expression_type", ["attribute", "location", "relational", "negation"])
def test_a_wanted_type(street, expression_type):
    made = said(street, lambda s, rng: describe_thing(s, s[2], rng, expression_type), 50)
    assert made and {one.expression_type for one in made} == {expression_type}
    assert all(bool(one.expression.phrases[0].relations) == (expression_type == "relational") for one in made)


def test_what_has_to_be_counted(street):
    row = scene(*(region("dog", left, 60, left + 24, 100) for left in (4, 44, 88, 130, 170)))
    second, middle, last = ({one.text for one in said(row, ordered(thing), 60)} for thing in (1, 2, 4))
    assert {"second dog from left", "2nd dog from left"} <= second and not any("right" in text for text in second)
    assert {"dog third from left", "dog third from right"} <= middle
    assert not last, "an end needs no counting"
    assert not said(street, ordered(2), 60), "two are not counted"


def ordered(thing):
    return lambda things, rng: describe_thing(things, things[thing], rng, ORDER)


def test_several(street):
    made = said(street, describe_group)
    assert {"both dogs", "the people"} <= {one.text for one in made}
    # A bicycle is one bike: nothing else is there in numbers.
    assert {one.asked for one in made} == {"dog", "animal", "person"}


def test_look_alikes_look_alike_and_are_not_there(street):
    made = said(street, lambda s, rng: describe_nothing(s, rng, look_alike=True))
    asked = {one.asked for one in made}
    assert {"cat", "motorcycle", "bus"} <= asked and not asked & {"dog", "car", "person", "man", "woman"}
    # People may call it a car.
    assert "truck" not in asked
    assert {one.expression_type for one in made} == {"look-alike"} and not any(one.referents for one in made)


def test_unlabeled_categories_are_never_said_to_be_absent():
    things = scene(region(*LEFT_DOG), labeled=EVERYTHING - {"cat", "teddy bear", "sofa"})
    asked = {one.asked for one in said(things, lambda s, rng: describe_nothing(s, rng, look_alike=False), 400)}
    assert "zebra" in asked and not asked & {"cat", "teddy bear", "bear", "dog"}


def test_nothing_is_said_of_what_cannot_be_told_apart():
    things = scene(region(*LEFT_DOG), region(*RIGHT_DOG, crowd=True))
    assert not said(things, lambda s, rng: describe_thing(s, s[0], rng), 50)
    assert not said(things, describe_group, 50)


def test_rows_of_a_scene_depend_on_the_seed_alone(street):
    first, second = (make_expressions(street, np.random.default_rng(3)) for _ in range(2))
    assert [[one.text for one in same] for same in first] == [[one.text for one in same] for same in second]
    keys = [(same[0].referents, same[0].expression_type, same[0].asked) for same in first]
    assert len({key if not key[0] else key[:2] for key in keys}) == len(keys)


def test_nothing_is_next_to_what_it_lies_in():
    things = scene(region("bowl", 20, 20, 120, 100), region("donut", 50, 40, 90, 80))
    made = said(things, lambda s, rng: describe_thing(s, s[1], rng, "relational"), 60)
    assert not any(word in one.text for one in made for word in ("next to", "beside", "near", "by"))


def test_expressions_for_a_view(street):
    rng = np.random.default_rng(0)
    made = [one for _ in range(100) for one in draw_expressions(street, rng, 6)]
    assert {len(one.referents) for one in made} >= {1, 2} and all(one.referents for one in made)
    assert draw_expressions(scene(), rng, 6) == []


def test_the_vocabulary_has_every_word(street):
    rng = np.random.default_rng(0)
    made = [one for _ in range(200) for one in draw_expressions(street, rng, 6)]
    made += said(street, lambda s, rng: describe_nothing(s, rng, look_alike=False))
    assert {word for one in made for word in one.text.split()} <= set(vocabulary())


def test_every_noun_has_a_plural_and_every_look_alike_is_a_category():
    nouns = {noun for nouns in PHOTO_NOUNS.values() for noun in nouns}
    assert nouns == set(PHOTO_WORDS.plurals)
    assert "cat" in look_alikes("dog") and "dog" in look_alikes("dog") and "fork" not in look_alikes("dog")
