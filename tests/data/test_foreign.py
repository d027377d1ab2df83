"""Copies of RefCOCO with other columns are read where they are well known, and told apart where they are not."""

import io
import json

import numpy as np
import pytest
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image

from hf_refseg.data import decode_mask, load

SQUARE = [6.0, 5.0, 26.0, 5.0, 26.0, 25.0, 6.0, 25.0]


def picture_bytes():
    stream = io.BytesIO()
    Image.new("RGB", (64, 48), (60, 60, 60)).save(stream, "PNG")
    return stream.getvalue()


def write(table, folder, split="val", card=True):
    (folder / "data").mkdir(parents=True)
    table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    if card:
        lines = ["---", "configs:", "- config_name: default", "  data_files:", f"  - split: {split}"]
        (folder / "README.md").write_text("\n".join([*lines, f"    path: data/{split}-*", "---", ""]))
    return folder


def lmms_lab(**changes):
    row = {
        "question_id": "1",
        "image": {"bytes": picture_bytes(), "path": None},
        "question": "where?",
        "answer": ["the red square", "square"],
        "segmentation": SQUARE,
        "bbox": [6.0, 5.0, 20.0, 20.0],
        "iscrowd": 0,
        "file_name": "COCO_train2014_000000000123_4.jpg",
    }
    return Dataset.from_list([row | changes]).cast_column("image", ImageFeature())


def jxu124():
    annotation = {"id": 11, "image_id": 123, "bbox": [6, 5, 20, 20], "segmentation": [SQUARE], "iscrowd": 0}
    image = {"id": 123, "file_name": "COCO_train2014_000000000123.jpg", "height": 48, "width": 64}
    sentence = {"raw": "Square", "sent": "square", "sent_id": 5, "tokens": ["square"]}
    row = {"ref_id": 9, "ann_id": 11, "sentences": [sentence], "split": "val", "bbox": [6.0, 5, 26, 25]}
    return Dataset.from_list([row | {"raw_anns": json.dumps(annotation), "raw_image_info": json.dumps(image)}])


@pytest.mark.parametrize("card", [True, False])
def test_lmms_lab(tmp_path, card):
    folder = write(lmms_lab(), tmp_path / "RefCOCO", card=card)
    for split in ("val", "validation"):
        rows = load(folder, split)
        assert len(rows) == 1 and list(rows.sentences()) == ["the red square", "square"]
    (row,) = rows
    assert (row["image_id"], row["image"].size, row["boxes"]) == (123, (64, 48), [[6.0, 5.0, 26.0, 25.0]])
    assert [sentence["tokens"] for sentence in row["sentences"]] == [["the", "red", "square"], ["square"]]
    assert decode_mask(row["mask"]).sum() == 400 and np.asarray(row["mask"])[5:25, 6:26].all()
    assert "image" not in load(folder, "val", images=False)[0]
    with pytest.raises(ValueError, match="holds its own pictures: images=.* would not be read"):
        load(folder, "val", images=tmp_path)
    assert list(rows.image_ids()) == [123] and rows.take(1)[0]["ref_id"] == row["ref_id"]


@pytest.mark.parametrize("card", [True, False])
def test_jxu124(tmp_path, card):
    folder = write(jxu124(), tmp_path / "refcoco", card=card)
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "pictures" / "COCO_train2014_000000000123.jpg")
    (row,) = load(folder, "val", images=tmp_path / "pictures")
    assert (row["ref_id"], row["ann_ids"], row["image"].size) == (9, [11], (64, 48))
    assert row["sentences"] == [{"sent_id": 5, "sent": "square", "tokens": ["square"]}]
    assert decode_mask(row["mask"]).sum() == 400
    assert load(folder, "val", images=False)[0]["boxes"] == [[6.0, 5.0, 26.0, 25.0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [1.0, 2.0]}, "RefCOCO, row 0 of val: its bbox: it is"),
        ({"segmentation": [1.0, 2.0]}, "row 0 of val: .* a polygon of 2 numbers"),
        ({"segmentation": [1e12] * 6}, "row 0 of val: .* pixels"),
        ({"image": {"bytes": b"none", "path": None}}, "row 0 is not an image"),
    ],
)
def test_damaged_rows_are_named(tmp_path, changes, message):
    rows = load(write(lmms_lab(**changes), tmp_path / "RefCOCO"), "val")
    with pytest.raises(ValueError, match=message):
        rows[0]


@pytest.mark.parametrize("card", [True, False])
def test_others_are_told_what_lacks(tmp_path, card):
    folder = write(lmms_lab().rename_column("answer", "reply"), tmp_path / "RefCOCO", card=card)
    for options in ({}, {"images": False}):
        with pytest.raises(
            ValueError, match=r"has no columns image_id, .*Its columns are .*reply.*neither those of lmms"
        ):
            load(folder, "val", **options)


@pytest.mark.parametrize("answer", [[None], [["a"]], None])
def test_answers_that_are_no_texts_are_named(tmp_path, answer):
    folder = write(lmms_lab(answer=answer), tmp_path / "RefCOCO")
    with pytest.raises(ValueError, match="row 0 of val: its answer is .*, expected a text or a list of texts"):
        load(folder, "val")[0]
