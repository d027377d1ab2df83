import json

import numpy as np
import pytest
from official_copies import LEFT, RIGHT, box_mask, write_referit
from scipy.io import savemat

from hf_refseg.data import load, load_referit


@pytest.fixture
def raw(tmp_path):
    return write_referit(tmp_path)


def change(raw, name, **entries):
    file = raw / "exp-referit" / "data" / name
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def test_rows_have_the_boxes_and_the_inverted_masks(raw):
    rows = load_referit(raw, "val")
    assert len(rows) == 4 and rows.counts() == (2, 4, 6)
    left, right = rows[0], rows[1]
    assert (left["image_id"], left["task_id"], left["ref_id"], left["source"]) == (103, "103_1", 103_001, "referit")
    # The files' boxes include their last pixel, the schema's do not.
    assert left["boxes"] == [list(map(float, LEFT))] and right["boxes"] == [list(map(float, RIGHT))]
    np.testing.assert_array_equal(np.asarray(left["mask"]), box_mask(LEFT))
    assert left["image"].size == (40, 30) and left["image"].getpixel((10, 15))[0] > 180
    assert [sentence["sent"] for sentence in left["sentences"]] == ["the red box", "box on the left"]
    assert len({s["sent_id"] for row in rows.without_pictures() for s in row["sentences"]}) == 6


def test_regions_without_expression_are_counted_not_silently_dropped(raw):
    assert load_referit(raw, None).notes == {"regions without an expression, left out": 6}
    assert load_referit(raw, "train").notes == {"regions without an expression, left out": 2}


def test_every_place_of_the_files(raw):
    flat = raw / "exp-referit"
    assert load_referit(flat, "test").counts() == load_referit(raw, "test").counts() == (2, 4, 6)
    assert load_referit(raw, "trainval", images=False).counts() == (4, 8, 12)
    assert load_referit(raw, "train", images=False).of_split("val").counts() == (2, 4, 6)


@pytest.mark.parametrize(
    ("name", "entries", "message"),
    [
        ("referit_query_val.json", {"103_9": ["x"]}, "referit_query_val.json, region '103_9' has no box"),
        ("referit_query_val.json", {"103_1": []}, "region '103_1' has .*expected a list of expressions"),
        ("referit_query_val.json", {"abc": ["x"]}, "region 'abc'.*<image>_<number>"),
        (
            "referit_imcrop.json",
            {"103.jpg": None},
            "referit_imcrop.json, '103.jpg': its regions are None, expected a list",
        ),
        ("referit_bbox.json", {"103_1": [1, 2, 3]}, "region '103_1', its box in referit_bbox.json: it is .1, 2, 3."),
        ("referit_imsize.json", {"103.jpg": None}, "the size of 103.jpg in referit_imsize.json: it is None"),
        ("referit_query_val.json", {"101_1": ["x"]}, "referit_val_imlist.txt does not list 1 images .*101"),
    ],
)
def test_broken_records_are_named(raw, name, entries, message):
    change(raw, name, **entries)
    with pytest.raises(ValueError, match=message):
        load_referit(raw, "val")


def test_expressions_without_a_word_are_left_out(raw):
    change(raw, "referit_query_val.json", **{"103_1": ["the man", "  ", "."]})
    rows = load_referit(raw, "val")
    assert rows.notes["expressions without a word, left out"] == 2
    assert all(sentence not in ("  ", ".") for sentence in rows.sentences())


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("referit_query_val.json", {"103_1": None}),
        ("referit_query_val.json", {"103": ["the man"]}),
        ("referit_bbox.json", {"103_1": [1, 2, 3, True]}),
        ("referit_bbox.json", {"103_1": None}),
    ],
)
def test_damaged_records_can_be_skipped_and_are_counted(raw, name, entries, caplog):
    change(raw, name, **entries)
    rows = load(raw / "exp-referit", "val", skip_unreadable=True)
    assert len(rows) == (4 if "103" in entries else 3)
    assert rows.notes["regions whose records are damaged, left out"] == 1
    assert "left out: " in caplog.text and "region '103" in caplog.text
    assert "regions whose records are damaged, left out" not in rows.of_split("train").notes
    with pytest.raises(ValueError, match="referit_query_val.json, region '103"):
        load(raw / "exp-referit", "val")


@pytest.mark.parametrize("size", [[0, 30], [40, -1], [40.5, 30], [90_000, 90_000]])
def test_an_image_size_that_none_has(raw, size):
    change(raw, "referit_imsize.json", **{"103.jpg": size})
    with pytest.raises(ValueError, match="the size of 103.jpg in referit_imsize.json: its height and width are"):
        load_referit(raw, "val", images=False)


def test_a_region_of_two_splits(raw):
    (raw / "exp-referit" / "data" / "referit_val_imlist.txt").unlink()
    change(raw, "referit_query_val.json", **{"101_1": ["x"]})
    with pytest.raises(ValueError, match="a region is in two splits"):
        load_referit(raw, None)


@pytest.mark.parametrize("name", ["referit_query_val.json", "referit_bbox.json", "referit_imsize.json"])
def test_missing_files_are_named(raw, name):
    (raw / "exp-referit" / "data" / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_referit(raw, "val")


def test_bad_masks_are_named(raw):
    rows = load_referit(raw, "val")
    file = raw / "exp-referit" / "referit-dataset" / "mask" / "103_1.mat"
    savemat(file, {"segimg_t": np.ones((40, 30))})
    with pytest.raises(ValueError, match=r"103_1.mat: its mask is \(40, 30\), its image \(30, 40\)"):
        rows[0]
    savemat(file, {"mask": np.ones((30, 40))})
    with pytest.raises(ValueError, match="103_1.mat has no segimg_t"):
        rows[0]
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(ValueError, match="103_1.mat can't be read"):
        rows[0]
    file.unlink()
    with pytest.raises(FileNotFoundError, match="103_1.mat"):
        rows[0]


def test_unknown_split(raw):
    with pytest.raises(ValueError, match="ReferIt has no split 'testA'; it has .*'trainval'"):
        load_referit(raw, "testA")


def test_counts_of_the_real_files(shared_dir):
    rows = load_referit(shared_dir / "data" / "referit_text_objseg", images=False)
    # 20,000 images and 99,610 regions are listed, of which 19,989 and 99,245 have expressions, 120,081 in all.
    assert (len(rows.sizes), len(rows.boxes)) == (20_000, 99_610)
    assert (len(rows.crops), sum(map(len, rows.crops.values()))) == (20_000, 99_610)
    assert rows.counts() == (19_989, 99_245, 120_081)
    counts = {split: rows.of_split(split).counts() for split in ("train", "val", "trainval", "test")}
    assert counts == {
        "train": (8_995, 44_649, 54_134),
        "val": (1_000, 4_866, 5_842),
        "trainval": (9_995, 49_515, 59_976),
        "test": (9_994, 49_730, 60_105),
    }
    assert sum(not sentence.isascii() for sentence in rows.sentences()) == 76
