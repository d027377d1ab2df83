"""When a predicted box is right: the three rules of the field. All boxes are [x0, y0, x1, y1] pixels, exclusive end.

==========  ===========================================================================================================
single      one box each, right at IoU >= 0.5; the intersection counts both corners as pixels (MAttNet eval_dets.py)
union       pixels of the union of all predicted boxes against those of all target boxes (PhraseCut utils/iou.py)
matched     right if boxes and targets pair up completely, at generalized IoU >= 0.5 (gRefCOCO refexp.py, F1 = 1)
==========  ===========================================================================================================
"""

from collections.abc import Sequence

import numpy as np

from ..mask_values import as_array

BOX_IOU = 0.5
# gRefCOCO's evaluation takes a detection for an answer from this score on.
MATCHED_SCORE = 0.7
MOST_PIXELS = 1 << 30  # along a side: no picture has more, and areas are still exact

Box = Sequence[float]


def box_counts(
    pred_boxes: Sequence[Box], target_boxes: Sequence[Box], rule: str = "single", scores: Sequence[float] | None = None
) -> tuple[int, int]:
    """The box score of one sample as (numerator, denominator), integers; 0 / 0 is a score of 0.

    Args:
        rule: `"single"`: (1 or 0, 1). `"union"`: (intersection, union) in pixels. `"matched"`: F1 as (2 TP, boxes +
            targets); (1, 1) where nothing is meant and nothing predicted.
        scores: of the predicted boxes; the rule `"matched"` leaves out those below 0.7.

    Raises:
        ValueError: unknown rule, a box that is not four finite numbers with x0 <= x1 and y0 <= y1, that is larger than
            any picture or lies in one pixel, as shares of the sides do; another number of scores than of boxes, a score
            that is not finite, or more than one box on a side under the rule `"single"`.
    """
    pred, target = _boxes(pred_boxes, "predicted"), _boxes(target_boxes, "target")
    kept = pred if scores is None else pred[checked_scores(scores, len(pred)) >= MATCHED_SCORE]
    if rule == "union":
        return union_box_counts(pred, target)
    if rule == "matched":
        return matched_box_counts(kept, target)
    if rule != "single":
        raise ValueError(f"unknown box rule {rule!r}: choose one of 'single', 'union', 'matched'")
    if len(target) != 1 or len(pred) > 1:
        raise ValueError(
            f"{len(pred)} predicted boxes for {len(target)} targets; the rule 'single' compares at most one with one"
        )
    return int(len(pred) == 1 and inclusive_box_iou(pred[0], target[0]) >= BOX_IOU), 1


def inclusive_box_iou(first: Box, second: Box) -> float:
    """IoU whose intersection takes both corners for pixels of the box (x0 .. x1 - 1, plus one) and whose areas are
    width x height. Boxes that share no more than one row or column of pixels don't overlap: the test is strict.

    Raises ValueError for what is no box, as [`box_counts`].
    """
    (first,), (second,) = _boxes([first], "first"), _boxes([second], "second")
    x0, y0 = max(first[0], second[0]), max(first[1], second[1])
    x1, y1 = min(first[2] - 1, second[2] - 1), min(first[3] - 1, second[3] - 1)
    shared = (x1 - x0 + 1) * (y1 - y0 + 1) if x0 < x1 and y0 < y1 else 0.0
    total = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return float(shared / (total - shared)) if total > shared else 0.0


def union_box_counts(pred: np.ndarray, target: np.ndarray) -> tuple[int, int]:
    """(intersection, union) in pixels of the rasterised unions of two sets of boxes (N, 4) and (M, 4).

    As in PhraseCut's evaluator, the last row and column of pixels of every box are lost, so that a box of width or
    height 1 has no pixel at all. A coordinate below 0 counts from the far border of all boxes, as in its slices: a box
    that begins left of the picture, as some annotated ones do, then mostly has no pixel.
    """
    if not len(pred) and not len(target):
        return 0, 0
    both = np.concatenate([pred, target])
    # x1 - 1 is the last pixel's coordinate, which the original then uses as the end of a slice
    width, height = (max(int(side), 0) for side in (both[:, 2:] - 1).max(0) + 1)
    corners = [
        np.array([slice_of_box(box, width, height) for box in np.trunc(boxes - (0, 0, 1, 1)).astype(int)]).reshape(
            -1, 4
        )
        for boxes in (pred, target)
    ]
    # all pixels between two neighboring edges of boxes are alike: one cell for them, however large the boxes are
    columns, rows = (np.unique(np.concatenate(corners)[:, axis::2]) for axis in (0, 1))
    painted = []
    for boxes in corners:
        cells = np.zeros((len(rows), len(columns)), bool)
        for x0, y0, x1, y1 in boxes:
            top, bottom = np.searchsorted(rows, (y0, y1))
            left, right = np.searchsorted(columns, (x0, x1))
            cells[top:bottom, left:right] = True
        painted.append(cells)
    sizes = np.diff(rows, append=rows[-1:])[:, None] * np.diff(columns, append=columns[-1:])  # pixels of each cell
    return int(sizes[painted[0] & painted[1]].sum()), int(sizes[painted[0] | painted[1]].sum())


def slice_of_box(box: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """The pixels that `canvas[y0:y1, x0:x1]` would paint on a canvas of this size: [x0, y0, x1, y1]."""
    (x0, x1, _), (y0, y1, _) = slice(box[0], box[2]).indices(width), slice(box[1], box[3]).indices(height)
    return x0, y0, x1, y1


def matched_box_counts(pred: np.ndarray, target: np.ndarray) -> tuple[int, int]:
    """F1 of two sets of boxes (N, 4) and (M, 4) as (2 TP, N + M): the best pair first, each box in one pair at most."""
    if not len(target) and not len(pred):
        return 1, 1
    overlap, pairs = _generalized_iou(pred, target), 0
    while overlap.size and overlap.max() >= BOX_IOU:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        overlap = np.delete(np.delete(overlap, row, 0), column, 1)
        pairs += 1
    return 2 * pairs, len(pred) + len(target)


def _generalized_iou(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N, M): IoU minus the share of the enclosing box that neither covers (Rezatofighi et al. 2019)."""
    pred, target = pred[:, None], target[None]  # (N, 4), (M, 4) -> (N, 1, 4), (1, M, 4)
    shared = np.clip(np.minimum(pred[..., 2:], target[..., 2:]) - np.maximum(pred[..., :2], target[..., :2]), 0, None)
    hull = np.maximum(pred[..., 2:], target[..., 2:]) - np.minimum(pred[..., :2], target[..., :2])
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (pred, target)]
    shared, hull = shared.prod(-1), hull.prod(-1)  # (N, M, 2) -> (N, M)
    union = areas[0] + areas[1] - shared
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(shared / union - (hull - union) / hull, nan=-1.0)


def checked_scores(scores: Sequence[float], count: int) -> np.ndarray:
    """One finite score per box, (count,); raises ValueError for others."""
    array = as_array(scores, "box_scores") if len(scores) else np.zeros(0)
    if array.shape != (count,):
        raise ValueError(f"{len(scores)} scores for {count} predicted boxes; give one per box")
    if not np.isfinite(array).all():
        raise ValueError(f"box_scores are {array.tolist()}; give finite numbers")
    return array


def _boxes(boxes: Sequence[Box], name: str) -> np.ndarray:
    array = as_array(boxes, f"{name} boxes") if len(boxes) else np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype == bool:
        raise ValueError(
            f"{name} boxes have the shape {array.shape} and are of {array.dtype}; give a list of [x0, y0, x1, y1]"
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all() or (array[:, 2:] < array[:, :2]).any():
        raise ValueError(f"{name} boxes {array.tolist()}: x0 <= x1 and y0 <= y1 must hold; give xyxy, not xywh")
    if np.abs(array).max(initial=0) >= MOST_PIXELS:
        raise ValueError(f"{name} boxes reach from {array.min():g} to {array.max():g} pixels; no picture is as large")
    if ((array >= 0) & (array <= 1)).all(1).any() and ((array > 0) & (array < 1)).any():
        raise ValueError(
            f"{name} boxes {array.tolist()}: one lies in one pixel; give pixels of the picture, not shares of its sides"
        )
    return array
