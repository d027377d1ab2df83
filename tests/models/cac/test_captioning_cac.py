"""Words for the regions of a photo, in Python and on the command line."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg import cli
from hf_refseg.models.cac.captioning_cac import caption_regions
from hf_refseg.models.cac.processing_cac import CacProcessor
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.rmi.processing_rmi import RmiProcessor
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from tests.tiny import tiny_cac, tiny_rmi

BOXES = [[4, 6, 30, 40], [20, 10, 64, 48]]


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizer_from_sentences(["the red dog left of the cat"], padding_side="right")


@pytest.fixture(scope="module")
def processor(tokenizer):
    return CacProcessor(MaskRcnnImageProcessor(size={"shortest_edge": 96, "longest_edge": 160}), tokenizer)


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    return tiny_cac(vocab_size=len(tokenizer), max_length=4)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))


def test_every_region_is_described_in_words_of_the_vocabulary(model, processor, photo):
    answers = caption_regions(model, processor, photo, BOXES)
    assert [answer["box"] for answer in answers] == BOXES
    words = {word for answer in answers for word in answer["caption"].split()}
    assert words <= processor.tokenizer.get_vocab().keys() - {"<pad>"}
    assert all(0 < answer["probability"] < 1 for answer in answers)
    greedy = caption_regions(model, processor, photo, BOXES, num_beams=1)
    assert all(one["probability"] <= other["probability"] + 1e-6 for one, other in zip(greedy, answers, strict=True))


def test_masks_alone_have_their_own_boxes(model, processor, photo):
    masks = np.zeros((1, 48, 64), bool)
    masks[0, 10:30, 20:50] = True
    (answer,) = caption_regions(model, processor, photo, masks=masks)
    assert answer["box"] == [20, 10, 50, 30]


def test_something_must_be_described(model, processor, photo):
    with pytest.raises(ValueError, match="give either regions"):
        caption_regions(model, processor, photo)


def test_the_command_prints_a_line_per_box(model, processor, photo, tmp_path, capsys):
    folder, path = tmp_path / "cac", tmp_path / "photo.png"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    photo.save(path)
    boxes = [word for box in BOXES for word in ("--box", *map(str, box))]
    assert cli.main(["caption", str(path), *boxes, "--model", str(folder), "--beams", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = caption_regions(model, processor, photo, BOXES, num_beams=2)
    assert len(lines) == 2 and lines[0].startswith(f"[4, 6, 30, 40]: {expected[0]['caption']} (")


def test_the_command_draws_what_the_filters_found(model, processor, photo, tmp_path, capsys):
    folder, path, maps = tmp_path / "cac", tmp_path / "photo.png", tmp_path / "maps.png"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    photo.save(path)
    command = ["segment", str(path), "the red dog", "--model", str(folder), "--word-maps", str(maps)]
    assert cli.main(command) == 0 and "the red dog: area" in capsys.readouterr().out
    assert Image.open(maps).width > 1000


def test_the_command_names_a_model_without_captioner(tokenizer, photo, tmp_path, capsys):
    tiny_rmi(vocab_size=len(tokenizer)).save_pretrained(tmp_path / "rmi")
    RmiProcessor(tokenizer=tokenizer).save_pretrained(tmp_path / "rmi")
    photo.save(tmp_path / "photo.png")
    command = ["caption", str(tmp_path / "photo.png"), "--box", "0", "0", "9", "9", "--model", str(tmp_path / "rmi")]
    assert cli.main(command) == 2
    assert "is a refseg_rmi, which has no captioner; models of refseg_cac have one" in capsys.readouterr().err
