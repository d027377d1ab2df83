"""No photo of an evaluation is trained on, under whatever name."""

import dataclasses
import shutil

import pytest
from PIL import Image
from raw_photo_sets import write_raw

from hf_refseg.data.leaks import LeakError
from hf_refseg.data.photos import splits
from hf_refseg.data.photos.collection import evaluated_photos, read_photos, read_written
from hf_refseg.data.photos.splits import plan_splits, refuse_overlap, same_photos

VOC = 1_000_000_000


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path)


def plan(raw):
    photos = read_photos(raw)
    return plan_splits(photos, read_written(raw, photos), evaluated_photos(raw), progress=False)


def test_every_photo_is_in_one_split(raw, monkeypatch):
    monkeypatch.setattr(splits, "HELD_OUT_PERCENT", 0)
    planned = plan(raw)
    assert planned.left_out == {9}
    assert planned.split_of.pop(1) == "val" and planned.split_of.pop(5) == "val_authored"
    assert set(planned.split_of.values()) == {"train"}
    assert set(planned.split_of) == {2, 3, 4, 6, 7, 8, VOC + 1, VOC + 2, 2 * VOC + 1}


def test_held_out_photos_have_written_expressions(raw, monkeypatch):
    monkeypatch.setattr(splits, "HELD_OUT_PERCENT", 100)
    split_of = plan(raw).split_of
    assert {image_id for image_id in split_of if split_of[image_id] == "held_out"} == {2, 4, 6, VOC + 1}
    assert split_of[1] == "val" and split_of[3] == "train"


def test_a_copy_under_another_id_is_left_out(raw):
    # A photo of VOC is the val photo 5 of COCO, smaller and compressed.

    with Image.open(raw / "photo_sets/coco_full/images/5.png") as image:
        image.convert("RGB").resize((150, 90)).save(raw / "photo_sets/voc2012_objects/images/2.png")
    assert plan(raw).left_out == {9, VOC + 2}


def test_a_copy_of_a_photo_of_another_evaluation_is_left_out(raw):
    shutil.copyfile(raw / "refcoco_mini/images/9.png", raw / "photo_sets/voc2012_objects/images/2.png")
    assert plan(raw).left_out == {9, VOC + 2}


def test_photos_with_coco_ids_are_compared_by_them(raw):
    photos = read_photos(raw)
    shutil.copyfile(photos[5].file, photos[6].file)
    assert same_photos([photos[6]], [photos[5]]) == []
    (pair,) = same_photos([dataclasses.replace(photos[6], coco_id=None)], [photos[5]])
    assert pair[1] is photos[5]
    assert same_photos([], [photos[5]]) == []


@pytest.mark.parametrize(
    ("ref", "image_id", "message"),
    [
        (1, 1, "photo 1 is in val_authored and in val"),  # a photo of both val files
        (0, 5, "are about photo 5, which is in val_authored"),  # a training sentence about a photo of val
    ],
)
def test_sentences_that_would_mix_the_splits_are_refused(raw, ref, image_id, message):
    photos = read_photos(raw)
    written = read_written(raw, photos)
    written.append(dataclasses.replace(written[ref], image_id=image_id))
    with pytest.raises(LeakError, match=message):
        plan_splits(photos, written, (), progress=False)


def test_a_wrong_plan_is_refused(raw):
    photos = read_photos(raw)
    refuse_overlap(photos, {1: "val", 2: "train", VOC + 1: "train", VOC + 2: "val"}, {9})
    with pytest.raises(LeakError, match="COCO photo 9 of train"):
        refuse_overlap(photos, {9: "train"}, {9})
    photos[77] = dataclasses.replace(photos[5], image_id=77)
    with pytest.raises(LeakError, match="COCO photo 5 is in train and in val_authored"):
        refuse_overlap(photos, {5: "val_authored", 77: "train"}, set())
