"""Every number of the field as a ratio of two sums over samples: what metrics report and what bootstraps resample."""

import math
from collections.abc import Sequence

import numpy as np

from .counts import Sample
from .protocols import Protocol

PRECISION_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)

# per sample its share of the numerator and of the denominator, (N,) each
Ratio = tuple[np.ndarray, np.ndarray]


def ratios(samples: Sequence[Sample], protocol: Protocol) -> dict[str, Ratio]:
    """The numbers that these samples have under a protocol; samples a number isn't about count 0 in both sums.

    Returns:
        `oIoU`, `mIoU`, `Pr@0.5` ... `Pr@0.9`, where masks were given; of protocols that know samples without target
        also `gIoU` (of all samples), `cIoU`, `N-acc` (of samples without target, the share that was found out) and
        `T-acc` (of the others, the share that was not taken for one); with boxes, by the protocol's rule,
        `box_acc` | `mean_box_iou`, `box_Pr@0.5` ... | `Pr@(F1=1)`; and `region_acc` where `correct` was given.
    """
    numbers: dict[str, Ratio] = {}
    has_target = np.array([sample.has_target for sample in samples], bool)
    no_target_said = np.array([sample.pred_no_target for sample in samples], bool)
    masked = np.array([sample.union is not None for sample in samples], bool)
    if masked.any():
        intersections = np.array([sample.intersection or 0 for sample in samples], np.int64)
        unions = np.array([sample.union or 0 for sample in samples], np.int64)
        if protocol.knows_no_target:
            intersections = np.where(no_target_said, 0, intersections)
            unions = np.where(no_target_said & ~has_target, 0, unions)
        # an empty union is right only where that is a sample without target that was found out
        empty = np.where(no_target_said | (not protocol.knows_no_target), protocol.empty_union_iou, 0.0)
        ious = np.where(unions > 0, intersections / np.maximum(unions + protocol.union_epsilon, 1e-300), empty)
        ious *= masked
        eligible = masked & has_target if protocol.knows_no_target else masked
        numbers["oIoU"], numbers["mIoU"] = (intersections, unions), (ious, masked)
        numbers |= _precisions("Pr", ious, eligible, protocol)
        if protocol.knows_no_target:
            numbers |= {"gIoU": numbers["mIoU"], "cIoU": numbers["oIoU"]}
    if protocol.knows_no_target:
        numbers["N-acc"] = no_target_said & ~has_target, ~has_target
        numbers["T-acc"] = ~no_target_said & has_target, has_target
    return numbers | _box_ratios(samples, protocol)


def _box_ratios(samples: Sequence[Sample], protocol: Protocol) -> dict[str, Ratio]:
    numbers: dict[str, Ratio] = {}
    told = np.array([sample.correct is not None for sample in samples], bool)
    if told.any():
        numbers["region_acc"] = np.array([bool(sample.correct) for sample in samples]), told
    boxed = np.array([sample.box_denominator is not None for sample in samples], bool)
    if boxed.any():
        numerators = np.array([sample.box_numerator or 0 for sample in samples], np.int64)
        denominators = np.array([sample.box_denominator or 0 for sample in samples], np.int64)
        scores = numerators / np.maximum(denominators, 1)
        if protocol.box_rule == "union":
            numbers["mean_box_iou"] = scores, boxed
            numbers |= _precisions("box_Pr", scores, boxed, protocol)
        else:
            name = "box_acc" if protocol.box_rule == "single" else "Pr@(F1=1)"
            numbers[name] = boxed & (scores >= 1), boxed
    return numbers


def _precisions(name: str, ious: np.ndarray, eligible: np.ndarray, protocol: Protocol) -> dict[str, Ratio]:
    compare = np.greater_equal if protocol.inclusive else np.greater
    return {f"{name}@{t}": (compare(ious, t) & eligible, eligible) for t in PRECISION_THRESHOLDS}


def value(name: str, ratio: Ratio) -> float:
    """The ratio of the sums, correctly rounded sums, so that no order of the samples matters.

    Without any sample it is about, a number is 0, as the originals have it; but an overall IoU of empty unions is nan.
    """
    numerators, denominators = ratio
    total = int(denominators.sum())
    if total == 0:
        return math.nan if name in ("oIoU", "cIoU") else 0.0
    exact = numerators.dtype.kind != "f"
    return (int(numerators.sum()) if exact else math.fsum(numerators.tolist())) / total
