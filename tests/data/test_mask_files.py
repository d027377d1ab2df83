"""Masks beside text files."""

import numpy as np
import pytest
from PIL import Image

from hf_refseg.data.mask_files import MaskFiles


@pytest.fixture
def folder(tmp_path):
    """Two photos, one of them with two things."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    Image.new("RGB", (30, 20), "gray").save(tmp_path / "images" / "mug.jpg")
    Image.new("RGB", (30, 20), "gray").save(tmp_path / "desk 7.png")
    for number, (name, texts) in enumerate(
        [("mug", "the mug\n\n the red mug \n"), ("mug-2", "the other mug"), ("desk 7", "\ufeffthe desk")]
    ):
        mask = np.zeros((20, 30), np.uint8)
        mask[5:10, 10 * number : 10 * number + 5] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
        (tmp_path / "masks" / f"{name}.txt").write_text(texts, encoding="utf-8")
    return tmp_path


def test_masks_texts_and_photos_find_each_other(folder):
    rows = MaskFiles(folder)
    assert list(rows.sentences()) == ["the desk", "the other mug", "the mug", "the red mug"]
    assert [rows.image_record(index)["file_name"] for index in range(3)] == ["desk 7.png", *["images/mug.jpg"] * 2]
    assert len(set(rows.image_ids())) == 2
    assert rows[2]["image"].size == (30, 20) and np.asarray(rows[2]["mask"]).sum() == 25
    assert rows[2]["boxes"] == [[0, 5, 5, 10]] and rows[2]["split"] == "train"


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ("masks/mug.txt", "mug.png has no mug.txt beside it"),
        ("masks/desk 7.png", "desk 7.txt has no desk 7.png beside it"),
        ("images/mug.jpg", "mug-2.png has no photo: there is no mug-2.jpg in .*images"),
    ],
)
def test_what_is_missing_is_named(folder, removed, message):
    (folder / removed).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        MaskFiles(folder)


def test_names_as_a_mac_and_a_camera_write_them(folder):
    (folder / "images" / "mug.jpg").rename(folder / "images" / "cafe\u0301.JPG")
    for name in ("mug", "mug-2"):
        for suffix in (".png", ".txt"):
            new = name.replace("mug", "caf\u00e9") + suffix.upper()
            (folder / "masks" / f"{name}{suffix}").rename(folder / "masks" / new)
    for place in ("masks/._caf\u00e9.png", "masks/.DS_Store", "images/._mug.jpg"):
        (folder / place).write_bytes(b"Mac OS X")
    rows = MaskFiles(folder)
    assert list(rows.sentences()) == ["the other mug", "the mug", "the red mug", "the desk"]
    assert rows[1]["image"].size == (30, 20)


def test_a_mask_of_two_photos_is_refused(folder):
    Image.new("RGB", (30, 20)).save(folder / "images" / "desk.png")  # of no mask
    Image.new("RGB", (30, 20)).save(folder / "images" / "desk.jpg")
    assert len(MaskFiles(folder)) == 3
    Image.new("RGB", (30, 20)).save(folder / "mug.png")
    with pytest.raises(ValueError, match=r"mug-2.png is of images/mug.jpg or mug.png: give each photo a name"):
        MaskFiles(folder)


def test_a_text_that_is_none_is_named(folder):
    (folder / "masks" / "mug.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(ValueError, match=r"mug.txt is not a text in UTF-16 .*save it in UTF-8"):
        MaskFiles(folder)
    (folder / "masks" / "mug.txt").write_bytes("the mug".encode("utf-16"))
    rows = MaskFiles(folder)
    assert ["the mug"] in [rows.sentences_of(index) for index in range(len(rows))]
