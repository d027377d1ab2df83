import numpy as np
import pytest

from hf_refseg.data import RefShapes, box_from_mask, decode_mask, flip_row, load, row_features, swap_left_right
from hf_refseg.data.augment import MIRRORED
from hf_refseg.data.phrasecut import polygons_to_mask
from hf_refseg.data.schema import OFFICIAL_FIELDS, OPTIONAL_FIELDS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the man on the left", "the man on the right"),
        ("leftmost, left-most and LEFTMOST cup", "rightmost, right-most and RIGHTMOST cup"),
        ("Right hand of the lefthand boy", "Left hand of the righthand boy"),
        ("left of the right one", "right of the left one"),
        ("lefty, second from right side", "righty, second from left side"),
        ("bright upright leftovers, copyright", "bright upright leftovers, copyright"),
    ],
)
def test_sides_are_swapped_whole_and_back(text, expected):
    assert swap_left_right(text) == expected
    assert swap_left_right(expected) == text


def test_flipping_mirrors_everything_and_twice_is_nothing():
    for row in RefShapes(dialect="grefcoco", num_samples=20):
        before = np.array(row["image"])
        flipped = flip_row(row)
        np.testing.assert_array_equal(np.asarray(flipped["image"]), before[:, ::-1])
        np.testing.assert_array_equal(decode_mask(flipped["mask"]), decode_mask(row["mask"])[:, ::-1])
        for instance in flipped["instances"]:
            assert instance["box"] == box_from_mask(instance["mask"])
        by_id = {instance["ann_id"]: instance["box"] for instance in flipped["instances"]}
        assert flipped["boxes"] == [by_id[ann_id] for ann_id in row["ann_ids"]]
        again = flip_row(flipped)
        np.testing.assert_array_equal(np.asarray(row["image"]), before)
        assert again | {"image": None} == row | {"image": None}


def test_structured_texts_are_swapped_too():
    row = next(row for row in RefShapes(num_samples=200) if row["relations"] and "left of" in str(row["relations"]))
    flipped = flip_row(row)
    assert flipped["relations"][0]["predicate"] == "right of"
    said, swapped = (r["phrase_structure"]["relation_descriptions"][0]["predicate"] for r in (row, flipped))
    assert "left of" in said and swapped == said.replace("left", "right")
    assert flipped["file_name"] == row["file_name"]


# Numbers, names of files, categories, and kinds of expressions: the same in a mirror.
WITHOUT_SIDES = {
    *("image_id", "file_name", "height", "width", "ref_id", "ann_ids", "category", "split", "source"),
    *("expression_type", "task_id", "coco_id", "relation_ids", "labeled"),
}


def test_every_field_of_the_schema_is_mirrored_or_has_no_sides():
    fields = set(row_features(OPTIONAL_FIELDS + OFFICIAL_FIELDS))
    assert set(MIRRORED) | WITHOUT_SIDES == fields and not set(MIRRORED) & WITHOUT_SIDES


@pytest.fixture
def full_row(built):
    """A row that holds every field of the schema, each with something on the left."""
    rows = load(built["raw"] / "VGPhraseCut_v0", "train").with_instances()
    row = rows[1] | {"expression_type": "attribute", "attributes": ["left", "red"], "labeled": ["box"]}
    row["relations"] = [{"predicate": "left of", "object": "right box", "object_ann_ids": [502]}]
    row["phrase_structure"] = row["phrase_structure"] | {"attributes": ["leftmost"]}
    row["sentences"] = [row["sentences"][0] | {"sent": "the left boxes", "tokens": ["the", "left", "boxes"]}]
    row["instances"][0]["attributes"] = ["on the left"]
    assert set(row) == set(row_features(OPTIONAL_FIELDS + OFFICIAL_FIELDS))
    return row


def test_a_row_with_every_field_is_mirrored_whole(full_row):
    row, width = full_row, full_row["width"]
    flipped = flip_row(row)
    for name in WITHOUT_SIDES:
        assert flipped[name] == row[name], name
    np.testing.assert_array_equal(np.asarray(flipped["image"]), np.asarray(row["image"])[:, ::-1])
    np.testing.assert_array_equal(np.asarray(flipped["mask"]), np.asarray(row["mask"])[:, ::-1])
    assert flipped["boxes"] == [[width - x1, y0, width - x0, y1] for x0, y0, x1, y1 in row["boxes"]]
    assert len(row["instance_masks"]) == len(row["polygons"]) == 2
    for mask, before in zip(flipped["instance_masks"], row["instance_masks"], strict=True):
        np.testing.assert_array_equal(decode_mask(mask), decode_mask(before)[:, ::-1])
    for thing, before in zip(flipped["instances"], row["instances"], strict=True):
        np.testing.assert_array_equal(decode_mask(thing["mask"]), decode_mask(before["mask"])[:, ::-1])
        assert thing["box"] == [width - before["box"][2], before["box"][1], width - before["box"][0], before["box"][3]]
        assert (thing["ann_id"], thing["category"]) == (before["ann_id"], before["category"])
    assert flipped["instances"][0]["attributes"] == ["on the right"]
    assert flipped["attributes"] == ["right", "red"]
    assert flipped["relations"] == [{"predicate": "right of", "object": "left box", "object_ann_ids": [502]}]
    assert flipped["phrase_structure"]["attributes"] == ["rightmost"]
    assert flipped["sentences"][0]["tokens"] == ["the", "right", "boxes"]
    again = flip_row(flipped)
    assert {**again, "image": None, "polygons": None} == {**row, "image": None, "polygons": None}
    np.testing.assert_allclose(np.array(again["polygons"]), np.array(row["polygons"]))


def test_mirrored_polygons_draw_the_mirrored_mask(full_row):
    row = full_row
    corners = [[[[float(int(x)), float(int(y))] for x, y in polygon] for polygon in ps] for ps in row["polygons"]]
    flipped = flip_row(row | {"polygons": corners})
    for polygons, before in zip(flipped["polygons"], row["instance_masks"], strict=True):
        drawn = polygons_to_mask(polygons, row["height"], row["width"])
        np.testing.assert_array_equal(drawn, decode_mask(before)[:, ::-1])


def test_fields_that_are_absent_or_none_stay_so():
    row = RefShapes(num_samples=1, size=48)[0] | {"instances": None, "note": "left"}
    del row["phrase_structure"]
    flipped = flip_row(row)
    assert flipped["instances"] is None and "phrase_structure" not in flipped and flipped["note"] == "left"
