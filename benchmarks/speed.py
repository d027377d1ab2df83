"""
Speed and memory of the systems on this machine, beside the original programs: `python benchmarks/speed.py`.

Every row runs in a process of its own, so that its peak memory is its own: model, input, one forward to warm up, then
the measured ones. The rows take turns over several rounds, and each figure is the median over all of them. The share
of the machine's own float32 rate uses the best of a matrix product and a 1x1 convolution, measured in the same run.
The originals' figures (TensorFlow 2.15, two cores, wall medians with 15 % noise) were measured on another processor
than yours, of about 260 GFLOP/s: "same rate" is the ratio times 260 over this machine's rate, what it would be there.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

ORIGINAL_RATE = 260  # GFLOP/s, float32, on the machine of the originals' figures


@dataclass
class Row:
    """One measured situation; `original_ms` is the original's wall median for the same work, None where unknown."""

    name: str
    model: str
    size: int
    words: int
    expressions: int = 1
    original_ms: float | None = None
    target: float | None = None
    training: bool = False


ROWS = [
    Row("R+RMI, 4 words", "r_rmi", 320, 4, original_ms=1227, target=1.5),
    Row("R+RMI, 20 words", "r_rmi", 320, 20, original_ms=2497, target=2.3),
    Row("R+RMI, ten expressions of 4 words", "r_rmi", 320, 4, 10, original_ms=10 * 1227, target=8.0),
    Row("D+RMI, 4 words", "d_rmi", 320, 4, original_ms=1183, target=1.5),
    Row("D+RMI, 20 words", "d_rmi", 320, 20, original_ms=2748, target=2.3),
    Row("D+RMI, ten expressions of 4 words", "d_rmi", 320, 4, 10, original_ms=10 * 1183, target=8.0),
    Row("R+LSTM, 4 words", "r_lstm", 320, 4, original_ms=793),
    Row("R+LSTM, 20 words", "r_lstm", 320, 20, original_ms=783),
    Row("R+LSTM at 512x512, 20 words", "r_lstm", 512, 20),
    Row("LSTM-CNN (Hu) at 512x512, 20 steps", "hu", 512, 20, original_ms=1062),
    Row("R+RMI, training step of 8, frozen backbone", "r_rmi", 320, 8, 8, training=True),
]


def build(name: str):
    """The published architecture with random weights. R and D differ in their weights alone."""
    import torch

    from hf_refseg import LstmCnnConfig, LstmCnnForReferringSegmentation, RmiConfig, RmiForReferringSegmentation

    torch.manual_seed(0)
    if name in ("r_rmi", "d_rmi"):
        return RmiForReferringSegmentation(RmiConfig())
    config = LstmCnnConfig.liu_baseline() if name == "r_lstm" else LstmCnnConfig()
    return LstmCnnForReferringSegmentation(config)


def timed(run: Callable[[], object], runs: int) -> dict:
    """Wall and processor seconds of each run after one to warm up, peak memory, and the work of one run."""
    from torch.utils.flop_counter import FlopCounterMode

    run()
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with FlopCounterMode(display=False) as counter:
        run()
    return {"wall": walls, "cpu": cpus, "peak_mb": peak, "gflop": counter.get_total_flops() / 1e9}


def measure(row: Row, runs: int) -> dict:
    """The figures of `timed` for one row."""
    import torch

    model = build(row.model).eval()
    images = row.expressions if row.training else 1
    inputs = {
        "pixel_values": torch.randn(images, 3, row.size, row.size) * 60,
        "input_ids": torch.zeros(row.expressions, 20, dtype=torch.long),
    }
    inputs["input_ids"][:, 20 - row.words :] = torch.randint(4, 1000, (row.expressions, row.words))
    if row.training:
        model.train()
        model.backbone.requires_grad_(False)
        inputs["labels"] = (torch.rand(images, row.size, row.size) > 0.8).float()
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=2.5e-4)

    def run():
        if not row.training:
            with torch.inference_mode():
                model(**inputs)
            return
        optimizer.zero_grad()
        model(**inputs).loss.backward()
        optimizer.step()

    return timed(run, runs)


def measure_rates() -> dict[str, float]:
    """The machine's float32 rate in GFLOP/s, and bfloat16's, by a matrix product and a 1x1 convolution."""
    import torch

    def best(run, work: float) -> float:
        run()
        seconds = []
        for _ in range(8):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        return work / min(seconds) / 1e9

    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.randn(2048, 2048).to(dtype)
        maps, kernel = torch.randn(1, 512, 40, 40).to(dtype), torch.randn(2048, 512, 1, 1).to(dtype)
        name = str(dtype).removeprefix("torch.")
        with torch.inference_mode():
            rates[f"{name} matrix product"] = best(lambda m=matrix: m @ m, 2 * 2048**3)
            convolve = torch.nn.functional.conv2d
            rates[f"{name} convolution"] = best(lambda m=maps, k=kernel, f=convolve: f(m, k), 2 * 2048 * 512 * 1600)
    return rates


def in_process(*arguments: str) -> dict:
    command = [sys.executable, __file__, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="times that all rows take their turn")
    parser.add_argument("--runs", type=int, default=5, help="measured runs of a row in each round")
    parser.add_argument("--rows", help="only rows whose name contains this")
    parser.add_argument("--output", help="write all figures as JSON")
    parser.add_argument("--measure-row", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--measure-rates", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure_row is not None:
        print(json.dumps(measure(ROWS[options.measure_row], options.runs)))
        return
    if options.measure_rates:
        print(json.dumps(measure_rates()))
        return

    chosen = [index for index, row in enumerate(ROWS) if not options.rows or options.rows in row.name]
    results = {index: [] for index in chosen}
    rates = []
    for _ in range(options.rounds):
        rates.append(in_process("--measure-rates"))
        for index in chosen:
            results[index].append(in_process("--measure-row", str(index), "--runs", str(options.runs)))
    rate = {name: statistics.median(r[name] for r in rates) for name in rates[0]}
    machine = max(rate["float32 matrix product"], rate["float32 convolution"])
    print("machine, GFLOP/s: " + ", ".join(f"{name} {value:.0f}" for name, value in rate.items()))
    print(
        f"{'':44}{'wall ms':>8}{'min':>7}{'cpu ms':>8}{'GFLOP':>7}{'share':>7}{'peak MB':>9}{'expr/s':>8}"
        f"{'original':>10}{'ratio':>7}{'same rate':>10}{'target':>8}"
    )
    report = []
    for index in chosen:
        row, rounds = ROWS[index], results[index]
        walls = [wall for r in rounds for wall in r["wall"]]
        wall = statistics.median(walls)
        cpu = statistics.median(cpu for r in rounds for cpu in r["cpu"])
        gflop, peak = rounds[0]["gflop"], max(r["peak_mb"] for r in rounds)
        figures = {
            "wall_ms": wall * 1e3,
            "min_ms": min(walls) * 1e3,
            "cpu_ms": cpu * 1e3,
            "gflop": gflop,
            "share_of_rate": gflop / wall / machine,
            "peak_mb": peak,
            "expressions_per_second": row.expressions / wall,
            "ratio": row.original_ms / (wall * 1e3) if row.original_ms else None,
        }
        if row.original_ms:
            figures["ratio_at_its_rate"] = figures["ratio"] * ORIGINAL_RATE / machine
        report.append({**asdict(row), **figures})
        original = f"{'-':>10}{'-':>7}{'-':>10}"
        if row.original_ms:
            original = f"{row.original_ms:10.0f}{figures['ratio']:7.1f}{figures['ratio_at_its_rate']:10.1f}"
        target = f"{row.target:8.1f}" if row.target else f"{'-':>8}"
        print(
            f"{row.name:44}{wall * 1e3:8.0f}{min(walls) * 1e3:7.0f}{cpu * 1e3:8.0f}{gflop:7.1f}"
            f"{figures['share_of_rate']:7.0%}{peak:9.0f}{row.expressions / wall:8.1f}{original}{target}"
        )
    if options.output:
        with open(options.output, "w") as file:
            json.dump({"rates_gflops": rate, "original_rate_gflops": ORIGINAL_RATE, "rows": report}, file, indent=1)


if __name__ == "__main__":
    main()
