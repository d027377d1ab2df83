"""Every number that the original evaluators gave for one synthetic split of VGPhraseCut and its predictions."""

import json

import numpy as np
import pytest

from hf_refseg.metrics import (
    PHRASECUT_SUBSETS,
    PRECISION_THRESHOLDS,
    PhraseCutSubsets,
    RefSegMetric,
    ThresholdSearch,
    box_counts,
    inclusive_box_iou,
    mask_counts,
)

EXACT = 1e-12


@pytest.fixture(scope="module")
def folder(shared_dir):
    return shared_dir / "golden" / "phrasecut_eval"


@pytest.fixture(scope="module")
def case(folder):
    """Expected numbers, predictions, targets, and per predicted task its record and image."""
    images = {image["image_id"]: image for image in json.loads((folder / "image_data_split.json").read_text())}
    tasks = {task["task_id"]: task for task in json.loads((folder / "refer_miniv.json").read_text())}
    predicted, targets = np.load(folder / "inputs.npz"), np.load(folder / "gt_masks.npz")
    return {
        "expected": json.loads((folder / "expected.json").read_text()),
        "inputs": json.loads((folder / "inputs.json").read_text()),
        "pred": {name.removeprefix("pred/"): predicted[name] for name in predicted},
        "target": dict(targets),
        "tasks": tasks,
        "images": {name: images[task["image_id"]] for name, task in tasks.items()},
    }


def corners(boxes):
    return [[x, y, x + width, y + height] for x, y, width, height in boxes]


def test_subsets_of_every_task(folder, case):
    subsets = PhraseCutSubsets.from_file(folder / "name_att_rel_count.json")
    for name, expected in case["expected"]["per_task"].items():
        task, image = case["tasks"][name], case["images"][name]
        share = case["target"][name].sum() / (image["width"] * image["height"])
        assert share == pytest.approx(expected["gt_relative_size"], abs=EXACT)
        found = subsets(task["phrase_structure"], len(task["instance_boxes"]), share, image["coco_id"])
        assert found == expected["subsets"], name
    assert list(case["expected"]["subset_counts"]) == list(PHRASECUT_SUBSETS)


def test_phrasecut_numbers_of_every_subset(case):
    expected, inputs = case["expected"], case["inputs"]
    metric = RefSegMetric("phrasecut")
    for name, task in expected["per_task"].items():
        boxes = corners(inputs["pred_boxes"][name]), corners(case["tasks"][name]["instance_boxes"])
        counts = mask_counts(case["pred"][name], case["target"][name])
        assert counts[:2] == (task["I"], task["U"])
        numerator, denominator = box_counts(*boxes, rule="union")
        assert (numerator / denominator if denominator else 0) == pytest.approx(task["box_iou"], abs=EXACT)
        metric.add(
            case["pred"][name],
            case["target"][name],
            pred_boxes=boxes[0],
            target_boxes=boxes[1],
            correct=bool(inputs["correct"][name]),
            subsets=task["subsets"],
        )
    numbers = metric.compute(num_expected=expected["task_num"])
    assert {name: part["num"] for name, part in numbers["subsets"].items()} == {
        name: count for name, count in expected["subset_counts"].items() if count
    }
    assert numbers["subsets"].keys() == expected["results"].keys()
    for name, original in expected["results"].items():
        ours = numbers["subsets"][name]
        assert ours["region_acc"] == pytest.approx(original["box_acc"], abs=EXACT)
        assert ours["mean_box_iou"] == pytest.approx(original["mean_box_iou"], abs=EXACT)
        assert ours["mIoU"] == pytest.approx(original["mean_mask_iou"], abs=EXACT)
        assert ours["oIoU"] == pytest.approx(original["cum_mask_iou"], abs=EXACT)
        for threshold in PRECISION_THRESHOLDS:
            assert ours[f"Pr@{threshold}"] == pytest.approx(original["pred_mask_acc"][str(threshold)], abs=EXACT)
            assert ours[f"box_Pr@{threshold}"] == pytest.approx(original["pred_box_acc"][str(threshold)], abs=EXACT)
    assert numbers["num_missing"] == 1
    assert numbers["mIoU_missing_as_empty"] == pytest.approx(expected["missing_tasks_mean_mask_iou"], abs=EXACT)
    assert numbers["mean_box_iou_missing_as_empty"] == pytest.approx(expected["missing_tasks_mean_box_iou"], abs=EXACT)


@pytest.mark.parametrize(("threshold", "name"), [(0.5, "results_thresh_0_5"), (0, "results_thresh_0")])
def test_score_maps(case, threshold, name):
    original, metric = case["expected"]["score_maps"][name], RefSegMetric("phrasecut")
    for task in case["expected"]["per_task"]:
        scores = np.where(case["pred"][task] > 0, 0.75, 0.30)
        metric.add(scores > threshold, case["target"][task])
    numbers = metric.compute()
    assert numbers["mIoU"] == pytest.approx(original["mean_mask_iou"], abs=EXACT)
    assert numbers["oIoU"] == pytest.approx(original["cum_mask_iou"], abs=EXACT)
    for threshold, share in original["pred_mask_acc"].items():
        assert numbers[f"Pr@{threshold}"] == pytest.approx(share, abs=EXACT)


def test_boxes(case):
    for boxes, original in zip(case["inputs"]["box_cases"], case["expected"]["box_cases"], strict=True):
        first, second = corners(boxes[0]), corners(boxes[1])
        numerator, denominator = box_counts(first, second, rule="union")
        assert (numerator / denominator if denominator else 0.0) == pytest.approx(original["iou_boxes"], abs=EXACT)
        assert inclusive_box_iou(first[0], second[0]) == pytest.approx(original["iou_box_first"], abs=EXACT)


@pytest.mark.parametrize("protocol", ["hu2016", "mattnet"])
def test_text_objseg_accumulation(case, protocol):
    original, metric = case["expected"]["tf_style"], RefSegMetric(protocol)
    for task in case["expected"]["per_task"]:
        metric.add(case["pred"][task], case["target"][task])
    numbers = metric.compute()
    assert (numbers["oIoU"], numbers["num"]) == (original["cum_I"] / original["cum_U"], original["n"])
    assert numbers["oIoU"] == pytest.approx(original["overall_iou"], abs=EXACT)
    assert numbers["mIoU"] == pytest.approx(original["mean_iou"], abs=EXACT)
    for threshold, share in original["precision"].items():
        assert numbers[f"Pr@{threshold}"] == pytest.approx(share, abs=EXACT)


def test_tie(case):
    tie = case["expected"]["tie"]
    for protocol, key in (("hu2016", "tf_ge_0_5"), ("phrasecut", "phrasecut_gt_0_5")):
        metric = RefSegMetric(protocol)
        metric.add_counts(tie["I"], tie["U"])
        assert metric.compute()["Pr@0.5"] == float(tie[key])


def test_rela(case):
    original, metric = case["expected"]["gres"]["grefcoco"], RefSegMetric("grefcoco")
    for sample in case["inputs"]["gres"]:
        target = case["target"][sample["task_id"]] & (not sample["gt_no_target"])
        metric.add(case["pred"][sample["task_id"]], target, pred_no_target=sample["pred_no_target"])
    numbers = metric.compute()
    assert numbers["num_no_target"] == sum(sample["gt_no_target"] for sample in case["inputs"]["gres"])
    for name in ("gIoU", "cIoU", "Pr@0.7", "Pr@0.8", "Pr@0.9"):
        assert 100 * numbers[name] == pytest.approx(original[name], abs=1e-9), name
    assert numbers["N-acc"] == pytest.approx(original["N_acc"], abs=EXACT)
    assert numbers["T-acc"] == pytest.approx(original["T_acc"], abs=EXACT)


def test_threshold_search(case):
    original, search = case["expected"]["threshold_search"], ThresholdSearch()
    rows, columns = np.mgrid[:40, :50]
    for k in range(original["n_maps"]):
        part = ThresholdSearch()
        part.add((np.sin(columns / (5 + k)) * np.cos(rows / (4 + k)) + 1) / 2 * 0.98 + 0.005)
        search.merge(part)
    assert search.counts.tolist() == original["bins"]
    assert search.compute(original["pos_percents"]) == pytest.approx(original["threshs"], abs=EXACT)
