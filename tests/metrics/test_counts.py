"""Run-length masks are compared without decoding, and nothing damaged is."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hf_refseg.data import encode_mask
from hf_refseg.metrics import RefSegMetric, mask_counts
from hf_refseg.metrics.counts import check_rle, run_lengths


def random_masks(rng, count=40):
    for _ in range(count):
        height, width = rng.integers(1, 60, 2)
        share = rng.choice([0, 0.02, 0.5, 0.98, 1])
        yield [rng.random((height, width)) < share for _ in range(2)]


def test_rle_of_any_kind_count_as_their_pixels():
    for pred, target in random_masks(np.random.default_rng(0)):
        expected = mask_counts(pred, target)
        encoded = [encode_mask(mask) for mask in (pred, target)]
        as_bytes = [{**rle, "counts": rle["counts"].encode()} for rle in encoded]
        as_lists = [{**rle, "counts": run_lengths(rle["counts"]).tolist()} for rle in encoded]
        for first, second in (encoded, as_bytes, as_lists, (encoded[0], target), (as_lists[0], as_bytes[1])):
            assert mask_counts(first, second) == expected
        assert mask_counts(*encoded, size=(7, 9)) == mask_counts(pred, target, size=(7, 9))


def test_run_lengths_are_those_of_the_mask():
    for mask, _ in random_masks(np.random.default_rng(1)):
        runs = run_lengths(encode_mask(mask)["counts"])
        painted = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        assert (painted.reshape(mask.shape, order="F") == mask).all()
    wide = np.zeros((3000, 4000), bool)
    wide[1500:1502, 100:3900] = True
    assert run_lengths(encode_mask(wide)["counts"]).sum() == wide.size


def test_damaged_rle_are_refused():
    mask = np.random.default_rng(2).random((40, 50)) < 0.5
    rle = encode_mask(mask)
    for length in range(len(rle["counts"])):
        with pytest.raises(ValueError, match="damaged or cut off"):
            mask_counts({**rle, "counts": rle["counts"][:length]}, rle)
    with pytest.raises(ValueError, match=r"size \[41, 50\] whose runs hold 2000 pixels instead of 2050"):
        check_rle({**rle, "size": [41, 50]})
    with pytest.raises(ValueError, match="no end of a run-length string"):
        check_rle({**rle, "counts": "a b"})
    with pytest.raises(ValueError, match="has size and counts, got"):
        check_rle({"size": [4, 4]})
    with pytest.raises(ValueError, match="40 x 50 and the target 50 x 40"):
        mask_counts(rle, encode_mask(mask.T))
    assert coco_mask.area(check_rle(rle)) == mask.sum()


def test_the_metric_takes_rle():
    mask = np.random.default_rng(3).random((40, 50)) < 0.5
    for protocol in ("hu2016", "lavt"):
        arrays, rles = RefSegMetric(protocol), RefSegMetric(protocol)
        arrays.add(mask, ~mask | mask)
        rles.add(encode_mask(mask), encode_mask(~mask | mask))
        assert arrays.state_dict() == rles.state_dict()
