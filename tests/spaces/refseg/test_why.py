import pytest
from choices import choices, find_choice
from segmenting import segment
from why import EXPLAINED, draw_figure, why

from hf_refseg.systems import find_system

SEEN = {
    "refseg-photos-rmi": ("reads word by word", 3),
    "refseg-shapes-mattnet": ("where the subject module looks", 1),
    "refseg-shapes-cac": ("Seven filters", 8),
    "refseg-shapes-hulanet": ("Each module finds what its words name", 3),
}


@pytest.mark.parametrize("name", SEEN)
def test_each_system_says_why(name, cat_answer, scene):
    text, panels = SEEN[name]
    choice = find_choice(name)
    answer = segment(choice, scene, ["the red circle", "xyzzy"]) if choice.on_shapes else cat_answer
    page = why(answer)
    assert text in page
    assert page.count('<figure class="panel">') == panels
    assert page.count("<details") == 1  # nothing to say about what was not asked


def test_hulanet_says_what_it_understood_and_cac_what_it_would_call_it(scene):
    (finding,) = segment(find_choice("refseg-shapes-hulanet"), scene, ["red circle above blue star"]).findings
    assert finding.notes[0].startswith("Understood: a circle that is red")
    (finding,) = segment(find_choice("refseg-shapes-cac"), scene, ["the blue star"]).findings
    assert finding.notes[0].startswith("Its captioner calls it: ")


def test_any_other_system_shows_the_figure_of_its_paper(scene):
    answer = segment(find_choice("refseg-shapes-mattnet"), scene, ["the red circle"])
    assert '<img class="figure" src="data:image/png' in draw_figure(answer, answer.findings[0])


def test_the_panels_are_those_of_systems_that_there_are():
    assert all(find_system(family).has("plotting") for family in EXPLAINED)
    assert {one.system.family for one in choices()} & set(EXPLAINED)
