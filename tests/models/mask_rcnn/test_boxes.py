"""Anchors, deltas, clipping and overlap of boxes with both corners inside, and suppression."""

import numpy as np
import pytest
import torch
from torchvision.ops import nms

from hf_refseg.layers.image_geometry import inclusive_to_exclusive
from hf_refseg.models.mask_rcnn.boxes import (
    centers_and_sizes,
    clip_boxes,
    clip_boxes_outwards,
    decode_boxes,
    encode_boxes,
    make_anchors,
    overlaps,
    shift_anchors,
    suppress,
    suppress_until,
)


def random_boxes(number=50, seed=0) -> torch.Tensor:
    corners = torch.rand(number, 2, generator=torch.Generator().manual_seed(seed)) * 60
    sides = torch.rand(number, 2, generator=torch.Generator().manual_seed(seed + 1)) * 40 + 3
    return torch.cat([corners, corners + sides], 1)


# ---- Anchors ----


def test_anchors_of_the_first_faster_rcnn():
    """The nine that py-faster-rcnn's generate_anchors.py lists, as Matlab counted: from 1."""
    expected = [
        [-83, -39, 100, 56], [-175, -87, 192, 104], [-359, -183, 376, 200], [-55, -55, 72, 72], [-119, -119, 136, 136],
        [-247, -247, 264, 264], [-35, -79, 52, 96], [-79, -167, 96, 184], [-167, -343, 184, 360],
    ]  # fmt: skip
    assert (make_anchors(16, [0.5, 1, 2], [8, 16, 32]) + 1).tolist() == expected


def test_anchors_of_the_published_detector(shared_dir):
    path = shared_dir / "golden" / "mattnet" / "a" / "outputs_detector_rpn.npz"
    with np.load(path) as arrays:
        expected = arrays["anchors"][:12]
    np.testing.assert_array_equal(make_anchors(16, [0.5, 1, 2], [4, 8, 16, 32]).numpy(), expected)


def test_anchors_are_shifted_row_by_row():
    anchors = make_anchors(16, [1], [1, 2])
    shifted = shift_anchors(anchors, 2, 3, 16)
    assert shifted.shape == (2 * 3 * 2, 4) and torch.equal(shifted[:2], anchors)
    assert torch.equal(shifted[2:4], anchors + torch.tensor([16.0, 0, 16, 0]))
    assert torch.equal(shifted[6:8], anchors + torch.tensor([0.0, 16, 0, 16]))


# ---- Deltas ----


def test_decoding_gives_what_was_encoded_and_a_pixel_more():
    boxes, targets = random_boxes(), random_boxes(seed=2)
    decoded = decode_boxes(boxes, encode_boxes(boxes, targets))
    torch.testing.assert_close(decoded, inclusive_to_exclusive(targets), rtol=1e-5, atol=1e-4)


def test_deltas_are_relative_to_size_and_center():
    boxes = torch.tensor([[10.0, 20, 19, 39]])
    centers, sizes = centers_and_sizes(boxes)
    assert centers.tolist() == [[15, 30]] and sizes.tolist() == [[10, 20]]
    assert decode_boxes(boxes, torch.tensor([[0.5, -0.1, 0, 0]])).tolist() == [[15, 18, 25, 38]]
    wider = decode_boxes(boxes, torch.tensor([[0, 0, 2.0, 0]]).log1p())
    torch.testing.assert_close(wider, torch.tensor([[0.0, 20, 30, 40]]))


def test_one_box_per_category():
    boxes, deltas = random_boxes(5), torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(3))
    together = decode_boxes(boxes[:, None], deltas)
    for category in range(3):
        torch.testing.assert_close(together[:, category], decode_boxes(boxes, deltas[:, category]))


# ---- Clipping ----


def test_clipping_keeps_every_corner_inside():
    boxes = torch.tensor([[-5.0, -6, 20, 30], [70, 50, 90, 80], [3, 4, 5, 6]])
    assert clip_boxes(boxes, torch.tensor([48, 64])).tolist() == [[0, 0, 20, 30], [63, 47, 63, 47], [3, 4, 5, 6]]


def test_clipping_outwards_leaves_a_box_beyond_the_image_turned_around():
    boxes = torch.tensor([[-5.0, -6, 20, 30], [70, 50, 90, 80], [-9, -9, -4, -4]])
    expected = [[0, 0, 20, 30], [70, 50, 63, 47], [0, 0, -4, -4]]
    assert clip_boxes_outwards(boxes, torch.tensor([48, 64])).tolist() == expected


def test_each_image_has_its_size():
    boxes = torch.tensor([[[0.0, 0, 99, 99]], [[0.0, 0, 99, 99]]])
    clipped = clip_boxes(boxes, torch.tensor([[48, 64], [30, 20]])[:, None])
    assert clipped.tolist() == [[[0, 0, 63, 47]], [[0, 0, 19, 29]]]


# ---- Overlap and suppression ----


def overlap_by_hand(one, other) -> float:
    sides = [min(one[2 + axis], other[2 + axis]) - max(one[axis], other[axis]) + 1 for axis in (0, 1)]
    shared = max(sides[0], 0) * max(sides[1], 0)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (one, other)]
    return shared / (sum(areas) - shared)


def suppressed_by_hand(boxes, scores, stays) -> list[int]:
    """The loop of nms.c."""
    kept, order = [], np.argsort(-np.asarray(scores), kind="stable").tolist()
    while order:
        best = order.pop(0)
        kept.append(best)
        order = [other for other in order if stays(overlap_by_hand(boxes[best], boxes[other]))]
    return kept


def test_overlaps_count_the_last_pixel():
    boxes, others = random_boxes(8), random_boxes(6, seed=4)
    expected = [[overlap_by_hand(one, other) for other in others.tolist()] for one in boxes.tolist()]
    torch.testing.assert_close(overlaps(boxes, others), torch.tensor(expected))
    assert overlaps(torch.tensor([[3.0, 3, 3, 3]]), torch.tensor([[3.0, 3, 3, 3], [4, 4, 4, 4]])).tolist() == [[1, 0]]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_suppression_is_the_original_loop(threshold):
    boxes, scores = (
        random_boxes(60).double().round().float(),
        torch.rand(60, generator=torch.Generator().manual_seed(5)),
    )
    outside = inclusive_to_exclusive(boxes)
    kept = suppress(outside, scores, threshold)
    assert kept.tolist() == suppressed_by_hand(boxes.tolist(), scores, lambda overlap: overlap <= threshold)
    assert torch.equal(kept, nms(outside, scores, threshold))
    or_equal = suppress(outside, scores, threshold, or_equal=True)
    assert or_equal.tolist() == suppressed_by_hand(boxes.tolist(), scores, lambda overlap: overlap < threshold)


@pytest.mark.parametrize(("numerator", "threshold"), [(3, 0.3), (5, 0.5), (7, 0.7)])
def test_an_overlap_of_just_the_threshold_suppresses_where_it_is_asked_for(numerator, threshold):
    """A box of 10 pixels and a part of it, whose overlap in float32 is the threshold in float32."""
    boxes = torch.tensor([[0.0, 0, 9, 0], [0, 0, numerator - 1, 0]])
    scores = torch.tensor([0.9, 0.8])
    assert overlaps(boxes[:1], boxes[1:]).item() == np.float32(threshold)
    outside = inclusive_to_exclusive(boxes)
    assert suppress(outside, scores, threshold, or_equal=True).tolist() == [0]
    assert suppress(outside, scores, float(np.float32(threshold))).tolist() == [0, 1]
    smaller = torch.tensor([[0.0, 0, 10, 1], [0, 0, numerator - 1, 1]])
    assert suppress(smaller, scores, threshold, or_equal=True).tolist() == [0, 1]


def test_boxes_without_area_and_no_boxes():
    """A box whose second corner lies a pixel before its first one has no pixel; it overlaps nothing."""
    boxes = torch.tensor([[5.0, 5, 4, 4], [5, 5, 4, 4], [0, 0, 20, 20], [9, 9, 3, 3]])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    assert set(suppress(inclusive_to_exclusive(boxes), scores, 0.3).tolist()) >= {0, 2}
    assert suppress(boxes[:0], scores[:0], 0.3).shape == (0,)
    assert overlaps(boxes[:0], boxes).shape == (0, 4)


@pytest.mark.parametrize("number", [1, 3, 20, 1000])
@pytest.mark.parametrize("threshold", [0.05, 0.7])
def test_the_first_that_stay_are_found_without_the_others(number, threshold):
    boxes = torch.cat([random_boxes(200), random_boxes(1).repeat(300, 1)])  # many on one place: few stay of the first
    scores = torch.cat([torch.rand(200, generator=torch.Generator().manual_seed(1)), torch.full((300,), 2.0)])
    scores, order = scores.sort(descending=True, stable=True)
    boxes = inclusive_to_exclusive(boxes[order])
    assert torch.equal(suppress_until(boxes, scores, threshold, number), suppress(boxes, scores, threshold)[:number])
    assert len(suppress_until(boxes[:0], scores[:0], threshold, number)) == 0
