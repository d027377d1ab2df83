"""Pictures, masks and sentences without any of the official layouts."""

import json

import numpy as np
import pytest
from PIL import Image

from hf_refseg.data import load, load_triples, rows_from_triples

MASK = np.zeros((20, 30), bool)
MASK[5:10, 3:9] = True


@pytest.fixture
def folder(tmp_path):
    for name in ("photos", "masks"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (30, 20), (200, 30, 30)).save(tmp_path / "photos" / "1.jpg")
    Image.fromarray(MASK.astype(np.uint8) * 255).save(tmp_path / "masks" / "left.png")
    Image.fromarray(MASK[::-1]).save(tmp_path / "masks" / "right.png")
    return tmp_path


def line(**changes):
    return {"file_name": "photos/1.jpg", "mask": "masks/left.png", "text": "the dog", **changes}


def write(folder, *lines):
    (folder / "metadata.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8-sig")
    return folder


def test_a_folder_of_triples(folder):
    write(folder, line(text=["the dog", "."]), line(mask="masks/right.png", split="val"), line(text=""))
    rows = load(folder, "train")
    assert rows.notes == {"sentences without a word, left out": 2, "masks without a sentence, left out": 1}
    (row,) = rows
    assert row["image"].size == (30, 20) and np.array_equal(row["mask"], MASK)
    assert row["boxes"] == [[3.0, 5.0, 9.0, 10.0]] and [one["sent"] for one in row["sentences"]] == ["the dog"]
    (other,) = load(folder, "validation")
    assert np.array_equal(other["mask"], MASK[::-1]) and other["image_id"] == row["image_id"]
    assert other["ref_id"] != row["ref_id"] and rows.counts() == (1, 1, 1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_of_json(folder, encoding):
    (folder / "metadata.jsonl").write_bytes(json.dumps(line(text="la t\u00eate"), ensure_ascii=False).encode(encoding))
    assert load_triples(folder).sentences_of(0) == ["la t\u00eate"]


def test_another_encoding_is_named(folder):
    (folder / "metadata.jsonl").write_bytes(json.dumps(line(text="la t\u00eate"), ensure_ascii=False).encode("latin1"))
    with pytest.raises(ValueError, match=r"metadata.jsonl is not a text in UTF-8 \(invalid .* at byte \d+\): save it"):
        load_triples(folder)


def test_texts_that_no_processor_reads_are_left_out_when_the_folder_is_opened(folder):
    write(folder, line(text=["the dog", "half \ud83d", "word " * 50_000]), line(text="\udc00"))
    rows = load_triples(folder)
    assert rows.sentences_of(0) == ["the dog"] and len(rows) == 1
    assert rows.notes == {"sentences without a word, left out": 3, "masks without a sentence, left out": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": "masks/none.png"}, "metadata.jsonl, line 2: there is no file .*none.png"),
        ({"mask": "../m.png"}, r"line 2: ../m.png lies outside of .*; paths are relative to the folder"),
        ({"file_name": "/etc/passwd"}, "line 2: /etc/passwd lies outside of"),
        ({"mask": "m" * 5000}, "line 2: there is no file"),
        ({"text": 5}, "line 2: its text is 5, expected a sentence"),
        ({"split": 5}, "line 2: its split is 5"),
        ({"file_name": None}, "line 2: its file_name is None"),
    ],
)
def test_lines_that_are_wrong_are_named(folder, changes, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load(write(folder, line(), line(**changes)), "train")


def test_files_that_are_wrong_are_named(folder):
    with pytest.raises(ValueError, match=r"line 1 lacks \['text'\]"):
        load(write(folder, {"file_name": "photos/1.jpg", "mask": "masks/left.png"}), "train")
    with pytest.raises(ValueError, match="has no split 'test'; it has .'train'"):
        load(write(folder, line()), "test")
    (folder / "metadata.jsonl").write_text("photos/1.jpg, masks/left.png")
    with pytest.raises(ValueError, match="line 1 is not JSON"):
        load(folder, "train")
    write(folder, line())
    Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).save(folder / "masks" / "left.png")
    with pytest.raises(ValueError, match="left.png is no mask: it holds 0, 1, 2"):
        load(folder, "train")[0]
    Image.fromarray(MASK[:10]).save(folder / "masks" / "left.png")
    with pytest.raises(ValueError, match="1.jpg is .30, 20., the annotations of image_id 0 are for .30, 10."):
        load(folder, "train")
    (folder / "masks" / "left.png").write_bytes(b"none")
    with pytest.raises(ValueError, match="left.png is not an image"):
        load(folder, "train")
    with pytest.raises(ValueError, match="left.png can't be read as a mask"):
        load_triples(folder)[0]


@pytest.mark.parametrize("damage", [{"mask": "masks/none.png"}, {"text": 5}, {"split": None}, {"file_name": ["a"]}])
def test_damaged_lines_can_be_skipped_and_are_counted(folder, damage, caplog):
    write(folder, line(), line(**damage))
    rows = load(folder, "train", skip_unreadable=True)
    assert len(rows) == 1 and rows.notes == {"lines of all splits that are damaged, left out": 1}
    assert "metadata.jsonl, line 2" in caplog.text
    with pytest.raises((ValueError, FileNotFoundError), match="metadata.jsonl, line 2"):
        load(folder, "train")


def test_triples_in_memory():
    image = Image.new("RGB", (30, 20))
    rows = rows_from_triples([(image, MASK, "the dog"), (image, MASK * 255, ["the cat", "a cat"])], split="val")
    assert [row["image_id"] for row in rows] == [0, 0] and rows.split == "val"
    assert list(rows.sentences()) == ["the dog", "the cat", "a cat"] and np.array_equal(rows[1]["mask"], MASK)
    for triple, message in (
        ((image, MASK[:10], "a"), "the mask of triple 0 is .30, 10., its image .30, 20."),
        ((image, MASK * 0.5, "a"), "the mask of triple 0 is no mask"),
        ((image, MASK, "."), "triple 0: its sentence is '.'"),
        ((image, MASK, []), "triple 0: its sentence is "),
    ):
        with pytest.raises(ValueError, match=message):
            rows_from_triples([triple])


def test_separators_of_lines_within_a_text(folder):
    """JSON may hold them as they are, and Word writes them."""
    text = "the dog\u2028on the left\u0085"
    (folder / "metadata.jsonl").write_text(json.dumps(line(text=text), ensure_ascii=False), encoding="utf-8")
    assert list(load(folder, "train").sentences()) == [text]


def test_paths_as_windows_writes_them(folder):
    write(folder, line(file_name="photos\\1.jpg", mask="masks\\left.png"))
    assert np.array_equal(load(folder, "train")[0]["mask"], MASK)


def test_a_folder_without_any_words_is_refused_when_it_is_opened(folder):
    write(folder, line(text="."))
    with pytest.raises(ValueError, match="no line of train has a text with words"):
        load(folder, "train")
