"""
How many pairs of masks the metric counts per second on one core: `python benchmarks/metric_speed.py`.

Pairs of 640 x 480 with outlines like those of annotated objects (a blob with a wavy border, an eighth of the image, and
a prediction that is off by some pixels). The ways take turns over several rounds; each figure is that of the median
round, with the slowest and the fastest beside it, per second of processor time: what other programs take of the core
meanwhile is not ours, though their share of its caches still shows. `decoded` is what an evaluation loop has at hand;
`rle` is what files of predictions hold, with every check and without decoding; `rle, decoded` decodes both masks with
pycocotools first.
"""

import argparse
import json
import os
import statistics
import time

# before numpy starts its threads
for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
from pycocotools import mask as coco_mask  # noqa: E402

from hf_refseg.data import decode_mask, encode_mask  # noqa: E402
from hf_refseg.metrics import RefSegMetric  # noqa: E402

HEIGHT, WIDTH = 480, 640
TARGETS = {"decoded": 2000, "rle": 500, "rle, decoded": 500}


def blob(rng: np.random.Generator, jitter: float) -> tuple[np.ndarray, np.ndarray]:
    """A mask and a similar one, (H, W) bool each."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    y, x, radius = rng.uniform(0.3, 0.7) * HEIGHT, rng.uniform(0.3, 0.7) * WIDTH, rng.uniform(60, 150)
    waves, phase = rng.integers(3, 12), rng.uniform(0, 6)
    pair = []
    for shift in (0.0, jitter):
        dy, dx = rows - y - shift, columns - x + shift
        border = radius * (1 + 0.25 * np.sin(waves * np.arctan2(dy, dx) + phase))
        pair.append(dy**2 + dx**2 < border**2)
    return pair[0], pair[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200, help="different pairs (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", help="write the figures as JSON")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    decoded = [blob(rng, rng.uniform(2, 15)) for _ in range(options.pairs)]
    encoded = [tuple(encode_mask(mask) for mask in pair) for pair in decoded]

    def add(metric, pairs):
        for pred, target in pairs:
            metric.add(pred, target)

    def add_decoding(metric, pairs):
        for pred, target in pairs:
            metric.add(decode_mask(pred), decode_mask(target))

    ways = {
        "decoded": ("hu2016", add, decoded),
        "rle": ("hu2016", add, encoded),
        "rle, decoded": ("hu2016", add_decoding, encoded),
        "decoded, lavt (480 x 480)": ("lavt", add, decoded),
    }
    seconds, states = {name: [] for name in ways}, {}
    for _ in range(options.rounds):
        for name, (protocol, way, pairs) in ways.items():
            metric = RefSegMetric(protocol)
            start = time.process_time()
            way(metric, pairs)
            seconds[name].append((time.process_time() - start) / len(pairs))
            states[name] = metric.state_dict()["samples"]
    assert states["decoded"] == states["rle"] == states["rle, decoded"]
    bytes_per_mask = statistics.mean(len(rle["counts"]) for pair in encoded for rle in pair)
    area = statistics.mean(coco_mask.area(pair[1]) / (HEIGHT * WIDTH) for pair in encoded)
    print(f"{options.pairs} pairs of {WIDTH} x {HEIGHT}, {bytes_per_mask:.0f} bytes of RLE each, {area:.0%} foreground")
    print(f"{'':28}{'pairs/s':>10}{'slowest':>10}{'fastest':>10}{'target':>10}")
    report = {}
    for name, times in seconds.items():
        report[name] = 1 / statistics.median(times)
        target = f"{TARGETS[name]:10d}" if name in TARGETS else f"{'-':>10}"
        print(f"{name:28}{report[name]:10.0f}{1 / max(times):10.0f}{1 / min(times):10.0f}{target}")
    big = RefSegMetric("hu2016")
    for union in rng.integers(1000, 300_000, 345_486):
        big.add_counts(int(union) // 3, int(union))
    start = time.perf_counter()
    big.compute()
    print(f"compute() of 345,486 samples, as many as VGPhraseCut has phrases: {time.perf_counter() - start:.1f} s")
    if options.output:
        with open(options.output, "w") as file:
            json.dump({name: round(rate) for name, rate in report.items()}, file, indent=1)


if __name__ == "__main__":
    main()
