"""What the ablations share: one training per system and seed, and a table and a picture of them all."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

from hf_refseg.evaluation.results import read_eval_results


def train(recipe: str, seed: int, folder: Path, overrides: list[str], threads: int = 1) -> dict:
    """One training in a process of its own; returns its eval_results.json and its CPU time in seconds."""
    record = folder / "ablation.json"
    if not record.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        words = ["--seed", str(seed), "--output_dir", str(folder), *overrides, "--resume"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with open(folder / "log.txt", "a") as log:
            subprocess.run(
                [sys.executable, "-m", "hf_refseg.cli", "train", recipe, *words],
                env={**os.environ, "OMP_NUM_THREADS": str(threads)}, stdout=log, stderr=log, check=True,
            )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        results = read_eval_results(folder)
        cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        record.write_text(json.dumps({**results, "seed": seed, "cpu_seconds": round(cpu_seconds, 1)}, indent=1))
    return json.loads(record.read_text())


def table(results: dict[str, list[dict]], metrics: dict[str, str]) -> str:
    """Mean and spread (smallest to largest) over the seeds, as Markdown; `metrics` are keys and their headings."""
    lines = [f"| system | {' | '.join(metrics.values())} | CPU s |", "|---|" + "---|" * (len(metrics) + 1)]
    for system, runs in results.items():
        cells = []
        for metric in metrics:
            values = [run["metrics"][metric] for run in runs]
            cells.append(f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        cpu = statistics.mean(run["cpu_seconds"] for run in runs)
        lines.append(f"| {system} | {' | '.join(cells)} | {cpu:.0f} |")
    expressions, protocol = runs[0]["counts"]["expressions"], runs[0]["protocol"]
    lines.append(f"\n{len(runs)} seeds, {expressions} expressions of the val split, protocol {protocol}.")
    return "\n".join(lines)


def picture(results: dict[str, list[dict]], metrics: dict[str, str], path: Path) -> None:
    """One dot per seed and a bar at the mean, for each metric."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.4 * len(metrics), 3.2), layout="constrained")
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axis, (metric, heading) in zip(axes, metrics.items(), strict=True):
        for place, runs in enumerate(results.values()):
            values = [run["metrics"][metric] for run in runs]
            axis.bar(place, statistics.mean(values), width=0.6, alpha=0.4)
            axis.plot([place] * len(values), values, "o", color="black", markersize=4)
        axis.set_title(heading)
        axis.set_xticks(
            range(len(results)),
            results,
            rotation=30 if len(results) > 2 else 0,
            ha="right" if len(results) > 2 else "center",
        )
    figure.savefig(path, dpi=120)


def run(
    doc: str,
    systems: dict[str, str],
    metrics: dict[str, str],
    output: str,
    threads: int = 1,
) -> None:
    """
    The command line of an ablation.

    Args:
        systems: name of each recipe, and what the table calls it.
        metrics: metrics of `eval_results.json`, and their headings.
        output: default folder.
        threads: of each training.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(output))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options, overrides = parser.parse_known_args()
    results: dict[str, list[dict]] = {label: [] for label in systems.values()}
    runs = [(seed, recipe) for seed in options.seeds for recipe in systems]
    for seed, recipe in tqdm(runs, "trainings"):
        folder = options.output / f"{recipe}_{seed}"
        results[systems[recipe]].append(train(recipe, seed, folder, overrides, threads))
    (options.output / "results.json").write_text(json.dumps(results, indent=1))
    (options.output / "table.md").write_text(table(results, metrics) + "\n")
    picture(results, metrics, options.output / "ablation.png")
    print(table(results, metrics))
