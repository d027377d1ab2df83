import io
import struct
import zlib

import numpy as np
import pytest
import torch
from choices import choices, find_choice
from page import stage
from PIL import Image
from pycocotools import mask as coco_mask
from segmenting import as_coco, read_expression, read_photo, segment, segment_on, split_expressions

import hf_refseg


def header_only(width: int, height: int) -> bytes:
    """A PNG that says to be huge."""
    header, pixels = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), zlib.compress(bytes(100))
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def test_masks_are_those_of_the_pipeline(cat):
    expressions = ["the cat", "the hair"]
    answer = segment(find_choice("refseg-photos-rmi"), cat, expressions, threshold=0.4)
    expected = hf_refseg.pipeline(model="refseg-photos-rmi")(cat, expressions, threshold=0.4)
    for finding, one in zip(answer.findings, expected, strict=True):
        np.testing.assert_array_equal(finding.mask, np.asarray(one["mask"]) > 0)
        assert finding.score == pytest.approx(one["score"])


@pytest.mark.parametrize("choice", [one for one in choices() if one.on_shapes], ids=lambda one: one.name)
def test_every_system_answers(choice, scene):
    answer = segment(choice, scene, ["the red circle", "xyzzy"])
    found, unreadable = answer.findings
    assert found.mask.shape == (scene.height, scene.width)
    assert unreadable.mask is None
    assert "xyzzy" in unreadable.unknown


def test_coco_holds_the_same_masks(cat_answer):
    coco = as_coco(cat_answer)
    assert [one["name"] for one in coco["categories"]] == ["the whyte cat", "xyzzy"]
    (annotation,) = coco["annotations"]
    mask = coco_mask.decode(annotation["segmentation"]).astype(bool)
    np.testing.assert_array_equal(mask, cat_answer.findings[0].mask)
    assert annotation["area"] == mask.sum()
    assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()


def test_similar_words_are_offered_for_unknown_ones(cat_answer):
    assert cat_answer.findings[0].unknown == {"whyte": ["white", "why"]}
    assert cat_answer.findings[0].mask.any()


def test_words_that_are_not_read_are_told():
    processor, _ = find_choice("refseg-photos-rmi").load("cpu")
    assert read_expression("the cat " * 11, processor).unread == ["the", "cat"]


def test_large_photos_are_made_smaller_and_all_kinds_are_read():
    assert read_photo(Image.new("CMYK", (4000, 1000))).size == (2000, 500)
    file = io.BytesIO()
    Image.new("RGBA", (30, 20)).save(file, "PNG")
    assert read_photo(file.getvalue()).mode == "RGB"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"this is text", "the photo is not an image"),
        (header_only(60_000, 60_000), "unpacks to more pixels than the limit"),
        (b"", "the photo is not an image"),
    ],
    ids=["text", "bomb", "empty"],
)
def test_what_is_no_photo_is_refused(data, message):
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ValueError, match=message):
        read_photo(data)
    assert Image.MAX_IMAGE_PIXELS == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "Type what to find"),
        (" \n ", "Type what to find"),
        ("\n".join(map(str, range(9))), "These are 9 expressions"),
        ("x" * 5000, "has 5,000 characters"),
    ],
    ids=["none", "blank", "many", "long"],
)
def test_bad_expressions_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        split_expressions(text)


def test_expressions_are_cleaned_and_asked_once():
    assert split_expressions(" the  cat \n\nthe dog\nthe cat") == ["the cat", "the dog"]


def test_the_time_is_told(cat_answer):
    assert cat_answer.seconds > 0
    assert "refseg-photos-rmi" in stage(cat_answer)


@pytest.mark.gpu
@pytest.mark.parametrize("choice", choices(), ids=lambda one: one.name)
def test_a_gpu_is_used_where_there_is_one(choice, scene):
    expected, answer = segment_on("cpu", choice, scene, ["the red circle"]), segment(choice, scene, ["the red circle"])
    assert choice.load("cuda")[1].device.type == "cuda"
    (mask,), (found,) = ([finding.mask for finding in one.findings] for one in (expected, answer))
    assert (mask & found).sum() >= 0.99 * (mask | found).sum()
    assert all(value.device.type == "cpu" for value in answer.explanation.values() if isinstance(value, torch.Tensor))
