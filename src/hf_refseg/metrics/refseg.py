"""Overall IoU, mean IoU and precision at X of referring segmentation, under a named protocol."""

import math
from collections import Counter

import numpy as np

from .protocols import get_protocol

PRECISION_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


class RefSegMetric:
    """Accumulates intersections and unions; never sees logits and never keeps a mask.

    The state is a multiset of integer triples (intersection, union, has_target), so that adding in any order and
    merging any partition of the samples (processes, subsets, shards) gives the same numbers to the last bit: the only
    float sum, that of the mean IoU, is `math.fsum`, whose result does not depend on the order.

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
        self._samples: Counter[tuple[int, int, bool]] = Counter()

    def add(self, pred_mask, target_mask) -> None:
        """Count one sample.

        Args:
            pred_mask, target_mask (array or tensor `(H, W)`, bool or numbers): non-zero is foreground. Both at the
                original size of the image; the protocol `lavt` resizes them itself.

        Raises:
            ValueError: if a mask is not two-dimensional or their sizes differ.
        """
        self.add_counts(*mask_counts(pred_mask, target_mask, size=self.protocol.size))

    def add_counts(self, intersection: int, union: int, has_target: bool = True) -> None:
        """Count one sample by the numbers of pixels in the intersection and in the union of its two masks.

        Args:
            has_target (`bool`): whether the target mask has any foreground; matters to the protocol `grefcoco` alone.

        Raises:
            ValueError: unless 0 <= intersection <= union, or if the intersection is positive without a target.
        """
        intersection, union = int(intersection), int(union)
        if not 0 <= intersection <= union or (intersection and not has_target):
            raise ValueError(
                f"impossible counts: intersection {intersection}, union {union}, has_target {has_target}; "
                "the intersection is a part of the union, and of the target"
            )
        self._samples[intersection, union, bool(has_target)] += 1

    def merge(self, other: "RefSegMetric") -> "RefSegMetric":
        """Add all samples of `other` (another process, another shard) to this metric, and return this metric.

        Raises:
            ValueError: if the two count by different protocols.
        """
        if other.protocol != self.protocol:
            raise ValueError(f"cannot merge protocol {other.protocol.name!r} into {self.protocol.name!r}")
        self._samples.update(other._samples)
        return self

    def compute(self) -> dict[str, float | int | str]:
        """The numbers so far, as fractions in [0, 1].

        Returns:
            `dict`: `oIoU` (sum of intersections / sum of unions; nan if every union is empty), `mIoU` (mean IoU of the
            samples), `Pr@0.5` ... `Pr@0.9`, `num` (samples) and `protocol`.

        Raises:
            ValueError: if no sample was added.
        """
        num = self._samples.total()
        if num == 0:
            raise ValueError("no sample was added: call add() or add_counts() before compute()")
        total_intersection = sum(intersection * n for (intersection, _, _), n in self._samples.items())
        total_union = sum(union * n for (_, union, _), n in self._samples.items())
        ious = {sample: self._iou(*sample[:2]) for sample in self._samples}
        numbers: dict[str, float | int | str] = {
            "oIoU": total_intersection / total_union if total_union else math.nan,
            "mIoU": math.fsum(ious[sample] for sample in self._samples.elements()) / num,
        }
        for threshold in PRECISION_THRESHOLDS:
            numbers[f"Pr@{threshold}"] = self._precision(ious, threshold)
        return numbers | {"num": num, "protocol": self.protocol.name}

    def _iou(self, intersection: int, union: int) -> float:
        if union == 0:
            return self.protocol.empty_union_iou
        return intersection / (union + self.protocol.union_epsilon)

    def _precision(self, ious: dict[tuple[int, int, bool], float], threshold: float) -> float:
        eligible = hits = 0
        for (intersection, union, has_target), n in self._samples.items():
            if self.protocol.precision_targeted_only and not has_target:
                continue
            iou = ious[intersection, union, has_target]
            eligible += n
            hits += n * (iou >= threshold if self.protocol.inclusive else iou > threshold)
        return hits / eligible if eligible else 0.0

    def state_dict(self) -> dict:
        """The state as JSON values: `protocol`, and sorted rows [intersection, union, has_target, n] as `samples`."""
        return {
            "protocol": self.protocol.name,
            "samples": [[*sample, n] for sample, n in sorted(self._samples.items())],
        }

    @classmethod
    def from_state_dict(cls, state: dict) -> "RefSegMetric":
        """The metric whose `state_dict()` is `state`; also after a round trip through JSON."""
        metric = cls(state["protocol"])
        for intersection, union, has_target, n in state["samples"]:
            metric._samples[int(intersection), int(union), bool(has_target)] += int(n)
        return metric


def mask_counts(pred_mask, target_mask, size: tuple[int, int] | None = None) -> tuple[int, int, bool]:
    """Reduce two masks `(H, W)` (non-zero is foreground) to what the metric keeps: (intersection, union, has_target).

    Args:
        size (`tuple[int, int]`, *optional*): (height, width) to which both are resized first (nearest pixel).

    Raises:
        ValueError: if a mask is not two-dimensional or, without `size`, if their sizes differ.
    """
    pred, target = _foreground(pred_mask), _foreground(target_mask)
    if pred.ndim != 2 or target.ndim != 2:
        raise ValueError(
            f"masks must be (height, width), got shapes {pred.shape} and {target.shape}: add one sample at a time"
        )
    if size is not None:
        pred, target = _resize_nearest(pred, size), _resize_nearest(target, size)
    if pred.shape != target.shape:
        raise ValueError(
            f"the prediction is {pred.shape[0]} x {pred.shape[1]} and the target {target.shape[0]} x "
            f"{target.shape[1]}: post-process the prediction with target_sizes, so that both have the original size"
        )
    return int((pred & target).sum()), int((pred | target).sum()), bool(target.any())


def _foreground(mask) -> np.ndarray:
    """A mask as a bool array, be it a tensor of any device and dtype, an array or a picture."""
    if hasattr(mask, "detach"):  # bfloat16 and GPU tensors are unknown to numpy
        return (mask != 0).cpu().numpy()
    return np.asarray(mask) != 0


def _resize_nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(int) for old, new in zip(mask.shape, size, strict=True)
    )
    return mask[rows[:, None], columns]  # (H, W) -> size
