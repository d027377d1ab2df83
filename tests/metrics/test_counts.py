"""Run-length masks are compared without decoding, and nothing damaged is."""

import numpy as np
import pytest

from hf_refseg.data import encode_mask
from hf_refseg.data.run_lengths import run_lengths
from hf_refseg.metrics import RefSegMetric, mask_counts


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


def test_damaged_rle_are_refused():
    mask = np.random.default_rng(2).random((40, 50)) < 0.5
    rle = encode_mask(mask)
    for length in range(len(rle["counts"])):
        with pytest.raises(ValueError, match="damaged or cut off"):
            mask_counts({**rle, "counts": rle["counts"][:length]}, rle)
    with pytest.raises(ValueError, match="40 x 50 and the target 50 x 40"):
        mask_counts(rle, encode_mask(mask.T))


@pytest.mark.parametrize("size", [[10**6, 10**6], [50_000, 50_000], [-1, 4], [40, 50, 3], [40.5, 50], ["40", "50"], 40])
def test_sizes_of_no_picture_are_refused(size):
    with pytest.raises(ValueError, match="the size of an RLE is"):
        mask_counts({"size": size, "counts": [0]}, {"size": size, "counts": [0]})


@pytest.mark.parametrize("size", [(0, 0), (-1, 5), ("4", "4"), 5, (10**6, 10**6), (2.5, 2.5), (480,)])
def test_sizes_to_compare_at_that_are_none(size):
    with pytest.raises(ValueError, match=r"size is "):
        mask_counts(np.eye(4, dtype=bool), np.eye(4, dtype=bool), size=size)


def test_the_metric_takes_rle():
    mask = np.random.default_rng(3).random((40, 50)) < 0.5
    for protocol in ("hu2016", "lavt"):
        arrays, rles = RefSegMetric(protocol), RefSegMetric(protocol)
        arrays.add(mask, ~mask | mask)
        rles.add(encode_mask(mask), encode_mask(~mask | mask))
        assert arrays.state_dict() == rles.state_dict()
