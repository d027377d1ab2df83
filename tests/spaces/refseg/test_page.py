import base64
import io
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
from choices import find_choice
from page import cut_outs, file_name, marked, stage
from PIL import Image
from segmenting import Answer, Finding

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def answer() -> Answer:
    left, right = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    left[2:8, 3:9], right[:, 20:] = True, True
    findings = [
        Finding("the cat", left, 0.9, [3, 2, 9, 8]),
        Finding(EVIL, right, 0.5, [20, 0, 30, 20], unknown={"script": ["striped"]}),
        Finding("nothing", np.zeros((20, 30), bool), 0.1),
        Finding("xyzzy", unknown={"xyzzy": []}),
    ]
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8))
    return Answer(photo, find_choice("refseg-photos-rmi"), findings, None, 0.2)


def test_stage_has_a_layer_per_mask_and_a_label_per_expression(answer):
    elements = Elements(stage(answer))
    assert [one["class"] for one in elements.of("img") if "class" in one] == ["mask m0", "mask m1"]
    assert len(elements.of("button")) == 4
    assert all(one["alt"] for one in elements.of("img"))
    assert "nothing found" in stage(answer)
    assert "none of its words is known" in stage(answer)


def test_what_visitors_write_is_text(answer):
    for page in (stage(answer), cut_outs(answer)):
        assert not Elements(page).of("script")
        assert not any("onerror" in attributes for _, attributes in Elements(page).found)


def test_unknown_words_are_marked_and_others_offered(answer):
    assert marked(Finding("the Xyzzy cat", unknown={"xyzzy": []})) == (
        'the <mark title="not in its vocabulary">Xyzzy</mark> cat'
    )
    assert "Try <b>striped</b>" in stage(answer)


def test_cut_outs_and_masks_have_the_pixels_of_the_photo(answer):
    links = {one["download"]: one["href"] for one in Elements(cut_outs(answer)).of("a")}
    pictures = {
        name: Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
        for name, uri in links.items()
        if name.endswith(".png")
    }
    np.testing.assert_array_equal(np.asarray(pictures["mask-1-the-cat.png"]), answer.findings[0].mask)
    assert pictures["cut-out-1-the-cat.png"].size == (6, 6)
    coco = json.loads(unquote(links["masks-coco.json"].partition(",")[2]))
    assert len(coco["annotations"]) == 2


def test_nothing_found_is_told():
    finding = Finding("a", np.zeros((4, 4), bool), 0.0)
    answer = Answer(Image.new("RGB", (4, 4)), find_choice("refseg-photos-rmi"), [finding], None, 0.1)
    assert "Nothing was found to cut out" in cut_outs(answer)


def test_file_names_are_letters_and_digits():
    assert file_name(0, "../../etc/passwd") == "1-etc-passwd"
    assert file_name(1, "狗") == "2-found"


def test_masks_are_opaque_at_their_outline_only(cat_answer):
    (mask,) = (one for one in Elements(stage(cat_answer)).of("img") if one.get("class") == "mask m0")
    alpha = np.asarray(Image.open(io.BytesIO(base64.b64decode(mask["src"].partition(",")[2]))))[..., 3]
    assert set(np.unique(alpha)) == {0, 110, 255}
    assert re.search(r"\d+% of the picture, score 0\.\d\d", stage(cat_answer))
