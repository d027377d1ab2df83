"""Own photos in any layout, and the draw of those that are held out."""

import json

import pytest
from photo_folder import ref, write_folder
from PIL import Image

from hf_refseg.data.own_photos import load_own_photos, open_splits
from tests.data.test_coco_exports import annotation, write


def test_the_folders_own_splits_are_used(tmp_path):
    refs = [ref(number, split) for number, split in enumerate(["train", "train", "train", "val", "test"], 1)]
    train, val = load_own_photos(write_folder(tmp_path, "refer", range(1, 6), refs))
    assert (len(train), len(val)) == (3, 1) and val[0]["image_id"] == 4


@pytest.mark.parametrize("names", [("train", "valid"), ("training", "dev"), ("train", "validation")])
def test_splits_have_the_names_that_tools_give_them(tmp_path, names, caplog):
    """The drawn ones would measure by photos that were meant to be learned from, and leave out the others."""
    for number in range(5):
        Image.new("RGB", (8, 6)).save(tmp_path / f"{number}.png")
    Image.new("1", (8, 6), 1).save(tmp_path / "m.png")
    lines = [
        {"file_name": f"{number}.png", "mask": "m.png", "text": "a cup", "split": split}
        for number, split in enumerate([names[0]] * 3 + [names[1], "extra"])
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    train, val = load_own_photos(tmp_path)
    assert (len(train), len(val)) == (3, 1)
    assert "only train and val are read, not extra" in caplog.text


def test_without_splits_photos_are_drawn_whole(tmp_path):
    """Two things of one photo are on the same side."""
    names = {number: f"{number}.jpg" for number in range(10)}
    annotations = [annotation(2 * number + side, number, x) for number in names for side, x in enumerate((10, 60))]
    write(tmp_path / "result.json", names, annotations, [{"id": 1, "name": "mug"}], tmp_path / "images")
    train, val = load_own_photos(tmp_path)
    assert (len(train), len(val)) == (16, 4)
    assert not set(train.image_ids()) & set(val.image_ids())
    assert list(load_own_photos(tmp_path)[1].image_ids()) == list(val.image_ids())
    assert list(load_own_photos(tmp_path, seed=1)[1].image_ids()) != list(val.image_ids())
    assert len(set(load_own_photos(tmp_path, val_share=0.01)[1].image_ids())) == 2
    with pytest.raises(ValueError, match="val_share is 0.95: of 10 photos none"):
        load_own_photos(tmp_path, val_share=0.95)


def test_copies_of_a_photo_stay_together(tmp_path):
    """Roboflow turns and brightens photos; a copy in training would make the measured number a lie."""
    names = {number: f"{number // 3}_jpg.rf.{number:04x}.jpg" for number in range(18)}
    annotations = [annotation(number, number, 10) for number in names]
    write(
        tmp_path / "train" / "_annotations.coco.json",
        names,
        annotations,
        [{"id": 1, "name": "mug"}],
        tmp_path / "train",
    )
    train, val = load_own_photos(tmp_path)
    photos = [{rows.file_name_of(index).split("_")[0] for index in range(len(rows))} for rows in (train, val)]
    assert len(photos[0]) == 4 and len(photos[1]) == 2 and not photos[0] & photos[1]
    assert (len(train), len(val)) == (12, 6)


def test_a_metadata_file(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "1.png")
    Image.new("1", (8, 6), 1).save(tmp_path / "m.png")
    lines = [{"file_name": "1.png", "mask": "m.png", "text": "a cup", "split": split} for split in ("train", "val")]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert {split: len(rows) for split, rows in open_splits(tmp_path).items()} == {"train": 1, "val": 1}
    with pytest.raises(ValueError, match="has 1 photos with masks and expressions; give 4 or more"):
        load_own_photos(tmp_path)


def test_what_is_no_layout_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_own_photos(tmp_path / "none")
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="is in no layout that can be read: RefCOCO's"):
        load_own_photos(tmp_path)


def test_a_folder_without_a_training_split(tmp_path):
    folder = write_folder(tmp_path, "refer", [1], [ref(1, "val")])
    with pytest.raises(ValueError, match="has the splits val, none of them train"):
        load_own_photos(folder)
