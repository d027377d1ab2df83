import pytest
from choices import choices
from shapes import DIALECTS, any_scene, ask, expressions, systems


@pytest.mark.parametrize("dialect", [name for _, name in DIALECTS])
def test_a_seed_gives_the_same_scene(dialect):
    assert expressions(3, dialect) == expressions(3, dialect)
    assert len(expressions(3, dialect)) >= 2


def test_answers_are_checked_where_the_truth_is_known():
    choice = next(one for one in choices() if one.on_shapes)
    said = expressions(1, "refcoco")[0]
    answer, truth = ask(1, "refcoco", said, choice)
    assert truth.startswith("IoU with what is meant: <b>")
    assert answer.findings[0].expression == said
    assert ask(1, "refcoco", "the red circle", choice)[1] == ""


def test_only_systems_of_shapes_are_offered():
    assert {name for _, name in systems()} == {one.name for one in choices() if one.on_shapes}


def test_any_scene_comes_with_an_expression():
    picture, text = any_scene()
    assert picture.size == (128, 128)
    assert text
