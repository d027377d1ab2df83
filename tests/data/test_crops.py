"""Crops of photos, with the objects that lie in them."""

import numpy as np
import pytest
from PIL import Image

from hf_refseg.data import RefShapes, decode_mask
from hf_refseg.data.crops import LEAST_INSIDE, change_light, crop_row


@pytest.fixture(scope="module")
def row() -> dict:
    return next(iter(RefShapes("train", size=96, num_samples=1)))


def test_objects_move_with_the_picture(row):
    """A gray level of its own in each object: what lies in a cropped mask is still that object."""
    numbers = np.zeros((row["height"], row["width"]), np.uint8)
    for number, thing in enumerate(row["instances"], 1):
        numbers[decode_mask(thing["mask"]).astype(bool)] = number
    for seed in range(20):
        marked = row | {"image": Image.fromarray(np.dstack([numbers] * 3))}
        cropped = crop_row(marked, np.random.default_rng(seed))
        names = {thing["ann_id"]: number for number, thing in enumerate(row["instances"], 1)}
        if cropped is marked:
            continue
        size = (cropped["height"], cropped["width"])
        assert cropped["image"].size == size[::-1] and size < (row["height"], row["width"])
        for thing in cropped["instances"]:
            mask = decode_mask(thing["mask"]).astype(bool)
            x1, y1, x2, y2 = (int(side) for side in thing["box"])
            assert mask.shape == size and mask[y1:y2, x1:x2].sum() == mask.sum()
            whole = (numbers == names[thing["ann_id"]]).sum()
            assert LEAST_INSIDE * whole <= mask.sum() <= whole


def test_the_row_itself_stays(row):
    before = {name: row[name] for name in ("image", "width", "height", "instances")}
    assert crop_row(row, np.random.default_rng(0)) is not row
    assert all(row[name] is value for name, value in before.items())


def test_a_picture_without_objects_is_not_cropped(row):
    empty = row | {"instances": []}
    assert crop_row(empty, np.random.default_rng(0)) is empty


def test_light_changes_no_more_than_it_may():
    image = Image.new("RGB", (8, 8), (100, 100, 100))
    for seed in range(10):
        level = np.asarray(change_light(image, np.random.default_rng(seed), 0.25)).mean()
        assert 74 <= level <= 126
    assert np.array_equal(change_light(image, np.random.default_rng(0), 0), image)
