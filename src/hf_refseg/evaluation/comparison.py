"""Is one system better than another on the same expressions? Bootstrap intervals of numbers and of differences."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..metrics import Sample, get_protocol
from ..metrics.protocols import Protocol
from ..metrics.ratios import ratios, value
from .results import COLUMNS

CHUNK = 2_000_000  # drawn images held in memory at once


class Difference(NamedTuple):
    """One number of two results (fractions), second minus first, and the interval of that difference."""

    name: str
    first: float
    second: float
    difference: float
    low: float
    high: float


def compare(
    first: dict, second: dict, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> list[Difference]:
    """Differences of all numbers of two results of `hf-refseg evaluate`.

    Images are drawn with replacement, the same for both systems, each with all of its expressions: expressions of one
    image are not independent samples. Intervals are percentiles of the differences.

    Raises:
        ValueError: the two are not about the same expressions under the same protocol, the confidence is not in
            (0, 1), or there are no resamples.
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"confidence {confidence} must lie in (0, 1), resamples {resamples} be 1 or more")
    _check_comparable(first, second)
    protocol = get_protocol(first["protocol"]["name"])
    both = [ratios([Sample(*sample[len(COLUMNS) :]) for sample in one["samples"]], protocol) for one in (first, second)]
    names = [name for name in both[0] if name in both[1]]
    image_ids = [sample[COLUMNS.index("image_id")] for sample in first["samples"]]
    # (N, names x systems x [numerator, denominator])
    parts = np.stack([part for name in names for one in both for part in one[name]], axis=1)
    totals = resampled_sums(image_ids, parts, resamples, seed).reshape(resamples, len(names), 2, 2)
    values = quotients(totals)
    low, high = percentiles(values[..., 1] - values[..., 0], confidence)  # of (resamples, names)
    report = []
    for index, name in enumerate(names):
        a, b = (value(name, one[name]) for one in both)
        report.append(Difference(name, a, b, b - a, float(low[index]), float(high[index])))
    return report


def intervals(
    samples: Sequence[Sample],
    image_ids: Sequence[int],
    protocol: Protocol,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """
    How far the metrics of samples would differ with other images of the same kind: low and high end, by name.

    Args:
        samples, image_ids: N each.
    """
    counted = ratios(samples, protocol)
    parts = np.stack([part for ratio in counted.values() for part in ratio], axis=1)
    totals = resampled_sums(image_ids, parts, resamples, seed).reshape(resamples, len(counted), 2)
    low, high = percentiles(quotients(totals), confidence)
    return {name: (float(low[index]), float(high[index])) for index, name in enumerate(counted)}


def quotients(totals: np.ndarray) -> np.ndarray:
    """(..., 2) numerators and denominators -> (...), 0 where there is nothing to divide by."""
    numerators, denominators = totals[..., 0], totals[..., 1]
    return np.divide(numerators, denominators, out=np.zeros_like(numerators), where=denominators > 0)


def percentiles(values: np.ndarray, confidence: float) -> np.ndarray:
    """The ends between which the share `confidence` of the resamples lies: (resamples, M) -> (2, M)."""
    return np.percentile(values, [50 * (1 - confidence), 50 * (1 + confidence)], axis=0)


def resampled_sums(image_ids: Sequence[int], parts: np.ndarray, resamples: int, seed: int = 0) -> np.ndarray:
    """
    The sums over samples, of as many images as there are, drawn with repetition: (N, P) -> (resamples, P).

    Args:
        image_ids: of the N samples; those of an image are drawn together.
        parts: (N, P) of each sample.
    """
    images = np.unique(image_ids, return_inverse=True)[1]  # (N,) number of the image of each sample
    num_images = int(images.max()) + 1
    # (images, P): all a resample needs is the sums of each image
    sums = np.stack([np.bincount(images, part, num_images) for part in parts.T], axis=1)
    rng, drawn = np.random.default_rng(seed), []
    step = max(1, CHUNK // num_images)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        picks = rng.integers(0, num_images, (count, num_images)) + np.arange(count)[:, None] * num_images
        weights = np.bincount(picks.ravel(), minlength=count * num_images).reshape(count, num_images)
        drawn.append(weights.astype(np.float64) @ sums)
    return np.concatenate(drawn)


def _check_comparable(first: dict, second: dict) -> None:
    pairs = [(name, first[name], second[name]) for name in ("dataset", "split")]
    pairs.append(("protocol", first["protocol"]["name"], second["protocol"]["name"]))
    pairs.append(("number of expressions", len(first["samples"]), len(second["samples"])))
    for name, a, b in pairs:
        if a != b:
            raise ValueError(f"results of another {name} can't be compared: {a!r} and {b!r}; evaluate both alike")
    for a, b in zip(first["samples"], second["samples"], strict=True):
        if a[: len(COLUMNS)] != b[: len(COLUMNS)]:
            raise ValueError(
                f"the results are about different expressions, first {dict(zip(COLUMNS, a, strict=False))} and "
                f"{dict(zip(COLUMNS, b, strict=False))}; evaluate both on the same data"
            )


def table(report: list[Difference], names: tuple[str, str]) -> str:
    """Percent, one number per line; a star marks intervals that leave out 0."""
    width = max(10, *(min(len(name), 24) for name in names)) + 2
    lines = [f"{'':16}{names[0][-24:]:>{width}}{names[1][-24:]:>{width}}{'difference':>12}   interval"]
    for row in report:
        mark = " *" if row.low > 0 or row.high < 0 else ""
        interval = f"[{100 * row.low:+.2f}, {100 * row.high:+.2f}]"
        lines.append(
            f"{row.name:16}{100 * row.first:{width}.2f}{100 * row.second:{width}.2f}{100 * row.difference:+12.2f}"
            f"   {interval}{mark}"
        )
    return "\n".join(lines)
