"""COCO JSON as CVAT, Label Studio and Roboflow write it."""

import json

import numpy as np
import pytest
from PIL import Image

from hf_refseg.data.coco_exports import find_exports, open_exports

WIDTH, HEIGHT = 100, 60


def outline(x: int, side: int = 20) -> list[list[float]]:
    return [[x, 10.0, x + side, 10.0, x + side, 30.0, x, 30.0]]


def annotation(number: int, image_id: int, x: int, category_id: int = 1, **fields) -> dict:
    made = {"id": number, "image_id": image_id, "category_id": category_id, "iscrowd": 0, "area": 400.0}
    return {**made, "bbox": [float(x), 10.0, 20.0, 20.0], "segmentation": outline(x), **fields}


def write(path, images: dict[int, str], annotations: list[dict], categories: list[dict], photos) -> None:
    """A COCO file, and its pictures in the folder `photos`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    photos.mkdir(parents=True, exist_ok=True)
    for name in images.values():
        Image.new("RGB", (WIDTH, HEIGHT), "gray").save(photos / name.replace("\\", "/").rsplit("/", 1)[-1])
    records = [{"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT} for number, name in images.items()]
    path.write_text(json.dumps({"images": records, "annotations": annotations, "categories": categories}))


def sentences(folder) -> dict[str, list[str]]:
    """The expressions of each split; every row is read, picture and mask."""
    splits = open_exports(folder, find_exports(folder))
    for rows in splits.values():
        for row in rows:
            assert row["image"].size == (WIDTH, HEIGHT) and np.asarray(row["mask"]).sum() > 100
    return {split: list(rows.sentences()) for split, rows in splits.items()}


def test_cvat(tmp_path):
    """Its brush writes run lengths and calls them crowds; text attributes hold the expressions."""
    runs = {"size": [HEIGHT, WIDTH], "counts": [0, 20 * HEIGHT, (WIDTH - 20) * HEIGHT]}  # the first 20 columns
    annotations = [
        annotation(1, 1, 10, attributes={"occluded": False, "Expression": "the red robot; the robot on the left"}),
        annotation(2, 1, 60, attributes={"occluded": False, "Expression": ""}),
        annotation(3, 2, 0, iscrowd=1, segmentation=runs, attributes={"rotation": 0.0}),
    ]
    file, photos = tmp_path / "annotations" / "instances_default.json", tmp_path / "images" / "default"
    write(file, {1: "1.jpg", 2: "2.jpg"}, annotations, [{"id": 1, "name": "toy_robot", "supercategory": ""}], photos)
    assert sentences(tmp_path) == {
        "train": ["the red robot", "the robot on the left", "the toy robot on the right", "the toy robot"]
    }


def test_label_studio(tmp_path):
    """Its names have the path in them, on Windows with backslashes; categories count from 0."""
    names = {0: "images\\3f2a-mug.jpg", 1: "images/77aa-cup.jpg"}
    annotations = [annotation(0, 0, 10, category_id=0, ignore=0), annotation(1, 1, 10, category_id=1, ignore=0)]
    categories = [{"id": 0, "name": "Mug"}, {"id": 1, "name": "Cup"}]
    write(tmp_path / "result.json", names, annotations, categories, tmp_path / "images")
    assert sentences(tmp_path) == {"train": ["the mug", "the cup"]}


def test_roboflow(tmp_path):
    """A folder per split, each with its photos; boxes among the outlines have no segmentation."""
    categories = [{"id": 0, "name": "mugs", "supercategory": "none"}, {"id": 1, "name": "mug", "supercategory": "mugs"}]
    for place, split in enumerate(("train", "valid", "test")):
        names = {0: f"{split}_jpg.rf.a1b2.jpg"}
        annotations = [annotation(0, 0, 10), annotation(1, 0, 50 + 10 * place), annotation(2, 0, 0, segmentation=[])]
        annotations = annotations if split == "train" else annotations[:1]
        write(tmp_path / split / "_annotations.coco.json", names, annotations, categories, tmp_path / split)
    found = sentences(tmp_path)
    # The box at the very left is a mug too, so that only the right one of the outlined can be told by its place.
    assert found == {"train": ["the mug on the right"], "val": ["the mug"], "test": ["the mug"]}
    notes = open_exports(tmp_path, find_exports(tmp_path))["train"].notes
    assert notes == {"boxes without an outline, left out": 1, "objects that look like others, left out": 1}


def test_things_that_no_place_tells_apart_are_left_out(tmp_path):
    annotations = [annotation(0, 0, 10), annotation(1, 0, 14), annotation(2, 0, 60)]
    write(tmp_path / "a.json", {0: "a.jpg"}, annotations, [{"id": 1, "name": "mug"}], tmp_path / "images")
    assert sentences(tmp_path) == {"train": ["the mug on the right"]}


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([annotation(0, 0, 10, segmentation=[])], "no outlined object with an expression .1 boxes"),
        ([annotation(0, 0, 10, caption=7)], "annotation 0: its caption is 7, no text"),
        ([annotation(0, 0, 10, category_id=9, segmentation=[])], "annotation 0: no category 9"),
        ([annotation(0, 0, 10, segmentation=[[1, 2, 3]])], "a polygon of 3 numbers"),
    ],
)
def test_what_cannot_be_learned_from_is_named(tmp_path, annotations, message):
    write(tmp_path / "a.json", {0: "a.jpg"}, annotations, [{"id": 1, "name": "mug"}], tmp_path / "images")
    with pytest.raises(ValueError, match=message):
        open_exports(tmp_path, find_exports(tmp_path))


def test_two_files_of_one_split_and_missing_photos(tmp_path):
    write(tmp_path / "a.json", {0: "a.jpg"}, [annotation(0, 0, 10)], [{"id": 1, "name": "mug"}], tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"the photo a.jpg of .*a.json is in none of .*images"):
        open_exports(tmp_path, find_exports(tmp_path))
    (tmp_path / "b.json").write_text((tmp_path / "a.json").read_text())
    with pytest.raises(ValueError, match="a.json and .*b.json both hold the split train"):
        find_exports(tmp_path)
