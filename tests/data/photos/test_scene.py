"""What is certain, impossible and unknown in a photo."""

import numpy as np
import pytest

from hf_refseg.data.coco_categories import NOUNS
from hf_refseg.data.expressions.semantics import denoted
from hf_refseg.data.expressions.things import Phrase
from hf_refseg.data.photos.lexicon import CLOTHES
from hf_refseg.data.photos.scene import Region, look_at

EVERYTHING = frozenset(NOUNS) | CLOTHES
HEIGHT, WIDTH = 120, 200


def region(category, x0, y0, x1, y1, **known):
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return Region(category, mask, **known)


def scene(*regions, labeled=EVERYTHING, paint=()):
    pixels = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
    for number, color in paint:
        pixels[regions[number].mask] = color
    return look_at(regions, pixels, labeled)


LEFT_DOG, RIGHT_DOG = ("dog", 10, 30, 60, 90), ("dog", 130, 30, 190, 90)


def test_one_dog_is_the_dog_and_two_are_not():
    assert denoted(Phrase("dog"), scene(region(*LEFT_DOG))) == {0}
    both = scene(region(*LEFT_DOG), region(*RIGHT_DOG))
    assert denoted(Phrase("dog", number=2), both) == {0, 1}
    assert denoted(Phrase("dog", location="left one"), both) == {0}
    assert denoted(Phrase("cat"), both) == frozenset()


def test_a_crowd_makes_it_undecidable():
    things = scene(region(*LEFT_DOG), region(*RIGHT_DOG, crowd=True))
    assert denoted(Phrase("dog"), things) is None
    assert denoted(Phrase("dog", number=0), things) is None
    assert denoted(Phrase("cat"), things) == frozenset()


def test_an_unlabeled_category_makes_it_undecidable():
    things = scene(region("car", 10, 30, 60, 90), labeled=EVERYTHING - {"truck", "cat"})
    # A truck may be called a car, and a cat may be anywhere.
    assert denoted(Phrase("car"), things) is None
    assert denoted(Phrase("cat"), things) is None
    assert denoted(Phrase("dog"), things) == frozenset()
    assert denoted(Phrase("car"), scene(region("car", 10, 30, 60, 90))) == {0}


def test_what_may_be_called_by_the_noun_is_neither_it_nor_absent():
    things = scene(region("truck", 10, 30, 60, 90))
    assert denoted(Phrase("car"), things) is None and denoted(Phrase("bus"), things) == frozenset()


def test_specks_are_overlooked_beside_something_large_only():
    speck = region("person", 190, 0, 192, 6)
    man = region("person", 60, 10, 110, 118)
    assert denoted(Phrase("person"), scene(man, speck)) == {0}
    assert denoted(Phrase("person", number=0), scene(man, speck)) is None
    assert denoted(Phrase("person"), scene(region("person", 60, 10, 66, 30), speck)) is None


def test_passers_by_without_a_label_are_overlooked_behind_the_main_person():
    labeled = EVERYTHING - {"person"}
    assert denoted(Phrase("person"), scene(region("person", 60, 5, 120, 115), labeled=labeled)) == {0}
    assert denoted(Phrase("person"), scene(region("person", 60, 60, 70, 90), labeled=labeled)) is None


def test_nobody_knows_who_is_a_man_until_it_is_said():
    unknown = region("person", 10, 10, 50, 110)
    man = region("person", 130, 10, 170, 110, said=("man",))
    assert denoted(Phrase("man"), scene(unknown, man)) is None
    # Whoever the other one is, the man on the right is the right one.
    assert denoted(Phrase("man", location="right one"), scene(unknown, man)) == {1}
    woman = region("person", 10, 10, 50, 110, said=("woman", None))
    assert denoted(Phrase("man"), scene(woman, man)) == {1}


def test_a_hand_at_the_border_is_not_called_a_person():
    assert denoted(Phrase("person"), scene(region("person", 0, 80, 40, 100))) is None


def test_colors_and_clothes():
    red, blue = (210, 20, 20), (20, 40, 210)
    dogs = scene(region(*LEFT_DOG), region(*RIGHT_DOG), paint=[(0, red), (1, blue)])
    assert denoted(Phrase("dog", color="red"), dogs) == {0}
    assert denoted(Phrase("dog", color="green"), dogs) is None  # some people call this blue green
    assert denoted(Phrase("dog", color="yellow"), dogs) == frozenset()
    people = [region("person", 10, 10, 50, 110), region("person", 130, 10, 170, 110)]
    dressed = scene(*people, paint=[(0, red), (1, blue)])
    assert denoted(Phrase("person", clothes="red"), dressed) == {0}
    assert denoted(Phrase("person", without=Phrase("person", clothes="red")), dressed) == {1}


def test_on_and_with_need_contact():
    rider = region("person", 40, 10, 70, 70)
    horse = region("horse", 20, 50, 100, 110)
    walker = region("person", 150, 20, 180, 110)
    things = scene(rider, horse, walker)
    on_horse = ("on", Phrase("horse"))
    assert denoted(Phrase("person", relations=(on_horse,)), things) == {0}
    assert denoted(Phrase("rider"), things) == {0}
    # People would call both of them riders.
    cyclist, bicycle = region("person", 140, 10, 170, 70), region("bicycle", 120, 50, 195, 110)
    assert denoted(Phrase("rider", location="right one"), scene(rider, horse, cyclist, bicycle)) == {2}
    assert denoted(Phrase("person", without=Phrase("person", relations=(on_horse,))), things) == {2}
    carried = scene(region("person", 40, 10, 80, 110), region("umbrella", 50, 2, 100, 14), walker)
    assert denoted(Phrase("person", relations=(("with", Phrase("umbrella")),)), carried) == {0}


def test_the_middle_one_needs_exactly_three():
    chairs = [region("zebra", x, 30, x + 30, 90) for x in (5, 60, 110, 165)]
    assert denoted(Phrase("zebra", location="middle one"), scene(*chairs[:3])) == {1}
    assert denoted(Phrase("zebra", location="middle one"), scene(*chairs)) is None
    assert denoted(Phrase("zebra", location="third from left"), scene(*chairs)) == {2}


def test_in_front_is_larger_and_lower():
    near, far = region("cow", 20, 40, 100, 118), region("cow", 130, 40, 160, 70)
    things = scene(near, far)
    assert denoted(Phrase("cow", location="front one"), things) == {0}
    assert denoted(Phrase("cow", location="back one"), things) == {1}
    high = scene(region("cow", 20, 10, 100, 80), region("cow", 130, 60, 160, 100))
    assert denoted(Phrase("cow", location="front one"), high) is None


def test_one_is_one_of_the_only_kind():
    dogs = [region(*LEFT_DOG), region(*RIGHT_DOG)]
    assert denoted(Phrase("one", location="left one"), scene(*dogs)) == {0}
    assert denoted(Phrase("one", location="left one"), scene(*dogs, region("cat", 70, 30, 120, 90))) is None


@pytest.mark.parametrize("category", ["dog", "person", "car", "jeans"])
def test_an_empty_mask_is_nothing_anyone_speaks_of(category):
    things = scene(region(category, 5, 5, 5, 5))
    assert denoted(Phrase(category, location="left"), things) in (None, frozenset())
