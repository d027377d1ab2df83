import re

import numpy as np
import pytest
import torch
from choices import find_choice
from PIL import Image
from segmenting import segment
from why import why
from why_regions import answer_first, group_regions, none_of_them, overview, say_choice, share_bar, spotlight

from hf_refseg.plotting import COLORS


@pytest.fixture(scope="module")
def answer(cat):
    return segment(find_choice("refseg-photos"), cat, ["the whyte cat", "the zebra"])


def section(answer, number: int) -> str:
    return re.findall("<details.*?</details>", why(answer), re.DOTALL)[number]


def titles(page: str) -> list[str]:
    """What stands below the panels, in bold."""
    return re.findall("<figcaption>.*?<b>(.*?)</b>", page)


def test_the_likeliest_region_comes_first_and_unknown_words_are_marked(answer):
    page = section(answer, 0)
    assert titles(page)[0] == "1, the answer"
    assert "none of them" in titles(page)
    assert '<th scope="col"><mark title="not in its vocabulary">whyte</mark></th>' in page
    boxes = len(answer.explanation.region_boxes[0])
    assert f"the {boxes} regions that it chose among" in page


def test_none_of_them_comes_first_where_it_wins(answer):
    page = section(answer, 1)
    assert not answer.findings[1].mask.any()
    assert titles(page)[0] == "none of them"
    assert "so there is no mask" in page
    assert "the answer" not in "".join(titles(page))


def test_the_probabilities_shown_are_those_of_the_model(answer):
    page, explanation = section(answer, 0), answer.explanation
    shown = [float(one) for one in re.findall(r"--share: ([\d.]+)", page)]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] == pytest.approx(float(explanation.probabilities[0].max()), abs=1e-3)
    assert any(one == pytest.approx(float(explanation.nothing[0]), abs=1e-3) for one in shown)


def test_each_module_counts_and_listens_as_the_model_says(answer):
    page, explanation = section(answer, 0), answer.explanation
    counts = explanation.module_weights[0] / len(explanation.modules)
    for name, count, line in zip(explanation.modules, counts, explanation.word_attentions[0], strict=True):
        assert f"{name}<br><small>counts {float(count):.0%}</small>" in page
        assert f"{float(line[2]):.2f}</td>" in page


def test_regions_of_one_thing_stand_together():
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60], [1, 0, 10, 10], [90, 0, 99, 9]])
    assert group_regions(boxes, torch.tensor([0.2, 0.1, 0.4, 0.05])) == [[2, 0], [1], [3]]


def test_how_the_choice_came_about_is_said():
    chosen = torch.tensor([True, False])
    assert "The words mean several things" in say_choice(chosen, 0.1, several=0.9)
    assert "Of the likely regions the answer is the one" in say_choice(chosen, 0.1, several=0.1)
    assert "likelier (90%) than all regions together" in say_choice(~chosen & False, 0.9, several=0.1)


def test_the_region_of_the_answer_stands_for_its_thing():
    assert answer_first([2, 0, 1], torch.tensor([True, False, False])) == [0, 2, 1]
    assert answer_first([2, 0, 1], torch.tensor([False, False, False])) == [2, 0, 1]


def test_none_of_them_says_no_mask_only_where_there_is_none():
    """It may be likelier than all regions and not likely enough, see `nothing_threshold`."""
    assert "no mask" in none_of_them(0.6, wins=True) and "no mask" not in none_of_them(0.6, wins=False)


def test_pictures_keep_the_region_and_darken_the_rest():
    photo = Image.new("RGB", (640, 320), (200, 100, 50))
    pixels = np.asarray(spotlight(photo, torch.tensor([320.0, 0, 640, 320]), torch.tensor(False)))
    assert pixels.shape == (160, 320, 3)
    assert tuple(pixels[80, 240]) == (200, 100, 50)
    assert len(set(pixels[80, 80].tolist())) == 1 and pixels[80, 80, 0] < 100
    drawn = np.asarray(overview(photo, torch.tensor([[0.0, 0, 320, 320]]), torch.tensor([True]), [0]))
    assert tuple(drawn[160, 1]) == COLORS[0]


def test_small_probabilities_are_not_called_zero():
    assert "under 1%" in share_bar("1", 0.001, [])
