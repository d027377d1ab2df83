import numpy as np
import pytest

from hf_refseg.data import RefShapes, box_from_mask, decode_mask, flip_row, swap_left_right


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
    assert flipped["phrase_structure"]["relation_descriptions"][0]["predicate"] == "right of"
    assert flipped["file_name"] == row["file_name"]
