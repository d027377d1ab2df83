"""Bootstrap intervals: against one computed by brute force, and where the truth is known."""

import numpy as np
import pytest

from hf_refseg.evaluation.comparison import compare, intervals, table
from hf_refseg.evaluation.results import COLUMNS, read_results, write_results
from hf_refseg.metrics import Sample, get_protocol


def results_of(ious, per_image=2, protocol="hu2016", **fields):
    """Results with one sample of union 1000 per IoU, `per_image` of them to an image."""
    samples = [
        [row, 0, row // per_image, row, row, *Sample(int(round(1000 * iou)), 1000)] for row, iou in enumerate(ious)
    ]
    defaults = {"model": "m", "dataset": "d", "split": "val", "protocol": {"name": protocol}, "metrics": {}}
    return {**defaults, "sample_columns": [*COLUMNS, *Sample._fields], "samples": samples, **fields}


def test_equals_a_bootstrap_by_brute_force():
    rng = np.random.default_rng(3)
    first, second = rng.random(30), rng.random(30)
    report = {row.name: row for row in compare(results_of(first), results_of(second), resamples=4000)}
    draws = []
    for _ in range(4000):
        images = rng.integers(0, 15, 15)
        rows = np.concatenate([2 * images, 2 * images + 1])
        means = [np.round(ious[rows], 3).mean() for ious in (first, second)]
        draws.append(means[1] - means[0])
    low, high = np.percentile(draws, [2.5, 97.5])
    assert report["mIoU"].low == pytest.approx(low, abs=0.01) and report["mIoU"].high == pytest.approx(high, abs=0.01)
    assert report["mIoU"].difference == pytest.approx(np.round(second, 3).mean() - np.round(first, 3).mean(), abs=1e-12)
    assert report["oIoU"].difference == pytest.approx(report["mIoU"].difference, abs=1e-12)  # all unions are equal


def test_pairing_finds_a_small_steady_gain_that_independent_intervals_would_not():
    rng = np.random.default_rng(0)
    ious = rng.uniform(0, 0.9, 200)
    report = {row.name: row for row in compare(results_of(ious), results_of(ious + 0.02))}
    assert report["mIoU"].low > 0.019 and report["mIoU"].high < 0.021
    assert report["mIoU"].first + report["mIoU"].difference == pytest.approx(report["mIoU"].second)
    assert "*" in table([report["mIoU"]], ("a", "b"))


def test_no_difference_is_within_its_interval():
    rng = np.random.default_rng(1)
    report = compare(results_of(rng.random(200)), results_of(rng.random(200)))
    row = next(row for row in report if row.name == "mIoU")
    assert row.low < 0 < row.high and row.high - row.low > 0.05
    assert "*" not in table([row], ("a", "b"))


def test_sentences_of_one_image_are_not_independent():
    ious = np.repeat(np.random.default_rng(2).random(20), 10)
    zero = np.zeros(200)
    alone = compare(results_of(zero, per_image=1), results_of(ious, per_image=1))[1]
    together = compare(results_of(zero, per_image=10), results_of(ious, per_image=10))[1]
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_the_interval_of_one_result_equals_one_by_brute_force():
    rng = np.random.default_rng(4)
    ious = rng.random(40).round(3)
    samples, image_ids = [Sample(int(round(1000 * iou)), 1000) for iou in ious], np.repeat(np.arange(10), 4)
    ends = intervals(samples, image_ids, get_protocol("hu2016"), resamples=4000)
    of_image = ious.reshape(10, 4)
    drawn = of_image[rng.integers(0, 10, (4000, 10))].mean((1, 2))
    assert ends["mIoU"] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.01)
    assert ends["oIoU"] == pytest.approx(ends["mIoU"], abs=1e-9)  # all unions are equal
    low, high = ends["Pr@0.5"]
    assert low < (ious >= 0.5).mean() < high


def test_the_same_seed_gives_the_same_interval():
    first, second = (results_of(np.random.default_rng(seed).random(40)) for seed in (4, 5))
    assert compare(first, second) == compare(first, second)
    assert compare(first, second, seed=1, resamples=50) != compare(first, second, resamples=50)


def test_results_that_are_not_about_the_same_are_refused():
    first = results_of([0.1, 0.5])
    for other, message in [
        (results_of([0.1, 0.5], split="testA"), "another split can't be compared: 'val' and 'testA'"),
        (results_of([0.1, 0.5], dataset="e"), "another dataset"),
        (results_of([0.1, 0.5], protocol="cris"), "another protocol can't be compared: 'hu2016' and 'cris'"),
        (results_of([0.1]), "another number of expressions can't be compared: 2 and 1"),
        (results_of([0.1, 0.5], per_image=1), "about different expressions, first {'row': 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            compare(first, other)
    with pytest.raises(ValueError, match="confidence 95 must lie in"):
        compare(first, first, confidence=95)


def test_reading_results(tmp_path):
    path = tmp_path / "results.json"
    write_results(results_of([0.5], metrics={"oIoU": float("nan")}), path)
    assert read_results(path)["metrics"] == {"oIoU": None} and read_results(tmp_path)["samples"][0][5] == 500
    with pytest.raises(FileNotFoundError, match="hf-refseg evaluate writes it when it is finished"):
        read_results(tmp_path / "gone.json")
    whole = path.read_text()
    path.write_text(whole[:-10])
    with pytest.raises(ValueError, match="is not JSON"):
        read_results(path)
    path.write_text('{"model": "m"}')
    with pytest.raises(ValueError, match="is not a results.json of hf-refseg evaluate"):
        read_results(path)
    path.write_text(whole.replace('"correct"', '"right"'))
    with pytest.raises(ValueError, match="another version of hf-refseg"):
        read_results(path)
