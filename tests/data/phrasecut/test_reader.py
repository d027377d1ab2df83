import json

import numpy as np
import pytest
from official_copies import LEFT, RIGHT, box_mask, write_phrasecut

from hf_refseg.data import load, load_phrasecut
from hf_refseg.data.phrasecut import name_counts, read_skipped


@pytest.fixture
def raw(tmp_path):
    return write_phrasecut(tmp_path) / "VGPhraseCut_v0"


def change(raw, name, number=0, **entries):
    records = json.loads((raw / name).read_text())
    records[number] |= entries
    (raw / name).write_text(json.dumps(records))


def test_rows(raw):
    rows = load_phrasecut(raw, "val")
    one, both = rows[0], rows[1]
    assert rows.counts() == (2, 4, 4) and list(rows.sentences()) == ["red box", "boxes"] * 2
    assert (one["task_id"], one["image_id"], one["coco_id"], rows[2]["coco_id"]) == ("2003__501", 2003, None, 2009)
    np.testing.assert_array_equal(np.asarray(one["mask"]), box_mask(LEFT))
    np.testing.assert_array_equal(np.asarray(both["mask"]), box_mask(LEFT) | box_mask(RIGHT))
    assert len(both["instance_masks"]) == len(both["boxes"]) == len(both["polygons"]) == 2
    assert both["ann_ids"] == [501, 502] and both["category"] == "boxes"
    assert one["boxes"] == [[4.5, 6.0, 16.75, 24.0]]
    # Bit for bit: a float32 or a rounded polygon would be another.
    assert one["polygons"] == json.loads((raw / "refer_val.json").read_text())[0]["Polygons"]
    assert one["phrase_structure"] == {
        "name": "box",
        "attributes": ["red"],
        "relation_descriptions": [{"predicate": "on", "object": "floor"}],
        "type": "attribute",
    }
    assert one["relation_ids"] == [77] and one["image"].size == (40, 30)


def test_pictures_where_visual_genomes_archives_put_them(raw):
    (raw / "images").rename(raw / "VG_100K_2")
    assert load_phrasecut(raw, "test", images=raw)[0]["image"].size == (40, 30)


def test_the_older_name_of_the_image_list(raw):
    (raw / "image_data_split.json").rename(raw / "image_data_split3000.json")
    assert len(load_phrasecut(raw, "miniv", images=False)) == 4


def test_a_relation_of_one_word(raw):
    structure = json.loads((raw / "refer_val.json").read_text())[0]["phrase_structure"]
    change(raw, "refer_val.json", phrase_structure=structure | {"relation_descriptions": [["on"]]})
    with pytest.raises(ValueError, match=r"task 2003__501: its relation_descriptions hold \['on'\], expected"):
        load_phrasecut(raw, "val", images=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relation_descriptions": None}, "its phrase_structure: its relation_descriptions is 'None', expected list"),
        ({"attributes": "red"}, "its phrase_structure: its attributes is 'red', expected list"),
        ({"attributes": [None]}, "its attributes hold None, expected words"),
        ({"relation_descriptions": [["on", 3]]}, r"its relation_descriptions hold \['on', 3\], expected"),
    ],
)
def test_a_structure_of_other_kinds(raw, changes, message):
    structure = json.loads((raw / "refer_val.json").read_text())[0]["phrase_structure"]
    change(raw, "refer_val.json", phrase_structure=structure | changes)
    with pytest.raises(ValueError, match=f"task 2003__501.*{message}"):
        load_phrasecut(raw, "val", images=False)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"image_id": 9}, "task 2003__501: its image 9 is not in image_data_split.json"),
        ({"image_id": 2001}, "task 2003__501: its image 2001 is of split 'train'"),
        ({"Polygons": []}, "task 2003__501 has 0 lists of polygons for 1 boxes"),
        ({"task_id": "2003__501_502"}, "task 2003__501_502 is there twice"),
        ({"phrase": None}, "task 2003__501: its phrase is 'None', expected str"),
        ({"image_id": [1]}, "task 2003__501: its image_id is .*, expected int"),
        ({"Polygons": [5]}, "task 2003__501: its Polygons are no lists of instances, polygons and points"),
        ({"instance_boxes": [[1, 2, 3]]}, r"task 2003__501, one of its instance_boxes: it is \[1, 2, 3\], expected 4"),
        ({"phrase_structure": {"name": "box"}}, r"task 2003__501, its phrase_structure lacks \['attributes'"),
    ],
)
def test_broken_records_are_named(raw, entries, message):
    change(raw, "refer_val.json", **entries)
    with pytest.raises(ValueError, match=f"refer_val.json.*{message}"):
        load_phrasecut(raw, "val", images=False)


def test_lacking_fields_are_named(raw):
    (raw / "refer_val.json").write_text('[{"task_id": "1__2"}]')
    with pytest.raises(ValueError, match=r"refer_val.json, record number 0 lacks \['image_id', .*'Polygons'"):
        load_phrasecut(raw, "val", images=False)


@pytest.mark.parametrize(
    "polygon",
    [
        *([[1, 2], [float("nan"), 4], [5, 6]], [[1, 2], [3], [5, 6]], [[1]], [["1", "2"], [3, 4]]),
        *([[1, 2, 3], [4, 5, 6]], [[1e9, 2], [3, 4]], {"x": 1, "y": 2}, [[10**30, 1], [2, 3]]),
    ],
)
def test_a_polygon_that_is_none_is_found_at_opening(raw, polygon):
    change(raw, "refer_val.json", Polygons=[[polygon]])
    with pytest.raises(ValueError, match="refer_val.json, task 2003__501: a polygon can't be drawn"):
        load_phrasecut(raw, "val", images=False)


def test_a_polygon_that_would_take_minutes_is_refused(raw):
    change(raw, "refer_val.json", Polygons=[[[[i % 7, i % 11] for i in range(100_000)]]])
    with pytest.raises(ValueError, match="task 2003__501: its polygons have 100,000 points; 50,000 are the most"):
        load_phrasecut(raw, "val", images=False)


@pytest.mark.parametrize("entries", [{"image_id": 9}, {"task_id": 5}, {"Polygons": [[[["a"]]]]}])
def test_damaged_tasks_can_be_skipped_and_are_counted(raw, entries, caplog):
    whole = [row["task_id"] for row in load_phrasecut(raw, "val", images=False)]
    change(raw, "refer_val.json", 1, **entries)
    rows = load(raw, "val", images=False, skip_unreadable=True)
    assert [row["task_id"] for row in rows] == [whole[0], *whole[2:]]
    assert rows.notes == {"tasks whose records are damaged, left out": 1}
    assert "left out: " in caplog.text and "refer_val.json, task " in caplog.text
    assert len(rows.of_split("train")) == 4
    with pytest.raises(ValueError, match="refer_val.json, task"):
        load(raw, "val", images=False)


@pytest.mark.parametrize("size", [{"width": 0}, {"height": -3}, {"width": 10.5}, {"width": 90_000, "height": 90_000}])
def test_an_image_size_that_none_has(raw, size):
    change(raw, "image_data_split.json", **size)
    with pytest.raises(ValueError, match="image_data_split.json, image 2001: its height and width are"):
        load_phrasecut(raw, "val", images=False)


def test_a_task_whose_polygons_cover_nothing_keeps_its_empty_mask(raw):
    change(raw, "refer_val.json", Polygons=[[[[1, 2]]]])
    rows = load_phrasecut(raw, "val", images=False)
    assert not np.asarray(rows[0]["mask"]).any() and len(rows) == 4
    assert rows.notes == {"polygons of one point, not drawn": 1}


def test_cut_off_and_missing_files(raw):
    content = (raw / "refer_train.json").read_text()
    (raw / "refer_train.json").write_text(content[:-40])
    with pytest.raises(ValueError, match="refer_train.json is cut off or broken at record number 3"):
        load_phrasecut(raw, "train", images=False)
    (raw / "refer_train.json").unlink()
    with pytest.raises(FileNotFoundError, match="refer_train.json is missing"):
        load_phrasecut(raw, "train", images=False)
    (raw / "image_data_split.json").unlink()
    with pytest.raises(FileNotFoundError, match="image_data_split.json is missing"):
        load_phrasecut(raw, "val", images=False)
    with pytest.raises(ValueError, match="no split 'testA'; it has .*'miniv'"):
        load_phrasecut(raw, "testA")


def test_companions(raw):
    assert name_counts(raw)["cat"] == [["box", 16]]
    # Both names of the field, as the README and the code have it.
    assert [record["reason"] for record in read_skipped(raw)] == ["Not in Image", "Other"]
    (raw / "skip.json").write_text('[{"task_id": "1__2"}]')
    with pytest.raises(ValueError, match="skip.json, task 1__2: neither reason nor skip_reason"):
        list(read_skipped(raw))


def test_phrases_without_a_word_are_left_out(raw):
    expected = [row["task_id"] for row in load_phrasecut(raw, "val", images=False)]
    change(raw, "refer_val.json", phrase=" ")
    rows = load_phrasecut(raw, "val", images=False)
    assert [row["task_id"] for row in rows] == expected[1:]
    assert rows.notes["phrases without a word, left out"] == 1
