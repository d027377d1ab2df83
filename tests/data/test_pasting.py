"""Objects of one photo in another."""

import numpy as np
import pytest
from PIL import Image

from hf_refseg.data import RefShapes, decode_mask, pasting
from hf_refseg.data.crops import LEAST_INSIDE
from hf_refseg.data.pasting import LARGEST, paste_objects
from hf_refseg.data.schema import encode_mask


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """A black picture with all of its objects, and a white one with its first."""
    row, donor = RefShapes("train", size=96, num_samples=2)
    black, white = (Image.new("RGB", (96, 96), color) for color in ("black", "white"))
    return [row | {"image": black}, donor | {"image": white, "instances": donor["instances"][:1]}]


def masks_of(row: dict) -> dict[int, np.ndarray]:
    return {thing["ann_id"]: decode_mask(thing["mask"]).astype(bool) for thing in row["instances"]}


def test_what_is_pasted_hides_what_was_there(rows, monkeypatch):
    monkeypatch.setattr(pasting, "change_light", lambda image, rng, most: image)
    row, donor = rows
    before, new = masks_of(row), donor["instances"][0] | {"ann_id": -1}
    hidden = 0
    for seed in range(30):
        pasted = paste_objects(row, donor | {"instances": [new]}, np.random.default_rng(seed))
        white = np.asarray(pasted["image"].convert("L")) > 127
        after = masks_of(pasted)
        assert pasted["instances"][-1]["category"] == new["category"]
        assert white.any() and np.array_equal(after.pop(-1), white)
        assert np.ptp(white.nonzero()[0]) < LARGEST * 96 and np.ptp(white.nonzero()[1]) < LARGEST * 96
        for ann_id, mask in before.items():
            left = mask & ~white
            assert (ann_id in after) == (left.sum() >= LEAST_INSIDE * mask.sum())
            assert ann_id not in after or np.array_equal(after[ann_id], left)
            hidden += ann_id not in after
        for thing, mask in zip(pasted["instances"], masks_of(pasted).values(), strict=True):
            x1, y1, x2, y2 = (int(side) for side in thing["box"])
            assert mask[y1:y2, x1:x2].sum() == mask.sum() and mask[y1:y2, x1].any() and mask[y2 - 1, x1:x2].any()
    assert hidden, "in 30 pictures nothing was hidden"


def test_several_objects_are_pasted_at_places_of_their_own(rows):
    row, donor = rows
    donor = donor | {"instances": 4 * donor["instances"]}
    counts, places = set(), set()
    for seed in range(20):
        pasted = paste_objects(row | {"instances": []}, donor, np.random.default_rng(seed))
        counts.add(len(pasted["instances"]))
        places |= {tuple(thing["box"]) for thing in pasted["instances"]}
    assert counts == {1, 2, 3} and len(places) > 20


def test_the_rows_themselves_stay(rows):
    row, donor = rows
    pictures = [np.asarray(one["image"]).copy() for one in rows]
    instances = [list(one["instances"]) for one in rows]
    assert paste_objects(row, donor, np.random.default_rng(0)) is not row
    for one, picture, things in zip(rows, pictures, instances, strict=True):
        assert np.array_equal(np.asarray(one["image"]), picture) and one["instances"] == things


def test_nothing_is_pasted_of_a_photo_with_tiny_objects(rows):
    row, donor = rows
    small = np.zeros((96, 96), np.uint8)
    small[:9, :10] = 1  # a hundredth would be 93 pixels
    for things in ([], [donor["instances"][0] | {"mask": encode_mask(small)}]):
        assert paste_objects(row, donor | {"instances": things}, np.random.default_rng(0)) is row
