"""RMI against LSTM-CNN on relational expressions of RefShapes: same backbone, same data, same number of steps.

    python benchmarks/ablation_refshapes.py [--output runs/ablation_refshapes] [--seeds 0 1 2] [--key value ...]

trains both recipes (`configs/ablation_refshapes_{rmi,lstm_cnn}.yaml`) once per seed, one after the other, each on one
core, and writes `results.json`, `table.md` and `ablation.png` into the output folder. A finished run is not repeated,
and one that was killed goes on from its last complete checkpoint. Further words override keys of both recipes.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = {"rmi": "RMI", "lstm_cnn": "LSTM-CNN"}
METRICS = ("oIoU", "mIoU", "Pr@0.5")


def train(system: str, seed: int, folder: Path, overrides: list[str]) -> dict:
    """One training in a process of its own on one core; returns its metrics and its CPU time in seconds."""
    record = folder / "ablation.json"
    if not record.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        recipe = ROOT / "configs" / f"ablation_refshapes_{system}.yaml"
        words = ["--seed", str(seed), "--output_dir", str(folder), *overrides, "--resume"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with open(folder / "log.txt", "a") as log:
            subprocess.run(
                [sys.executable, str(ROOT / "train.py"), str(recipe), *words],
                env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=log, stderr=log, check=True,
            )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        metrics = json.loads((folder / "eval_results.json").read_text())
        cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        record.write_text(json.dumps({**metrics, "seed": seed, "cpu_seconds": round(cpu_seconds, 1)}, indent=1))
    return json.loads(record.read_text())


def table(results: dict[str, list[dict]]) -> str:
    """Mean and spread (smallest to largest) over the seeds, as Markdown."""
    lines = [f"| system | {' | '.join(METRICS)} | CPU s |", "|---|" + "---|" * (len(METRICS) + 1)]
    for system, runs in results.items():
        cells = []
        for metric in METRICS:
            values = [run[f"eval_{metric}"] for run in runs]
            cells.append(f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        cpu = statistics.mean(run["cpu_seconds"] for run in runs)
        lines.append(f"| {SYSTEMS[system]} | {' | '.join(cells)} | {cpu:.0f} |")
    expressions, protocol = runs[0]["eval_num"], runs[0]["eval_protocol"]
    lines.append(f"\n{len(runs)} seeds, {expressions} relational expressions of the val split, protocol {protocol}.")
    return "\n".join(lines)


def picture(results: dict[str, list[dict]], path: Path) -> None:
    """One dot per seed and a bar at the mean, for each metric."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    for axis, metric in zip(figure.subplots(1, len(METRICS)), METRICS, strict=True):
        for place, (system, runs) in enumerate(results.items()):
            values = [run[f"eval_{metric}"] for run in runs]
            axis.bar(place, statistics.mean(values), width=0.6, alpha=0.4, label=SYSTEMS[system])
            axis.plot([place] * len(values), values, "o", color="black", markersize=4)
        axis.set_title(metric)
        axis.set_xticks(range(len(results)), [SYSTEMS[system] for system in results])
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/ablation_refshapes"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options, overrides = parser.parse_known_args()
    results: dict[str, list[dict]] = {system: [] for system in SYSTEMS}
    runs = [(seed, system) for seed in options.seeds for system in SYSTEMS]
    for seed, system in tqdm(runs, "trainings"):
        results[system].append(train(system, seed, options.output / f"{system}_{seed}", overrides))
    (options.output / "results.json").write_text(json.dumps(results, indent=1))
    (options.output / "table.md").write_text(table(results) + "\n")
    picture(results, options.output / "ablation.png")
    print(table(results))


if __name__ == "__main__":
    main()
