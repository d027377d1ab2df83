"""
How many pairs of masks the metric counts per second of processor time: `python benchmarks/metric_speed.py`.

Pairs of 640 x 480 with outlines like those of annotated objects: a blob with a wavy border, an eighth of the image, and
a prediction that is off by some pixels. `decoded` is what an evaluation loop has at hand; `rle` is what files of
predictions hold, with every check and without decoding; `rle, decoded` decodes both masks with pycocotools first.
Processor time does not count what other programs take of the core meanwhile, though their share of its caches shows.
"""

import statistics
import time

import numpy as np
import torch
from pycocotools import mask as coco_mask
from report import argument_parser, publish
from timed_process import peak_megabytes
from timing import contender, take_turns

from hf_refseg.data import decode_mask, encode_mask
from hf_refseg.metrics import RefSegMetric

HEIGHT, WIDTH = 480, 640
TARGETS = {"decoded": 2000, "rle": 500, "rle, decoded": 500}
PHRASES = 345_486  # as many as VGPhraseCut has
COLUMNS = {
    "name": ("", ""),
    "pairs_per_second": ("pairs/s", ".0f"),
    "slowest": ("slowest", ".0f"),
    "fastest": ("fastest", ".0f"),
    "wall_pairs_per_second": ("pairs/s by wall time", ".0f"),
    "target": ("target", ".0f"),
}


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


def main() -> None:
    parser = argument_parser(__doc__, repeats=7, threads=1)
    parser.add_argument("--pairs", type=int, default=200, help="different pairs (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    decoded = [blob(rng, rng.uniform(2, 15)) for _ in range(options.pairs)]
    encoded = [tuple(encode_mask(mask) for mask in pair) for pair in decoded]

    def count(protocol: str, pairs, decode=lambda mask: mask) -> RefSegMetric:
        metric = RefSegMetric(protocol)
        for pred, target in pairs:
            metric.add(decode(pred), decode(target))
        return metric

    ways = {
        "decoded": ("hu2016", decoded),
        "rle": ("hu2016", encoded),
        "rle, decoded": ("hu2016", encoded, decode_mask),
        "decoded, lavt (480 x 480)": ("lavt", decoded),
    }
    counts = [count(*ways[name]).state_dict()["samples"] for name in TARGETS]
    if counts != counts[:1] * len(counts):
        raise SystemExit("decoded masks and run lengths count differently")
    timings = take_turns({name: contender(count, *way) for name, way in ways.items()}, options.repeats)
    rows = [
        {
            "name": name,
            "pairs_per_second": options.pairs / statistics.median(timings[name].cpus),
            "slowest": options.pairs / max(timings[name].cpus),
            "fastest": options.pairs / min(timings[name].cpus),
            "wall_pairs_per_second": options.pairs / statistics.median(timings[name].walls),
            "target": TARGETS.get(name),
        }
        for name in ways
    ]
    big = RefSegMetric("hu2016")
    for union in rng.integers(1000, 300_000, PHRASES):
        big.add_counts(int(union) // 3, int(union))
    start = time.perf_counter()
    big.compute()
    publish(
        options,
        rows,
        COLUMNS,
        pairs=f"{options.pairs} of {WIDTH} x {HEIGHT}",
        rle_bytes=round(statistics.mean(len(rle["counts"]) for pair in encoded for rle in pair)),
        foreground=f"{statistics.mean(coco_mask.area(pair[1]) / (HEIGHT * WIDTH) for pair in encoded):.0%}",
        seconds_to_compute_345486_samples=round(time.perf_counter() - start, 1),
        peak_mb=round(peak_megabytes()),
    )


if __name__ == "__main__":
    main()
