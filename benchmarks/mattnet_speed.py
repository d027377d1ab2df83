"""
Speed and memory of MAttNet on this machine, beside the original program: `python benchmarks/mattnet_speed.py`.

processes of their own, for their peak memory; stages run one after the other in one process. Figures are medians of all
in processes of their own, for their peak memory; stages run one after the other in one process. Figures are medians of
all runs. The originals' (PyTorch 2.15, two cores, shared/specs/speed_mattnet.md) were measured on another processor
than yours, of about 260 GFLOP/s: "same rate" is the ratio times 260 over this machine's rate, what it would be there.
"""

import argparse
import json
import statistics
import subprocess
import sys

from speed import ORIGINAL_RATE, measure_rates, timed

SIZE, DETECTIONS = (600, 800), 10
# Milliseconds of the original's wall minimum, and the ratio the project wants.
WHOLE = {
    "one expression": ({"expressions": 1}, 4050 + 24, 1.35),
    "ten expressions": ({"expressions": 10}, 4050 + 258, 1.2),
    "one expression, ten given regions": ({"expressions": 1, "given": True}, 680 + 24, None),
    "fast: 100 proposals, one expression": ({"expressions": 1, "proposals": 100}, 4050 + 24, None),
    "fast: 50 proposals, one expression": ({"expressions": 1, "proposals": 50}, 4050 + 24, None),
}
STAGES = {
    "backbone, conv1 to layer3": 616,
    "RPN and proposals": 295,
    "crop of 300 regions": 34,
    "layer4 on 300 regions": 2531,
    "category and box of 300 regions": 32,
    "crop, layer4 and masks of 10 regions": 56 + 70,
    "matching, 10 regions, 1 expression": 23.9,
    "matching, 10 regions, 10 expressions": 258,
}


def build():
    """The published architecture; normalisations as in a trained network, so that activations stay finite."""
    import torch

    from hf_refseg import MAttNetConfig, MAttNetForReferringSegmentation
    from hf_refseg.layers.caffe_resnet_unit import CaffeResNetUnit

    torch.manual_seed(0)
    model = MAttNetForReferringSegmentation(MAttNetConfig()).eval()
    for unit in model.modules():
        if isinstance(unit, CaffeResNetUnit):
            unit.expand.normalization.weight.fill_(0.2)
    torch.nn.init.normal_(model.detector.head.class_logits.weight, std=0.5 * (2 / 2048) ** 0.5)
    image = torch.randn(1, 3, *SIZE).mul_(60)
    with torch.inference_mode():
        detector = model.detector
        maps = detector.get_image_features(image)
        boxes, _ = detector.propose(maps)
        logits, _ = detector.head.predict(detector.head(detector.crop(maps, boxes)))
        scores = logits.softmax(-1)[:, 1:].flatten().sort(descending=True).values
    detector.config.score_threshold = float(scores[DETECTIONS - 1])
    detector.config.nms_threshold = 1.0  # a random head's best boxes lie upon each other
    return model, image


def words(number: int):
    import torch

    return torch.randint(1, 1000, (number, 5))


def measure_whole(name: str, runs: int) -> dict:
    import torch

    model, image = build()
    options = WHOLE[name][0]
    model.detector.config.post_nms_top_n = options.get("proposals", model.detector.config.post_nms_top_n)
    inputs = {"input_ids": words(options["expressions"])}
    if options.get("given"):
        corners = torch.rand(1, DETECTIONS, 2) * torch.tensor([600.0, 420])
        inputs["region_boxes"] = torch.cat([corners, corners + torch.tensor([200.0, 180])], -1)
        inputs["region_labels"] = torch.randint(0, 80, (1, DETECTIONS))
    with torch.inference_mode():
        figures = timed(lambda: model(image, **inputs), runs)
        return {**figures, "regions": model(image, **inputs).region_scores.shape[1]}


def measure_stages(runs: int) -> dict[str, dict]:
    import torch

    model, image = build()
    detector, matching = model.detector, model.matching
    scales = torch.ones(1)
    with torch.inference_mode():
        maps = detector.get_image_features(image)
        boxes, _ = detector.propose(maps)
        crops = detector.crop(maps, boxes)
        head = detector.head(crops)
        corners = torch.rand(DETECTIONS, 2) * torch.tensor([600.0, 420])
        ten = [torch.cat([corners, corners + torch.tensor([200.0, 180])], -1)]
        labels = torch.randint(0, 80, (DETECTIONS,))
        features = model.get_image_features(image, region_boxes=ten, region_labels=[labels])

        def regions():
            _, maps_of_ten = detector.describe_regions(maps, ten, scales)
            return detector.mask_branch(maps_of_ten, labels)

        ids = {number: words(number) for number in (1, 10)}
        calls = (
            lambda: detector.get_image_features(image),
            lambda: detector.propose(maps),
            lambda: detector.crop(maps, boxes),
            lambda: detector.head(crops),
            lambda: detector.head.predict(head),
            regions,
            lambda: matching.match(features.matching, ids[1]),
            lambda: matching.match(features.matching, ids[10]),
        )
        return {name: timed(call, runs) for name, call in zip(STAGES, calls, strict=True)}


def in_process(*arguments: str) -> dict:
    command = [sys.executable, __file__, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def line(name: str, figures: list[dict], original: float | None, target: float | None, rate: float) -> dict:
    wall = 1e3 * statistics.median(wall for figure in figures for wall in figure["wall"])
    cpu = 1e3 * statistics.median(cpu for figure in figures for cpu in figure["cpu"])
    gflop = figures[0]["gflop"]
    row = {"name": name, "wall_ms": wall, "cpu_ms": cpu, "gflop": gflop, "share": gflop / wall * 1e3 / rate}
    row |= {"peak_mb": max(figure["peak_mb"] for figure in figures), "original_ms": original, "target": target}
    row["ratio"] = original / wall if original else None
    row["ratio_at_its_rate"] = original / wall * ORIGINAL_RATE / rate if original else None
    print(
        f"{name:42}{wall:9.1f}{cpu:9.1f}{gflop:8.1f}{row['share']:7.0%}{row['peak_mb']:9.0f}"
        + (
            f"{original:10.0f}{row['ratio']:7.2f}{row['ratio_at_its_rate']:10.2f}"
            if original
            else f"{'-':>10}{'-':>7}{'-':>10}"
        )
        + (f"{target:8.2f}" if target else f"{'-':>8}")
    )
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="times that all rows take their turn")
    parser.add_argument("--runs", type=int, default=3, help="measured runs of a row in each round")
    parser.add_argument("--output", help="write all figures as JSON")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        actions = {"rates": measure_rates, "stages": lambda: measure_stages(options.runs)}
        print(json.dumps(actions.get(options.measure, lambda: measure_whole(options.measure, options.runs))()))
        return
    rates, whole, stages = [], {name: [] for name in WHOLE}, []
    for _ in range(options.rounds):
        rates.append(in_process("--measure", "rates"))
        for name in WHOLE:
            whole[name].append(in_process("--measure", name, "--runs", str(options.runs)))
        stages.append(in_process("--measure", "stages", "--runs", str(options.runs)))
    rate = {name: statistics.median(round_[name] for round_ in rates) for name in rates[0]}
    machine = max(rate["float32 matrix product"], rate["float32 convolution"])
    print("machine, GFLOP/s: " + ", ".join(f"{name} {value:.0f}" for name, value in rate.items()))
    headings = ("wall ms", "cpu ms", "GFLOP", "share", "peak MB", "original", "ratio", "same rate", "target")
    print(
        f"{'':42}"
        + "".join(f"{name:>{width}}" for name, width in zip(headings, (9, 9, 8, 7, 9, 10, 7, 10, 8), strict=True))
    )
    rows = [line(name, whole[name], original, target, machine) for name, (_, original, target) in WHOLE.items()]
    rows += [line(name, [s[name] for s in stages], original, None, machine) for name, original in STAGES.items()]
    if options.output:
        content = {"rates_gflops": rate, "original_rate_gflops": ORIGINAL_RATE, "rows": rows}
        with open(options.output, "w") as file:
            json.dump(content, file, indent=1)


if __name__ == "__main__":
    main()
