"""Golden case of the original evaluators: PhraseCut's, text_objseg's and ReLA's, on one synthetic split."""

import json

import numpy as np

from hf_refseg.data.phrasecut import polygons_to_mask
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
from hf_refseg.models.hulanet.phrase_structure import PhraseStructure, PhraseVocabulary, original_labels

from .golden_case import EXACT, Checks, GoldenCase

FLOAT = 1e-9  # the manifest's


def run(case: GoldenCase) -> Checks:
    """Every number of expected.json, and every phrase."""
    checks = Checks()
    expected = json.loads((case.folder / "expected.json").read_text())
    extra = json.loads((case.folder / "inputs.json").read_text())
    predictions = {name.removeprefix("pred/"): mask for name, mask in case.inputs.items()}
    targets = dict(np.load(case.folder / "gt_masks.npz"))
    check_targets(checks, case, expected, targets)
    check_subsets(checks, case, expected, targets)
    check_phrasecut(checks, case, expected, extra, predictions, targets)
    check_score_maps(checks, expected, predictions, targets)
    check_boxes(checks, expected, extra)
    check_text_objseg(checks, expected, predictions, targets)
    check_rela(checks, expected, extra, predictions, targets)
    check_threshold_search(checks, expected)
    check_phrases(checks, expected)
    check_vocabulary(checks, case, expected)
    return checks


def check_targets(checks: Checks, case: GoldenCase, expected: dict, targets: dict) -> None:
    """Our drawing of every task's polygons, that of tasks without prediction included."""
    tasks, images = records(case)
    for name, target in targets.items():
        image = images[tasks[name]["image_id"]]
        polygons = [polygon for instance in tasks[name]["Polygons"] for polygon in instance]
        drawn = polygons_to_mask(polygons, image["height"], image["width"])
        checks.compare(f"{name}/gt_mask", drawn, target, EXACT)
        if name in expected["per_task"]:
            checks.compare(f"{name}/gt_area", drawn.sum(), expected["per_task"][name]["gt_area"], EXACT)


def check_subsets(checks: Checks, case: GoldenCase, expected: dict, targets: dict) -> None:
    tasks, images = records(case)
    subsets = PhraseCutSubsets.from_file(case.folder / "name_att_rel_count.json")
    for name, original in expected["per_task"].items():
        task = tasks[name]
        image = images[task["image_id"]]
        share = targets[name].sum() / (image["width"] * image["height"])
        checks.compare(f"{name}/relative_size", share, original["gt_relative_size"], FLOAT)
        found = subsets(task["phrase_structure"], len(task["instance_boxes"]), share, image["coco_id"])
        ours, golden = ([key in found for key in PHRASECUT_SUBSETS] for found in (found, original["subsets"]))
        checks.compare(f"{name}/subsets", ours, golden, EXACT)
    order = [list(PHRASECUT_SUBSETS).index(name) for name in expected["subset_counts"]]
    checks.compare("order of subsets", order, range(len(PHRASECUT_SUBSETS)), EXACT)


def check_phrasecut(
    checks: Checks, case: GoldenCase, expected: dict, extra: dict, predictions: dict, targets: dict
) -> None:
    tasks, _ = records(case)
    metric = RefSegMetric("phrasecut")
    for name, original in expected["per_task"].items():
        boxes = corners(extra["pred_boxes"][name]), corners(tasks[name]["instance_boxes"])
        counts = mask_counts(predictions[name], targets[name])[:2]
        checks.compare(f"{name}/I,U", counts, [original["I"], original["U"]], EXACT)
        checks.compare(f"{name}/box_iou", ratio(box_counts(*boxes, "union")), original["box_iou"], FLOAT)
        metric.add(
            predictions[name],
            targets[name],
            pred_boxes=boxes[0],
            target_boxes=boxes[1],
            correct=bool(extra["correct"][name]),
            subsets=original["subsets"],
        )
    numbers = metric.compute(num_expected=expected["task_num"])
    ours = [numbers["subsets"].get(name, {"num": 0})["num"] for name in expected["subset_counts"]]
    checks.compare("subset_counts", ours, list(expected["subset_counts"].values()), EXACT)
    for name, original in expected["results"].items():
        of_subset = numbers["subsets"][name]
        check_masks(checks, f"results/{name}", of_subset, original)
        checks.compare(f"results/{name}/box_acc", of_subset["region_acc"], original["box_acc"], FLOAT)
        mean = of_subset["mean_box_iou"]
        checks.compare(f"results/{name}/mean_box_iou", mean, original["mean_box_iou"], FLOAT)
        ours = [of_subset[f"box_Pr@{t}"] for t in PRECISION_THRESHOLDS]
        golden = [original["pred_box_acc"][str(t)] for t in PRECISION_THRESHOLDS]
        checks.compare(f"results/{name}/pred_box_acc", ours, golden, FLOAT)
    missing = expected["task_num"] - expected["evaluated_task_count"]
    checks.compare("missing tasks", numbers["num_missing"], missing, EXACT)
    for ours, golden in (("mIoU", "missing_tasks_mean_mask_iou"), ("mean_box_iou", "missing_tasks_mean_box_iou")):
        if golden in expected:
            checks.compare(golden, numbers[f"{ours}_missing_as_empty"], expected[golden], FLOAT)


def check_score_maps(checks: Checks, expected: dict, predictions: dict, targets: dict) -> None:
    """Scores of 0.75 and 0.30, thresholded at 0.5, and at 0, where all are foreground."""
    for threshold, name in ((0.5, "results_thresh_0_5"), (0, "results_thresh_0")):
        metric = RefSegMetric("phrasecut")
        for task in expected["per_task"]:
            metric.add(np.where(predictions[task] > 0, 0.75, 0.30) > threshold, targets[task])
        check_masks(checks, name, metric.compute(), expected["score_maps"][name])


def check_boxes(checks: Checks, expected: dict, extra: dict) -> None:
    for number, (boxes, original) in enumerate(zip(extra["box_cases"], expected["box_cases"], strict=True)):
        first, second = corners(boxes[0]), corners(boxes[1])
        ours = ratio(box_counts(first, second, "union")), inclusive_box_iou(first[0], second[0])
        checks.compare(f"box_cases/{number}", ours, [original["iou_boxes"], original["iou_box_first"]], FLOAT)


def check_text_objseg(checks: Checks, expected: dict, predictions: dict, targets: dict) -> None:
    original = expected["tf_style"]
    for protocol in ("hu2016", "mattnet"):
        metric = RefSegMetric(protocol)
        for task in expected["per_task"]:
            metric.add(predictions[task], targets[task])
        numbers = metric.compute()
        golden = [original["cum_I"] / original["cum_U"], original["overall_iou"], original["mean_iou"], original["n"]]
        ours = [numbers["oIoU"], numbers["oIoU"], numbers["mIoU"], numbers["num"]]
        checks.compare(f"tf_style/{protocol}", ours, golden, FLOAT)
        shares = [numbers[f"Pr@{t}"] for t in original["precision"]]
        checks.compare(f"tf_style/{protocol}/precision", shares, list(original["precision"].values()), FLOAT)
    for protocol, key in (("hu2016", "tf_ge_0_5"), ("phrasecut", "phrasecut_gt_0_5")):
        metric = RefSegMetric(protocol)
        metric.add_counts(expected["tie"]["I"], expected["tie"]["U"])
        checks.compare(f"tie/{protocol}", metric.compute()["Pr@0.5"], float(expected["tie"][key]), EXACT)


def check_rela(checks: Checks, expected: dict, extra: dict, predictions: dict, targets: dict) -> None:
    metric = RefSegMetric("grefcoco")
    for sample in extra["gres"]:
        target = targets[sample["task_id"]] & (not sample["gt_no_target"])
        metric.add(predictions[sample["task_id"]], target, pred_no_target=sample["pred_no_target"])
    numbers = metric.compute()
    for name, golden in expected["gres"]["grefcoco"].items():
        # the original prints percent, but fractions for these two
        ours = numbers[name.replace("_", "-")] if name in ("N_acc", "T_acc") else 100 * numbers[name]
        checks.compare(f"gres/{name}", ours, golden, FLOAT)


def check_threshold_search(checks: Checks, expected: dict) -> None:
    original, search = expected["threshold_search"], ThresholdSearch()
    rows, columns = np.mgrid[:40, :50]
    for k in range(original["n_maps"]):
        part = ThresholdSearch()
        part.add((np.sin(columns / (5 + k)) * np.cos(rows / (4 + k)) + 1) / 2 * 0.98 + 0.005)
        search.merge(part)
    thresholds = search.compute(original["pos_percents"])
    checks.compare("threshold_search/bins", search.counts, original["bins"], EXACT)
    checks.compare("threshold_search/threshs", thresholds, original["threshs"], FLOAT)


def check_phrases(checks: Checks, expected: dict) -> None:
    """Phrases assembled from their structure, their words, and the original's labels of these."""
    for number, original in enumerate(expected["phrases"]):
        structure, name = PhraseStructure.from_row(original["phrase_structure"]), f"phrases/{number}"
        words, _ = structure.assemble()
        checks.compare(f"{name}/phrase", structure.phrase() == original["phrase"], True, EXACT)
        checks.compare(f"{name}/words", ["<BOS>", *words, "<EOS>"] == original["words"], True, EXACT)
        for key in sorted(key for key in original if key.startswith("annotation_labels_len")):
            labels = original_labels(structure, int(key.removeprefix("annotation_labels_len")))
            checks.compare(f"{name}/{key}", labels, original[key], EXACT)


def check_vocabulary(checks: Checks, case: GoldenCase, expected: dict) -> None:
    """The original's lists start with "[INV]" and end with "[UNK]", which ours do without."""
    original = expected["phrase_vocab"]
    vocabulary = PhraseVocabulary.from_counts(json.loads((case.folder / "name_att_rel_count.json").read_text()))
    names = {"cat": vocabulary.categories, "att": vocabulary.attributes, "rel": vocabulary.predicates}
    labels = {key: ["[INV]", *known, "[UNK]"] for key, known in names.items()}
    first, last = (labels["cat"][part] for part in (slice(len(original["first_cat"])), slice(-2, None)))
    for key in labels:
        checks.compare(f"phrase_vocab/{key}", len(labels[key]), original[f"n_{key}_labels"], EXACT)
    checks.compare("phrase_vocab/first_cat", first == original["first_cat"], True, EXACT)
    checks.compare("phrase_vocab/last_cat", last == original["last_cat"], True, EXACT)
    checks.compare("phrase_vocab/att_unk", labels["att"].index("[UNK]"), original["att_unk"], EXACT)
    checks.compare("phrase_vocab/cat_person", labels["cat"].index("person"), original["cat_person"], EXACT)


def check_masks(checks: Checks, name: str, numbers: dict, original: dict) -> None:
    shares = [numbers[f"Pr@{t}"] for t in original["pred_mask_acc"]]
    # nan where every union is empty, there as here; -1 equals nothing else
    overall = [np.nan_to_num(value, nan=-1.0) for value in (numbers["oIoU"], original["cum_mask_iou"])]
    checks.compare(f"{name}/mean_mask_iou", numbers["mIoU"], original["mean_mask_iou"], FLOAT)
    checks.compare(f"{name}/cum_mask_iou", *overall, FLOAT)
    checks.compare(f"{name}/pred_mask_acc", shares, list(original["pred_mask_acc"].values()), FLOAT)


def records(case: GoldenCase) -> tuple[dict, dict]:
    """The tasks of the case's split by id, and the images by id."""
    tasks = json.loads((case.folder / f"refer_{case.manifest['split']}.json").read_text())
    images = json.loads((case.folder / "image_data_split.json").read_text())
    return {task["task_id"]: task for task in tasks}, {image["image_id"]: image for image in images}


def corners(boxes: list[list[float]]) -> list[list[float]]:
    """[x, y, width, height] -> [x0, y0, x1, y1]."""
    return [[x, y, x + width, y + height] for x, y, width, height in boxes]


def ratio(counts: tuple[int, int]) -> float:
    return counts[0] / counts[1] if counts[1] else 0.0
