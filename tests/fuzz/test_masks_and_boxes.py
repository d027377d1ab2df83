"""Run lengths, polygons, masks and boxes of any values."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from hf_refseg.data import decode_mask, encode_mask
from hf_refseg.data.run_lengths import check_rle
from hf_refseg.mask_values import foreground
from hf_refseg.metrics import RefSegMetric, box_counts, mask_counts

from .cases import NUMBERS, VALUES, answer_or_refusal, cases, damaged, with_another_value

MASKS = nps.arrays(bool, nps.array_shapes(min_dims=2, max_dims=2, max_side=12))
RLE = encode_mask(np.random.default_rng(0).random((20, 30)) < 0.5)


@cases(short=60)
@given(MASKS)
def test_masks_survive_their_run_lengths(mask):
    rle = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(check_rle(rle)), mask)
    assert mask_counts(rle, mask)[:2] == (int(mask.sum()), int(mask.sum()))


@cases(short=100)
@given(
    with_another_value(RLE, VALUES)
    | VALUES
    | damaged(RLE["counts"].encode()).map(lambda counts: {**RLE, "counts": counts})
)
def test_damaged_run_lengths(rle):
    checked = answer_or_refusal(lambda: check_rle(rle), "RLE", "run-length")
    if checked is not None:
        assert decode_mask(checked).shape == tuple(rle["size"])


@cases(short=80)
@given(nps.arrays(nps.scalar_dtypes(), nps.array_shapes(min_dims=0, max_dims=3)) | VALUES)
def test_values_are_a_mask_or_refused(values):
    inside = answer_or_refusal(lambda: foreground(values, "the mask"), "the mask")
    if inside is not None:
        array = np.asarray(values)
        assert inside.dtype == bool and len(np.unique(array[inside])) <= 1 and not array[~inside].any()


BOXES = st.lists(st.lists(NUMBERS, min_size=3, max_size=5) | st.tuples(*[st.floats(0, 60)] * 4).map(sorted), max_size=4)


@cases(short=120)
@given(BOXES, BOXES, st.sampled_from(["single", "union", "matched"]), st.none() | st.lists(st.floats(), max_size=4))
def test_boxes_count_as_fractions_or_are_refused(pred, target, rule, scores):
    counts = answer_or_refusal(lambda: box_counts(pred, target, rule, scores), "box", "targets")
    if counts is not None:
        assert 0 <= counts[0] <= counts[1]


@cases(short=80)
@given(st.lists(st.tuples(VALUES, VALUES, VALUES, VALUES) | st.tuples(*[st.integers(0, 50)] * 2), max_size=4))
def test_counts_of_any_values(samples):
    metric = RefSegMetric("grefcoco")
    for sample in samples:
        answer_or_refusal(lambda sample=sample: metric.add_counts(*sample), "union", "target", "intersection")
    numbers = answer_or_refusal(metric.compute, "no sample")
    if numbers is not None:
        assert 0 <= numbers["mIoU"] <= 1
