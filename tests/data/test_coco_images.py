"""COCO's images with all of their objects, as a detector reads them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hf_refseg.data import HeldRows, decode_mask, load, load_coco_images

SQUARE = [[10.0, 5, 30, 5, 30, 25, 10, 25]]
CROWD = {"size": [40, 60], "counts": [0, 100, 2300]}


def annotation(ann_id, image_id, category_id=1, box=(10, 5, 20, 20), **fields) -> dict:
    record = {"id": ann_id, "image_id": image_id, "category_id": category_id, "bbox": list(box), "iscrowd": 0}
    return {**record, "segmentation": SQUARE, "area": 400, **fields}


@pytest.fixture
def content() -> dict:
    """Image 1 with two objects and a crowd, 2 with one, 3 with a crowd only, 4 with nothing, 5 with a flat object."""
    images = [
        {"id": number, "file_name": f"COCO_train2014_{number:012}.jpg", "height": 40, "width": 60}
        for number in range(1, 6)
    ]
    annotations = [
        annotation(11, 1, 18), annotation(12, 1, 3), annotation(13, 1, 3, iscrowd=1, segmentation=CROWD),
        annotation(21, 2, 3), annotation(31, 3, 3, iscrowd=1, segmentation=CROWD),
        annotation(51, 5, 3), annotation(52, 5, 3, box=(10, 5, 20, 0)),
    ]  # fmt: skip
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
    }


def write(folder: Path, content: dict, name="annotations/instances_train2014.json", pictures="train2014") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    if pictures:
        (folder / pictures).mkdir()
        for image in content["images"]:
            Image.new("RGB", (60, 40), (image["id"], 0, 0)).save(folder / pictures / image["file_name"])
    return folder


def test_a_row_per_image_that_has_objects(content, tmp_path):
    rows = load_coco_images(write(tmp_path, content), "train2014")
    assert [row["image_id"] for row in rows] == [1, 2, 5]
    row = rows[0]
    assert row["image"].size == (60, 40) and row["source"] == "coco" and row["split"] == "train2014"
    assert (row["ref_id"], row["sentences"], row["boxes"], row["ann_ids"]) == (1, [], [], [])
    assert not np.asarray(row["mask"]).any()
    assert [(thing["ann_id"], thing["category"], thing["box"]) for thing in row["instances"]] == [
        (11, "dog", [10, 5, 30, 25]),
        (12, "car", [10, 5, 30, 25]),
    ]
    mask = decode_mask(row["instances"][0]["mask"])
    assert mask[5:25, 10:30].all() and mask.sum() == 400


def test_what_is_left_out_is_counted(content, tmp_path):
    rows = load_coco_images(write(tmp_path, content), "train2014")
    expected = {"crowds left out": 2, "objects without area left out": 1, "images left out as excluded": 0}
    assert rows.notes == expected
    assert [thing["ann_id"] for thing in rows[2]["instances"]] == [51]


def test_categories_are_in_the_order_of_their_ids(content, tmp_path):
    assert load_coco_images(write(tmp_path, content), "train2014").categories == ["car", "dog"]


@pytest.mark.parametrize(
    ("name", "pictures"),
    [("annotations/instances_train2014.json", "train2014"), ("instances_train2014.json", "images"),
     ("instances.json", "images")],
)  # fmt: skip
def test_layouts(content, tmp_path, name, pictures):
    rows = load_coco_images(write(tmp_path, content, name, pictures), "train2014")
    assert len(rows) == 3 and rows[1]["image"].getpixel((0, 0))[0] in (1, 2, 3)


def test_pictures_elsewhere_or_not_at_all(content, tmp_path):
    folder = write(tmp_path / "coco", content, pictures=None)
    assert "image" not in load_coco_images(folder, "train2014", images=False)[0]
    elsewhere = write(tmp_path / "elsewhere", content, pictures="photos") / "photos"
    assert load_coco_images(folder, "train2014", elsewhere)[0]["image"].size == (60, 40)
    with pytest.raises(FileNotFoundError, match="No folder of pictures at"):
        load_coco_images(folder, "train2014")


def test_images_of_a_list_are_left_out(content, tmp_path):
    folder, seen = write(tmp_path, content), tmp_path / "seen.txt"
    seen.write_text("# RefCOCO, val\ncoco:2\nCOCO_train2014_000000000005.jpg\ncoco:777\n")
    rows = load_coco_images(folder, "train2014", exclude_images=seen)
    assert [row["image_id"] for row in rows] == [1]
    assert rows.notes["images left out as excluded"] == 2
    seen.write_text("coco:1\ncoco:2\ncoco:5\n")
    with pytest.raises(ValueError, match="has 3 images with objects, and none is left by exclude_images"):
        load_coco_images(folder, "train2014", exclude_images=seen)
    with pytest.raises(FileNotFoundError, match="should list an image per line"):
        load_coco_images(folder, "train2014", exclude_images=tmp_path / "nowhere.txt")


def test_some_of_the_rows(content, tmp_path):
    rows = load_coco_images(write(tmp_path, content), "train2014")
    some = rows.select([2, 0])
    assert [row["image_id"] for row in some] == [5, 1] and len(rows) == 3 and some.counts().images == 2
    assert [row["image_id"] for row in load(tmp_path, "train2014", num_samples=2)] == [1, 2]
    assert list(rows.sentences()) == []


def test_categories_are_known_of_rows_kept_in_memory(content, tmp_path):
    rows = load(write(tmp_path, content), "train2014").in_memory()
    assert isinstance(rows, HeldRows) and rows.categories == ["car", "dog"]


def test_folders_and_files_that_are_none(content, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds none of annotations/instances_val2014.json, .*COCO's folder"):
        load_coco_images(write(tmp_path, content), "val2014")
    file = tmp_path / "annotations" / "instances_train2014.json"
    for changes, message in (
        ({"annotations": [annotation(11, 99)]}, "its image 99 is not in"),
        ({"annotations": [annotation(11, 1, 44)]}, "annotation 11: no category 44"),
        ({"annotations": [annotation(11, 1, 3, segmentation=[])]}, "its segmentation is empty"),
        ({"annotations": []}, "has 0 images with objects"),
    ):
        file.write_text(json.dumps({**content, **changes}))
        with pytest.raises(ValueError, match=message):
            load_coco_images(tmp_path, "train2014")
    file.write_text("[1, 2")
    with pytest.raises(ValueError, match="instances_train2014.json"):
        load_coco_images(tmp_path, "train2014")


def test_real_annotations(shared_dir):
    folder = shared_dir / "data" / "coco_mini_instances"
    rows = load_coco_images(folder, "mini", images=False)
    number = sum(len(row["instances"]) for row in rows)
    assert number + rows.notes["crowds left out"] + rows.notes["objects without area left out"] == 2_025
    assert len(rows.categories) == 80


@pytest.mark.parametrize("damage", [{"bbox": [1, 2, True, 4]}, {"segmentation": []}, {"category_id": 7}])
def test_images_with_damaged_records_can_be_skipped_and_are_counted(content, tmp_path, damage):
    content["annotations"][1] |= damage
    folder = write(tmp_path, content)
    with pytest.raises(ValueError, match="instances_train2014.json, annotation 12"):
        load(folder, "train2014")
    rows = load(folder, "train2014", skip_unreadable=True)
    assert [row["image_id"] for row in rows] == [2, 5]
    assert rows.notes["images whose records are damaged, left out"] == 1


def test_an_outline_that_would_fill_the_memory_is_refused(content, tmp_path):
    content["annotations"][0]["segmentation"] = [[0, 0, 99_000, 99_000] * 100]
    with pytest.raises(ValueError, match="annotation 11: the outlines of its polygons are .* pixels long; 5,000,000"):
        load(write(tmp_path, content), "train2014")
