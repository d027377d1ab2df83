"""Images with their references, from official files and from drawn scenes."""

import pytest
from datasets import Dataset

from hf_refseg.data import DatasetRows, HeldRows, RefShapes, load_refer_folder
from hf_refseg.data.image_references import ImageReferences, group_references


def test_official_rows_are_grouped_by_image(built):
    rows = load_refer_folder(built["raw"] / "refcoco", "train", images=built["pictures"], partition="unc")
    images = ImageReferences(rows)
    assert len(images) == rows.counts().images
    refs = [ref for item in images for ref in item["refs"]]
    assert sorted(ref["ref_id"] for ref in refs) == sorted(row["ref_id"] for row in rows)
    for item in images:
        assert item["image"].size == (item["width"], item["height"])
        ids = [instance["ann_id"] for instance in item["instances"]]
        assert ids == [i for i, a in rows.annotations.items() if a["image_id"] == item["image_id"]]
        assert {ref["ann_id"] for ref in item["refs"]} <= set(ids)
    known = {refs[0]["ref_id"]: {"red"}}
    attributes = {ref["ref_id"]: ref["attributes"] for item in ImageReferences(rows, known) for ref in item["refs"]}
    assert attributes[refs[0]["ref_id"]] == ["red"] and sum(map(len, attributes.values())) == 1


def test_scenes_have_several_references_and_the_first_is_the_sample():
    shapes = RefShapes("val", size=48, num_samples=20, refs_per_scene=3)
    scenes = ImageReferences(shapes)
    counts = [len(item["refs"]) for item in scenes]
    assert len(scenes) == 20 and max(counts) == 3 and sum(counts) > 40
    for item, row in zip(scenes, shapes, strict=True):
        first = item["refs"][0]
        assert [first["ann_id"]] == row["ann_ids"] and first["ref_id"] == row["ref_id"]
        assert first["sentences"] == [sentence["sent"] for sentence in row["sentences"]]
        assert len({ref["ann_id"] for ref in item["refs"]}) == len({ref["ref_id"] for ref in item["refs"]})
        by_id = {instance["ann_id"]: instance for instance in item["instances"]}
        assert all(ref["attributes"] == by_id[ref["ann_id"]]["attributes"] for ref in item["refs"])
    extra = shapes.scene(0, 3)
    assert [row["ref_id"] for row in extra] == [row["ref_id"] for row in shapes.scene(0, 5)][: len(extra)]
    with pytest.raises(IndexError):
        shapes.scene(20, 3)


def test_references_to_none_or_several_are_left_out():
    rows = [row for row in RefShapes("val", "grefcoco", size=48, num_samples=30)]
    images = ImageReferences(HeldRows(rows))
    kept = sum(len(item["refs"]) for item in images)
    assert kept == sum(len(row["ann_ids"]) == 1 for row in rows) and 0 < kept < len(images) == 30


def test_rows_of_datasets_keep_their_pictures_closed_until_asked():
    rows = RefShapes("val", size=48, num_samples=3).to_dataset()
    assert isinstance(rows, Dataset)
    images = ImageReferences(DatasetRows(rows))
    assert len(images) == 3 and images[1]["image"].size == (48, 48)


def test_rows_without_objects_are_refused():
    row = RefShapes("val", size=48, num_samples=1)[0]
    with pytest.raises(ValueError, match="its rows have no field `instances`"):
        group_references([{**row, "instances": None}])
    with pytest.raises(ValueError, match="ref_id=0 means 99, which is none of"):
        group_references([{**row, "ann_ids": [99]}])
