"""The numbers of referring segmentation and comprehension under a named protocol, from integers."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..mask_values import as_bool, as_count
from .boxes import MATCHED_SCORE, box_counts, checked_scores
from .counts import Sample, mask_counts
from .protocols import Protocol, get_protocol
from .ratios import ratios, value


class RefSegMetric:
    """Accumulates intersections and unions; never sees logits and never keeps a mask.

    The state is a multiset of [`Sample`]s, a few integers each, so that adding in any order and merging any partition
    of the samples (processes, subsets, shards) gives the same numbers to the last bit.

    Args:
        protocol (`str`): how to count, one of `hf_refseg.metrics.PROTOCOLS`.

    Raises:
        ValueError: unknown protocol.

    Example:
        >>> metric = RefSegMetric("hu2016")
        >>> metric.add_counts(intersection=30, union=40)
        >>> metric.compute()["oIoU"]
        0.75
    """

    def __init__(self, protocol: str = "hu2016"):
        self.protocol = get_protocol(protocol)
        self._samples: Counter[Sample] = Counter()
        self._subsets: dict[str, Counter[Sample]] = {}

    def add(
        self,
        pred_mask,
        target_mask,
        *,
        pred_no_target: bool | None = None,
        pred_boxes=None,
        target_boxes=None,
        box_scores=None,
        correct: bool | None = None,
        subsets: Iterable[str] = (),
    ) -> None:
        """Count one sample.

        Args:
            pred_mask, target_mask: arrays, tensors or pictures `(H, W)`, bool or 0 and one other value; or COCO RLEs.
                Both at the original size of the image; the protocol `lavt` resizes them itself. Both None: the sample
                has boxes only, as in comprehension.
            pred_no_target (`bool`, *optional*): whether the system says that nothing is meant; by default, whether it
                predicts nothing (no pixel, or no box where there are no masks). For the protocol `grefcoco`.
            pred_boxes, target_boxes: lists of [x0, y0, x1, y1], exclusive end; both or none.
            box_scores: of the predicted boxes; the protocol `grefcoco` leaves out boxes below 0.7.
            correct (`bool`, *optional*): whether the system picked the right region, counted as `region_acc`
                (PhraseCut's `box_acc`, MAttNet's accuracy among ground-truth boxes).
            subsets: names of the subsets the sample belongs to; `compute` reports each of them too.

        Raises:
            ValueError: as [`mask_counts`] and [`box_counts`]; or if one of two masks, or of two lists, is missing,
                `box_scores` have no boxes, or `subsets` is a single string.
        """
        sample = make_sample(
            self.protocol,
            pred_mask,
            target_mask,
            pred_no_target=pred_no_target,
            pred_boxes=pred_boxes,
            target_boxes=target_boxes,
            box_scores=box_scores,
            correct=correct,
        )
        self.add_sample(sample, subsets)

    def add_counts(
        self, intersection: int, union: int, has_target: bool = True, pred_no_target: bool | None = None
    ) -> None:
        """Count one sample by the numbers of pixels in the intersection and in the union of its two masks.

        Args:
            has_target (`bool`): whether the target mask has any foreground; matters to the protocol `grefcoco` alone.
            pred_no_target (`bool`, *optional*): whether the system says that nothing is meant. By default true only
                where both masks are empty: that an empty prediction missed a target cannot be seen from two counts.

        Raises:
            ValueError: for what is no count or no bool, unless intersection <= union, or if the intersection is
                positive without a target.
        """
        intersection, union = as_count(intersection, "intersection"), as_count(union, "union")
        has_target = as_bool(has_target, "has_target")
        if pred_no_target is None:
            pred_no_target = not has_target and union == 0
        self.add_sample(Sample(intersection, union, has_target, as_bool(pred_no_target, "pred_no_target")))

    def add_sample(self, sample: Sample, subsets: Iterable[str] = ()) -> None:
        """Count one sample that was reduced to integers elsewhere, by [`make_sample`] or [`mask_counts`].

        Raises:
            ValueError: for impossible counts, or where `subsets` is a single string.
        """
        if isinstance(subsets, str):
            raise ValueError(f"subsets is {subsets!r}, of which each letter would be a name; give [{subsets!r}]")
        sample = _checked(sample)
        self._samples[sample] += 1
        for name in subsets:
            self._subsets.setdefault(name, Counter())[sample] += 1

    def merge(self, other: "RefSegMetric") -> "RefSegMetric":
        """Add all samples of `other` (another process, another shard) to this metric, and return this metric.

        Raises:
            ValueError: if the two count by different protocols. TypeError: `other` is another kind of metric.
        """
        if not isinstance(other, RefSegMetric):
            raise TypeError(f"cannot merge a {type(other).__name__} into a RefSegMetric")
        if other.protocol != self.protocol:
            raise ValueError(f"cannot merge protocol {other.protocol.name!r} into {self.protocol.name!r}")
        self._samples.update(other._samples)
        for name, samples in other._subsets.items():
            self._subsets.setdefault(name, Counter()).update(samples)
        return self

    def compute(self, num_expected: int | None = None) -> dict:
        """The numbers so far, as fractions in [0, 1].

        Args:
            num_expected (`int`, *optional*): how many samples the data set has. Those that were not added are
                `num_missing`, and for each mean `..._missing_as_empty` is what it would be had they scored 0: what
                PhraseCut's evaluator prints of a partial prediction.

        Returns:
            `dict`: `oIoU` (sum of intersections / sum of unions; nan if every union is empty), `mIoU` (mean IoU of the
            samples), `Pr@0.5` ... `Pr@0.9`, and what else applies (see [`hf_refseg.metrics.ratios.ratios`]); `num`
            (samples), `num_no_target` where there are such, `protocol`, and where samples had subsets, `subsets`: for
            each the same numbers.

        Raises:
            ValueError: if no sample was added, or `num_expected` is no count or below what was added.
        """
        num = self._samples.total()
        if num == 0:
            raise ValueError("no sample was added: call add() or add_counts() before compute()")
        numbers = _numbers(self._samples, self.protocol)
        if num_expected is not None:
            num_expected = as_count(num_expected, "num_expected")
            if num_expected < num:
                raise ValueError(f"{num} samples were added, but num_expected is {num_expected}")
            means = {name: numbers[name] for name in ("mIoU", "mean_box_iou") if name in numbers}
            numbers["num_missing"] = num_expected - num
            numbers |= {f"{name}_missing_as_empty": mean * num / num_expected for name, mean in means.items()}
        numbers["protocol"] = self.protocol.name
        if self._subsets:
            numbers["subsets"] = {name: _numbers(samples, self.protocol) for name, samples in self._subsets.items()}
        return numbers

    def state_dict(self) -> dict:
        """The state as JSON values: `protocol`, sorted rows [*sample, how often] as `samples`, the same per subset."""
        return {
            "protocol": self.protocol.name,
            "samples": _rows(self._samples),
            "subsets": {name: _rows(samples) for name, samples in sorted(self._subsets.items())},
        }

    @classmethod
    def from_state_dict(cls, state: dict) -> "RefSegMetric":
        """The metric whose `state_dict()` is `state`; also after a round trip through JSON.

        Raises:
            ValueError: it is no such state, or holds impossible counts.
        """
        if not isinstance(state, dict) or not {"protocol", "samples", "subsets"} <= state.keys():
            raise ValueError("this is no state of a RefSegMetric, which has protocol, samples and subsets")
        metric = cls(state["protocol"])
        try:
            metric._samples = _counter(state["samples"])
            metric._subsets = {name: _counter(rows) for name, rows in state["subsets"].items()}
        except (TypeError, AttributeError, IndexError) as error:
            raise ValueError(
                f"this is no state of a RefSegMetric, whose samples are lists of numbers: {error}"
            ) from error
        return metric


def make_sample(
    protocol: Protocol,
    pred_mask=None,
    target_mask=None,
    *,
    pred_no_target: bool | None = None,
    pred_boxes=None,
    target_boxes=None,
    box_scores=None,
    correct: bool | None = None,
) -> Sample:
    """The integers of one sample; arguments and errors as [`RefSegMetric.add`]."""
    if (pred_mask is None) != (target_mask is None) or (pred_boxes is None) != (target_boxes is None):
        raise ValueError("give both a prediction and a target: two masks, two lists of boxes, or all four")
    if pred_mask is None and pred_boxes is None:
        raise ValueError("a sample needs two masks, two lists of boxes, or both")
    if pred_boxes is None and box_scores is not None:
        raise ValueError("box_scores are given without boxes, so they would not be read: give pred_boxes too")
    if pred_mask is not None:
        sample = mask_counts(pred_mask, target_mask, size=protocol.size)
    else:
        scores = np.ones(len(pred_boxes)) if box_scores is None else checked_scores(box_scores, len(pred_boxes))
        none_left = not (scores >= MATCHED_SCORE).any()
        sample = Sample(None, None, has_target=len(target_boxes) > 0, pred_no_target=none_left)
    if pred_boxes is not None:
        numerator, denominator = box_counts(pred_boxes, target_boxes, protocol.box_rule, box_scores)
        sample = sample._replace(box_numerator=numerator, box_denominator=denominator)
    if pred_no_target is not None:
        sample = sample._replace(pred_no_target=as_bool(pred_no_target, "pred_no_target"))
    return sample if correct is None else sample._replace(correct=as_bool(correct, "correct"))


def _numbers(samples: Counter[Sample], protocol: Protocol) -> dict:
    numbers: dict = {name: value(name, ratio) for name, ratio in ratios([*samples.elements()], protocol).items()}
    without_target = sum(n for sample, n in samples.items() if not sample.has_target)
    if protocol.knows_no_target or without_target:
        numbers["num_no_target"] = without_target
    return numbers | {"num": samples.total()}


def _rows(samples: Counter[Sample]) -> list[list]:
    rows = ([*sample, n] for sample, n in samples.items())
    return sorted(rows, key=lambda row: [-1 if value is None else value for value in row])


def _counter(rows: list[list]) -> Counter[Sample]:
    counter: Counter[Sample] = Counter()
    for row in rows:
        counter[_checked(row[:-1])] += as_count(row[-1], "the number of samples")
    return counter


def _checked(sample: Iterable) -> Sample:
    """A sample of possible counts; raises ValueError for others."""
    try:
        sample = Sample(*sample)
        for name in ("intersection", "union", "box_numerator", "box_denominator"):
            if getattr(sample, name) is not None:
                as_count(getattr(sample, name), name)
        sample = sample._replace(
            has_target=as_bool(sample.has_target, "has_target"),
            pred_no_target=as_bool(sample.pred_no_target, "pred_no_target"),
            correct=None if sample.correct is None else as_bool(sample.correct, "correct"),
        )
    except TypeError as error:
        raise ValueError(f"{sample!r} is no sample: {error}") from error
    intersection, union, has_target = sample[:3]
    if (intersection is None) != (union is None) or (
        union is not None and (intersection > union or (intersection and not has_target))
    ):
        raise ValueError(
            f"impossible counts: intersection {intersection}, union {union}, has_target {has_target}; "
            "the intersection is a part of the union, and of the target"
        )
    numerator, denominator = sample.box_numerator, sample.box_denominator
    if (numerator is None) != (denominator is None) or (numerator is not None and numerator > denominator):
        raise ValueError(f"impossible box score: {numerator} of {denominator}; the first is a part of the second")
    return sample
