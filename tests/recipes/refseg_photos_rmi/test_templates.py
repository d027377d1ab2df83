"""Templates are true: each names one instance, and says of it what the masks say."""

import numpy as np
import pytest

from hf_refseg.data.coco_categories import NOUNS
from recipes.refseg_photos_rmi.categories import LOOK_ALIKES, absent_categories, look_alikes
from recipes.refseg_photos_rmi.templates import (
    TEMPLATE_WORDS,
    Scene,
    absent_expressions,
    main_color,
    template_expressions,
)


def scene(*objects, colors=None, crowd=()) -> Scene:
    """A 100 x 200 scene of (category, left, top, right, bottom) boxes."""
    masks = np.zeros((len(objects), 100, 200), dtype=bool)
    pixels = np.full((100, 200, 3), 128, dtype=np.uint8)
    for index, (_, left, top, right, bottom) in enumerate(objects):
        masks[index, top:bottom, left:right] = True
        if colors:
            pixels[masks[index]] = colors[index]
    flags = np.isin(np.arange(len(objects)), crowd)
    return Scene([name for name, *_ in objects], masks, flags, pixels)


def said_of(drawn: Scene, index: int, draws: int = 400) -> set[str]:
    """Everything said of an instance, articles dropped and nouns replaced by the category."""
    said = set()
    for text, target in template_expressions(drawn, np.random.default_rng(0), draws):
        if target == index:
            text = text.removeprefix("the ")
            for noun in sorted(NOUNS[drawn.categories[index]], key=len, reverse=True):
                text = text.replace(noun, drawn.categories[index])
            said.add(text)
    return said


def test_left_is_left_and_front_is_near():
    drawn = scene(("dog", 10, 60, 80, 100), ("dog", 150, 20, 170, 40))
    assert {"dog on the left", "leftmost dog", "bottom dog", "larger dog", "dog in front"} <= said_of(drawn, 0)
    assert {"dog on the right", "rightmost dog", "top dog", "smaller dog", "dog in the background"} <= said_of(drawn, 1)
    assert not any(word in text for text in said_of(drawn, 0) for word in ("right", "top", "small", "behind"))
    assert "dog" not in said_of(drawn, 0)  # of two dogs "the dog" is neither


def test_alone_in_its_category_needs_no_place():
    drawn = scene(("dog", 10, 60, 80, 100), ("cat", 150, 20, 170, 40))
    assert "dog" in said_of(drawn, 0) and "cat" in said_of(drawn, 1)


def test_neighbors_too_close_to_call_are_not_called():
    drawn = scene(("dog", 10, 40, 60, 80), ("dog", 14, 42, 64, 82))
    assert template_expressions(drawn, np.random.default_rng(0), 5) == []


def test_crowds_and_specks_are_not_named():
    drawn = scene(("person", 0, 0, 100, 50), ("person", 120, 0, 180, 90), ("dog", 0, 0, 3, 3), crowd=[0])
    assert template_expressions(drawn, np.random.default_rng(0), 5) == []


def test_color_is_said_only_where_it_tells_apart():
    objects = [("car", 0, 0, 60, 50), ("car", 100, 0, 160, 50)]
    assert "red car" in said_of(scene(*objects, colors=[(200, 20, 20), (20, 20, 200)]), 0)
    assert "red car" not in said_of(scene(*objects, colors=[(200, 20, 20), (200, 20, 20)]), 0)


def test_relation_needs_a_landmark_that_touches_no_other():
    drawn = scene(("person", 0, 0, 40, 100), ("person", 150, 0, 190, 100), ("dog", 40, 60, 60, 100))
    near = {text for text, target in template_expressions(drawn, np.random.default_rng(0), 400) if "next to" in text}
    assert any("next to the dog" in text for text in near)
    said = [t for text, t in template_expressions(drawn, np.random.default_rng(0), 400) if "next to the dog" in text]
    assert set(said) == {0}


@pytest.mark.parametrize(
    ("rgb", "word"),
    [
        ((220, 30, 30), "red"),
        ((240, 140, 20), "orange"),
        ((110, 70, 30), "brown"),
        ((230, 220, 40), "yellow"),
        ((40, 160, 60), "green"),
        ((40, 70, 200), "blue"),
        ((250, 250, 250), "white"),
        ((120, 120, 120), "gray"),
        ((10, 10, 10), "black"),
    ],
)
def test_color_words(rgb, word):
    assert main_color(np.tile(np.uint8(rgb), (50, 1))) == word


def test_no_color_without_a_majority():
    pixels = np.repeat(np.uint8([(220, 30, 30), (40, 70, 200), (40, 160, 60)]), 10, axis=0)
    assert main_color(pixels) is None


def test_absent_things_are_neither_there_nor_look_like_it():
    present = {"car", "cup"}
    names = absent_categories(present)
    assert not {"car", "truck", "bus", "cup", "bowl", "bottle"} & set(names)
    assert {"dog", "person"} <= set(names)
    nouns = {noun for name in names for noun in NOUNS[name]}
    for text in absent_expressions(present, np.random.default_rng(0), 200):
        assert any(noun in text for noun in nouns), text


def test_look_alikes_are_coco_categories_and_mutual():
    assert len(NOUNS) == 80
    assert set().union(*LOOK_ALIKES) <= set(NOUNS)
    assert all(name in look_alikes(other) for name in NOUNS for other in look_alikes(name))


def test_same_seed_same_expressions_and_no_word_outside_the_declared_vocabulary():
    drawn = scene(
        *[("dog", 10, 60, 80, 100), ("dog", 150, 20, 170, 40), ("cat", 90, 10, 130, 40), ("person", 85, 40, 120, 95)],
        colors=[(200, 20, 20), (20, 20, 200), (240, 240, 240), (10, 10, 10)],
    )
    first = template_expressions(drawn, np.random.default_rng(3), 300)
    assert first == template_expressions(drawn, np.random.default_rng(3), 300)
    known = set(TEMPLATE_WORDS.split()) | {word for nouns in NOUNS.values() for noun in nouns for word in noun.split()}
    absent = absent_expressions({"dog"}, np.random.default_rng(3), 300)
    assert {word for text in [text for text, _ in first] + absent for word in text.split()} <= known
