"""Box rules on cases computed by hand."""

import numpy as np
import pytest

from hf_refseg.metrics import RefSegMetric, box_counts, inclusive_box_iou


def test_inclusive_iou_counts_both_corners():
    assert inclusive_box_iou([0, 0, 4, 2], [2, 0, 6, 2]) == pytest.approx(4 / 12)
    # columns 0..3 against 3..6: one shared column of pixels, which the strict test does not take for an overlap
    assert inclusive_box_iou([0, 0, 4, 4], [3, 0, 7, 4]) == 0.0
    assert inclusive_box_iou([1, 1, 1, 1], [1, 1, 1, 1]) == 0.0


@pytest.mark.parametrize(("right", "expected"), [(20, 1), (21, 0)])
def test_single_is_right_from_one_half_on(right, expected):
    assert box_counts([[0, 0, right, 5]], [[0, 0, 10, 5]]) == (expected, 1)
    assert box_counts([], [[0, 0, 10, 5]]) == (0, 1)


def test_union_loses_the_last_row_and_column():
    assert box_counts([[0, 0, 5, 5]], [[0, 0, 5, 5]], rule="union") == (16, 16)
    assert box_counts([[0, 0, 5, 5], [10, 0, 15, 5]], [[0, 0, 5, 5]], rule="union") == (16, 32)
    assert box_counts([], [[0, 0, 5, 5]], rule="union") == (0, 16)
    assert box_counts([], [], rule="union") == (0, 0)


def test_matched_pairs_the_best_first():
    first, second = [0, 0, 10, 10], [20, 0, 30, 10]
    shifted = [0, 2, 10, 12]  # IoU 80 / 120 with `first`
    assert box_counts([second, first], [first, second], rule="matched") == (4, 4)
    assert box_counts([shifted, first], [first, second], rule="matched") == (2, 4)
    assert box_counts([first], [], rule="matched") == (0, 1)
    assert box_counts([], [], rule="matched") == (1, 1)
    # IoU 60 / 120 = 0.5, but the hull of 140 takes its share: the generalized IoU is below one half
    assert box_counts([[0, 0, 10, 9]], [[1, 3, 11, 12]], rule="matched") == (0, 2)


def test_matched_leaves_out_unsure_boxes():
    box = [0, 0, 10, 10]
    assert box_counts([box, box], [box], rule="matched", scores=[0.7, 0.69]) == (2, 2)
    metric = RefSegMetric("grefcoco")
    metric.add(None, None, pred_boxes=[box, box], target_boxes=[box], box_scores=[0.9, 0.1])
    metric.add(None, None, pred_boxes=[box], target_boxes=[], box_scores=[0.6])
    metric.add(None, None, pred_boxes=[], target_boxes=[box])
    metric.add(None, None, pred_boxes=[box], target_boxes=[])
    numbers = metric.compute()
    assert numbers["Pr@(F1=1)"] == 0.5 and numbers["N-acc"] == 0.5 and numbers["T-acc"] == 0.5
    assert "oIoU" not in numbers and "gIoU" not in numbers


def test_boxes_beside_masks_and_alone():
    metric = RefSegMetric("mattnet")
    mask = np.ones((4, 4), bool)
    metric.add(mask, mask, pred_boxes=[[0, 0, 4, 4]], target_boxes=[[0, 0, 4, 4]])
    metric.add(None, None, pred_boxes=[[0, 0, 4, 4]], target_boxes=[[4, 4, 8, 8]], correct=False)
    numbers = metric.compute()
    assert (numbers["box_acc"], numbers["oIoU"], numbers["mIoU"], numbers["Pr@0.9"]) == (0.5, 1.0, 1.0, 1.0)
    assert (numbers["region_acc"], numbers["num"]) == (0.0, 2)


def test_union_of_boxes_as_large_as_a_continent_takes_no_memory():
    assert box_counts([[0, 0, 1e9, 1e9]], [[0, 0, 5, 5]], rule="union") == (16, (10**9 - 1) ** 2)


@pytest.mark.parametrize(
    ("boxes", "scores", "rule", "message"),
    [
        ([[0, 0, np.nan, 4]], None, "single", "nan"),
        ([["0", "0", "4", "4"]], None, "single", "predicted boxes: expected numbers, got <U1"),
        *(([[0, 0, 1e12, 4]], None, rule, "no picture is as large") for rule in ("single", "union", "matched")),
        ([[0.1, 0.1, 0.5, 0.9]], None, "single", "one lies in one pixel; give pixels of the picture, not shares"),
        ([[False, False, True, True]], None, "single", "are of bool; give a list of"),
        ([[0, 0, 4, 4]], [np.nan], "matched", "box_scores are .nan.; give finite numbers"),
        ([[0, 0, 4, 4]], ["0.9"], "matched", "box_scores: expected numbers"),
    ],
)
def test_values_of_no_box_are_refused(boxes, scores, rule, message):
    with pytest.raises(ValueError, match=message):
        box_counts(boxes, [[0, 0, 4, 4]], rule=rule, scores=scores)


def test_errors_teach():
    box, mask = [0, 0, 4, 4], np.ones((4, 4))
    with pytest.raises(ValueError, match="give xyxy, not xywh"):
        box_counts([[10, 10, 5, 5]], [box])
    with pytest.raises(ValueError, match=r"predicted boxes have the shape \(4,\)"):
        box_counts(box, [box])
    with pytest.raises(ValueError, match="2 predicted boxes for 1 targets"):
        box_counts([box, box], [box])
    with pytest.raises(ValueError, match="unknown box rule 'best'"):
        box_counts([box], [box], rule="best")
    with pytest.raises(ValueError, match="1 scores for 2 predicted boxes"):
        box_counts([box, box], [box], rule="matched", scores=[1])
    for wrong in ([0, 0], [9, 9, 0, 0], [0, 0, np.nan, 4], {"x": 1}):
        with pytest.raises(ValueError, match="first boxes"):
            inclusive_box_iou(wrong, box)
    with pytest.raises(ValueError, match="box_scores are given without boxes"):
        RefSegMetric().add(mask, mask, box_scores=[0.4])
    with pytest.raises(ValueError, match="give both a prediction and a target"):
        RefSegMetric().add(mask, None)
    with pytest.raises(ValueError, match="two masks, two lists of boxes, or both"):
        RefSegMetric().add(None, None)


def test_a_box_that_begins_left_of_the_picture_counts_as_the_originals_slices_do():
    # canvas[2:9, -3:9] of a canvas of 22 columns begins at its column 19, beyond its end: nothing
    assert box_counts([[-3, 2, 10, 10]], [[5, 2, 22, 10]], "union") == (0, 7 * 16)
    # canvas[2:9, -3:21] is canvas[2:9, 19:21]
    assert box_counts([[-3, 2, 22, 10]], [[5, 2, 22, 10]], "union") == (7 * 2, 7 * 16)
