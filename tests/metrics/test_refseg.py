"""Every number below was computed by hand from the counts in the test."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from hf_refseg.metrics import PROTOCOLS, RefSegMetric, Sample, mask_counts

SAMPLES = [(30, 40), (10, 20), (0, 50), (9, 10)]  # IoU 0.75, 0.5, 0, 0.9


def metric_of(protocol, samples=SAMPLES):
    metric = RefSegMetric(protocol)
    for sample in samples:
        metric.add_counts(*sample)
    return metric


def test_overall_and_mean_iou_by_hand():
    numbers = metric_of("hu2016").compute()
    assert numbers["oIoU"] == 49 / 120
    assert numbers["mIoU"] == (0.75 + 0.5 + 0.0 + 0.9) / 4
    assert (numbers["num"], numbers["protocol"]) == (4, "hu2016")


@pytest.mark.parametrize("protocol", ["hu2016", "mattnet", "lavt", "grefcoco"])
def test_inclusive_protocols_count_an_iou_equal_to_the_threshold(protocol):
    numbers = metric_of(protocol).compute()
    assert [numbers[f"Pr@{t}"] for t in (0.5, 0.6, 0.7, 0.8, 0.9)] == [0.75, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize("protocol", ["phrasecut", "cris"])
def test_strict_protocols_do_not(protocol):
    numbers = metric_of(protocol).compute()
    assert [numbers[f"Pr@{t}"] for t in (0.5, 0.6, 0.7, 0.8, 0.9)] == [0.5, 0.5, 0.5, 0.25, 0.0]


@pytest.mark.parametrize("tenths", [5, 6, 7, 8, 9])
def test_ties_are_exact_at_every_threshold(tenths):
    for scale in (1, 3, 7, 1001):
        tie = [(tenths * scale, 10 * scale)]
        assert metric_of("hu2016", tie).compute()[f"Pr@{tenths / 10}"] == 1.0
        assert metric_of("phrasecut", tie).compute()[f"Pr@{tenths / 10}"] == 0.0


@pytest.mark.parametrize(
    ("protocol", "mean_iou", "precision"),
    [
        ("hu2016", 0.5, 0.5),
        ("mattnet", 0.5, 0.5),
        ("phrasecut", 0.5, 0.5),
        ("lavt", 0.5, 0.5),
        ("cris", 0.5, 0.5),
        ("grefcoco", 1.0, 1.0),
    ],
)
def test_two_empty_masks(protocol, mean_iou, precision):
    metric = metric_of(protocol, [(8, 8)])
    metric.add_counts(0, 0, has_target=False)
    numbers = metric.compute()
    assert numbers["oIoU"] == 1.0
    assert numbers["mIoU"] == pytest.approx(mean_iou, abs=1e-7)  # cris: 8 / (8 + 1e-6)
    assert numbers["Pr@0.5"] == precision


def test_cris_adds_its_epsilon_to_the_union():
    assert metric_of("cris", [(1, 1)]).compute()["mIoU"] == 1 / (1 + 1e-6)
    assert metric_of("lavt", [(1, 1)]).compute()["mIoU"] == 1.0


def test_grefcoco_precision_is_over_targeted_samples_and_false_alarms_enter_the_union():
    metric = RefSegMetric("grefcoco")
    metric.add_counts(9, 10)
    metric.add_counts(0, 30, has_target=False)
    numbers = metric.compute()
    assert numbers["Pr@0.9"] == 1.0
    assert numbers["oIoU"] == 9 / 40
    assert numbers["mIoU"] == 0.45


def test_lavt_compares_at_480_by_480_nearest():
    target = np.zeros((2, 4), bool)
    target[0, 0] = True  # one of 8 pixels: 240 x 120 pixels after squashing to 480 x 480
    metric = RefSegMetric("lavt")
    metric.add(np.ones((480, 480), bool), target)
    (row,) = metric.state_dict()["samples"]
    assert row[:3] == [240 * 120, 480 * 480, True]


def test_protocol_table_states_thresholds_units_and_sizes():
    assert {name: p.probability_threshold for name, p in PROTOCOLS.items() if p.probability_threshold != 0.5} == {
        "cris": 0.35
    }
    assert {name for name, p in PROTOCOLS.items() if p.unit == "phrase"} == {"phrasecut"}
    assert {name: p.size for name, p in PROTOCOLS.items() if p.size} == {"lavt": (480, 480)}


@pytest.mark.parametrize(
    "kind",
    [
        np.asarray,
        torch.as_tensor,
        lambda m: np.asarray(m, np.uint8) * 255,
        lambda m: torch.tensor(m, dtype=torch.bfloat16, requires_grad=True),
    ],
)
def test_add_takes_arrays_and_tensors(kind):
    pred, target = [[True, True], [False, True]], [[True, False], [False, True]]
    assert mask_counts(kind(pred), kind(target)) == Sample(2, 3, has_target=True, pred_no_target=False)
    metric = RefSegMetric("mattnet")
    metric.add(kind(pred), kind(target))
    assert metric.compute()["mIoU"] == 2 / 3


def test_any_order_and_any_partition_give_the_same_state_and_the_exactly_rounded_mean():
    rng = np.random.default_rng(0)
    unions = rng.integers(1, 10_000, 500)
    samples = [(int(rng.integers(0, u + 1)), int(u)) for u in unions]
    whole = metric_of("hu2016", samples)
    merged = RefSegMetric("hu2016")
    for part in (samples[400:], samples[:37], samples[37:400][::-1]):
        merged.merge(metric_of("hu2016", part))
    assert merged.state_dict() == whole.state_dict()
    assert merged.compute() == whole.compute()
    exact = sum(Fraction(i, u) for i, u in samples) / 500
    assert whole.compute()["mIoU"] == pytest.approx(float(exact), rel=1e-15)


def test_state_dict_survives_json():
    metric = metric_of("grefcoco")
    metric.add_counts(0, 0, has_target=False)
    again = RefSegMetric.from_state_dict(json.loads(json.dumps(metric.state_dict())))
    assert again.state_dict() == metric.state_dict()
    assert again.compute() == metric.compute()


def test_all_unions_empty_has_no_overall_iou():
    assert math.isnan(metric_of("phrasecut", [(0, 0)]).compute()["oIoU"])


def test_errors_teach():
    with pytest.raises(ValueError, match="'coco'.*hu2016, mattnet, phrasecut, lavt, cris, grefcoco"):
        RefSegMetric("coco")
    with pytest.raises(ValueError, match="no sample"):
        RefSegMetric().compute()
    with pytest.raises(ValueError, match="3 x 4 and the target 4 x 3"):
        RefSegMetric().add(np.zeros((3, 4)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
        RefSegMetric().add(np.zeros((2, 3, 4)), np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="intersection 5, union 4"):
        RefSegMetric().add_counts(5, 4)
    with pytest.raises(ValueError, match="intersection is 0.9; give a whole number"):
        RefSegMetric().add_counts(0.9, 4)
    with pytest.raises(ValueError, match="pred_no_target is 0.3; give True or False"):
        RefSegMetric("grefcoco").add(np.eye(3), np.eye(3), pred_no_target=0.3)
    with pytest.raises(ValueError, match="the predicted mask is no mask: it holds 0.2, 0.9"):
        RefSegMetric().add(np.where(np.eye(3), 0.9, 0.2), np.eye(3))
    state = metric_of("hu2016").state_dict()
    whole = [1, 2, True, False, None, None, None]
    damaged = [
        [*whole[:place], *values, *whole[place + len(values) :], 1]
        for place, values in (
            (0, [5, 4]),
            (2, ["no"]),
            (3, ["no"]),
            (4, [5, 0]),
            (4, [5, None]),
            (6, ["maybe"]),
            (2, [[]]),
        )
    ]
    for rows in (*([row] for row in damaged), [[*whole, -1]], [[1]], [[]], [5], None):
        with pytest.raises(
            ValueError, match="impossible|number of samples is -1|no sample|no state|give True or False"
        ):
            RefSegMetric.from_state_dict(state | {"samples": rows})
    with pytest.raises(ValueError, match="no state of a RefSegMetric"):
        RefSegMetric.from_state_dict(state | {"subsets": [1]})
    with pytest.raises(ValueError, match="subsets is 'red', of which each letter would be a name"):
        RefSegMetric().add(np.eye(3), np.eye(3), subsets="red")
    for number in (2.5, True, "5"):
        with pytest.raises(ValueError, match="num_expected is "):
            metric_of("hu2016", [(1, 2)]).compute(number)
    with pytest.raises(TypeError, match="cannot merge a int into a RefSegMetric"):
        RefSegMetric().merge(5)
    with pytest.raises(ValueError, match="'cris' into 'lavt'"):
        RefSegMetric("lavt").merge(RefSegMetric("cris"))


def test_grefcoco_tells_a_missed_target_from_one_that_was_denied():
    """ReLA: denying a target loses its intersection; denying rightly is worth 1 whatever the mask shows."""
    metric = RefSegMetric("grefcoco")
    metric.add_counts(8, 10, pred_no_target=True)
    metric.add_counts(0, 10)
    metric.add_counts(0, 7, has_target=False, pred_no_target=True)
    metric.add_counts(0, 0, has_target=False, pred_no_target=False)
    numbers = metric.compute()
    assert (numbers["gIoU"], numbers["cIoU"], numbers["num_no_target"]) == (0.25, 0.0, 2)
    assert (numbers["N-acc"], numbers["T-acc"]) == (0.5, 0.5)
    assert "gIoU" not in metric_of("hu2016").compute()


@pytest.mark.parametrize("protocol", ["hu2016", "mattnet", "phrasecut", "lavt", "cris"])
def test_false_alarms_without_target_enter_the_union_of_every_protocol_and_are_counted(protocol):
    metric = metric_of(protocol, [(10, 10)])
    metric.add_counts(0, 30, has_target=False)
    numbers = metric.compute()
    assert (numbers["oIoU"], numbers["Pr@0.5"], numbers["num_no_target"]) == (0.25, 0.5, 1)
    assert numbers["mIoU"] == pytest.approx(0.5, abs=1e-6)


def test_an_empty_prediction_is_a_no_target_answer():
    target = np.eye(3, dtype=bool)
    assert mask_counts(np.zeros((3, 3)), target) == Sample(0, 3, has_target=True, pred_no_target=True)
    assert mask_counts(target, np.zeros((3, 3))) == Sample(0, 3, has_target=False, pred_no_target=False)


def test_subsets_merge():
    left, right = RefSegMetric("phrasecut"), RefSegMetric("phrasecut")
    left.add_sample(Sample(1, 2), ["all", "a20"])
    right.add_sample(Sample(3, 4), ["all"])
    right.add_sample(Sample(0, 4), ["all", "p_rel"])
    again = RefSegMetric.from_state_dict(json.loads(json.dumps(left.merge(right).state_dict())))
    subsets = again.compute()["subsets"]
    assert {name: (part["num"], part["oIoU"]) for name, part in subsets.items()} == {
        "all": (3, 0.4),
        "a20": (1, 0.5),
        "p_rel": (1, 0.0),
    }
    assert again.compute() == left.compute()


def test_missing_samples_count_as_empty_predictions():
    numbers = metric_of("phrasecut", [(1, 2), (1, 1)]).compute(num_expected=3)
    assert (numbers["mIoU"], numbers["mIoU_missing_as_empty"], numbers["num_missing"]) == (0.75, 0.5, 1)
    with pytest.raises(ValueError, match="2 samples were added, but num_expected is 1"):
        metric_of("phrasecut", [(1, 2), (1, 1)]).compute(num_expected=1)


def test_cris_asks_one_sentence_per_referent_on_val_only():
    row = {"sentences": [{"sent": "a"}, {"sent": "b"}]}
    for split, asked in (("val", 1), ("validation", 1), ("testA", 2)):
        assert len(PROTOCOLS["cris"].sentences(row | {"split": split})) == asked
        assert len(PROTOCOLS["lavt"].sentences(row | {"split": split})) == 2


@pytest.mark.parametrize("counts", [(True, 2), (1, True), (0.5, 2), (10**400, 2), (float("inf"), 3), ("1", 2), (-1, 2)])
def test_what_is_no_count_is_refused(counts):
    with pytest.raises(ValueError, match=r"intersection|union"):
        RefSegMetric("hu2016").add_counts(*counts)


def test_a_masked_array_is_no_mask():
    mask = np.ma.masked_array(np.ones((4, 4), bool), np.eye(4, dtype=bool))
    with pytest.raises(ValueError, match="a masked array, whose mask would be lost"):
        RefSegMetric("hu2016").add(mask, np.ones((4, 4), bool))
