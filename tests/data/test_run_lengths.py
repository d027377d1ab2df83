"""The check of run lengths, against masks painted run by run."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hf_refseg.data import encode_mask
from hf_refseg.data.run_lengths import check_rle, run_lengths


def random_masks(rng, count=40):
    for _ in range(count):
        yield rng.random(rng.integers(1, 60, 2)) < rng.choice([0, 0.02, 0.5, 0.98, 1])


def test_run_lengths_are_those_of_the_mask():
    for mask in random_masks(np.random.default_rng(1)):
        runs = run_lengths(encode_mask(mask)["counts"])
        painted = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        assert (painted.reshape(mask.shape, order="F") == mask).all()
    wide = np.zeros((3000, 4000), bool)
    wide[1500:1502, 100:3900] = True
    assert run_lengths(encode_mask(wide)["counts"]).sum() == wide.size


def test_every_kind_of_counts_is_the_same_mask():
    mask = np.random.default_rng(2).random((40, 50)) < 0.5
    rle = encode_mask(mask)
    runs = run_lengths(rle["counts"])
    for counts in (rle["counts"], rle["counts"].encode(), runs, runs.tolist()):
        assert (coco_mask.decode(check_rle({"size": [40, 50], "counts": counts})) == mask).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": [41, 50]}, r"size \[41, 50\] whose runs hold 2000 pixels instead of 2050"),
        ({"counts": "a b"}, "not the end of a run-length string"),
        ({"counts": [2005, -5]}, r"the runs of an RLE are \[2005, -5\]; they are whole numbers, none below 0"),
        ({"counts": [1000.5, 999.5]}, "whole numbers"),
        ({"counts": []}, "hold 0 pixels instead of 2000"),
        ({"counts": None}, "the counts of an RLE are a NoneType; they are a string or a list of numbers"),
    ],
)
def test_what_is_damaged_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        check_rle(encode_mask(np.eye(40, 50, dtype=bool)) | changes)


def test_an_rle_without_counts():
    with pytest.raises(ValueError, match="is a dict of size and counts, got"):
        check_rle({"size": [4, 4]})
