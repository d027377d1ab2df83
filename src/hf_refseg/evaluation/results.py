"""`results.json`: the numbers of one evaluation, how they were counted, and the integers they came from."""

import importlib.metadata
import json
import math
import os
import platform
from dataclasses import asdict
from pathlib import Path

from ..metrics import PHRASECUT_SUBSETS, Protocol, RefSegMetric, Sample

RESULTS_FILE = "results.json"
PACKAGES = ("hf-refseg", "torch", "transformers", "accelerate", "numpy", "pillow", "pycocotools")
COLUMNS = ("row", "sentence", "image_id", "ref_id", "sent_id")


def collect_samples(batches: dict[int, dict]) -> list[dict]:
    """The samples of all batches by row and sentence, whoever made them in whatever order."""
    samples = [sample for batch in batches.values() for sample in batch["samples"]]
    return sorted(samples, key=lambda sample: (sample["row"], sample["sentence"]))


def make_results(samples: list[dict], protocol: Protocol, settings: dict, seconds: float) -> dict:
    """The content of results.json, from the samples that the processes wrote."""
    metric = RefSegMetric(protocol.name)
    for sample in samples:
        metric.add_sample(Sample(*sample["counts"]), sample["subsets"])
    metrics = metric.compute()
    if "subsets" in metrics:
        metrics["subsets"] = {
            name: metrics["subsets"][name] for name in PHRASECUT_SUBSETS if name in metrics["subsets"]
        }
    counts = [Sample(*sample["counts"]) for sample in samples]
    return {
        **settings,
        "protocol": asdict(protocol),
        "metrics": metrics,
        "counts": {
            "rows": len({sample["row"] for sample in samples}),
            "expressions": len(samples),
            "no_target": sum(not sample.has_target for sample in counts),
            "intersection": sum(sample.intersection for sample in counts),
            "union": sum(sample.union for sample in counts),
        },
        "seconds": round(seconds, 3),
        "versions": {"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in PACKAGES},
        "sample_columns": [*COLUMNS, *Sample._fields],
        "samples": [[*(sample[name] for name in COLUMNS), *sample["counts"]] for sample in samples],
    }


def write_results(results: dict, path: Path) -> None:
    """Writes readable JSON, each sample on one line, whole or not at all; a nan is null, as JSON knows none."""
    head = {name: _without_nan(part) for name, part in results.items() if name != "samples"}
    lines = ",\n    ".join(json.dumps(sample) for sample in results["samples"])
    text = json.dumps(head, indent=2, ensure_ascii=False, allow_nan=False).removesuffix("\n}")
    temporary = path.with_suffix(".tmp")
    temporary.write_text(f'{text},\n  "samples": [\n    {lines}\n  ]\n}}\n', encoding="utf-8")
    os.replace(temporary, path)


def read_results(path: str | Path) -> dict:
    """A results.json, or that of a folder that holds one.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is something else, or cut off.
    """
    path = Path(path)
    path = path / RESULTS_FILE if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; hf-refseg evaluate writes it when it is through")
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    needed = {"model", "dataset", "split", "protocol", "metrics", "sample_columns", "samples"}
    if not isinstance(results, dict) or not needed <= results.keys():
        raise ValueError(f"{path} is no results.json of hf-refseg evaluate")
    if results["sample_columns"] != [*COLUMNS, *Sample._fields]:
        raise ValueError(f"{path} has samples of another version of hf-refseg; evaluate again")
    return results


def table(metrics: dict) -> str:
    """The numbers in percent, one per line, and below them the subsets where there are any."""
    shares = {name: value for name, value in metrics.items() if isinstance(value, float)}
    lines = [f"{name:16}{100 * value:8.2f}" for name, value in shares.items()]
    subsets = metrics.get("subsets", {})
    if subsets:
        lines.append(f"{'subset':12}{'num':>8}{'mIoU':>8}{'oIoU':>8}{'Pr@0.5':>8}{'Pr@0.7':>8}{'Pr@0.9':>8}")
    for name, numbers in subsets.items():
        columns = "".join(f"{100 * numbers[key]:8.2f}" for key in ("mIoU", "oIoU", "Pr@0.5", "Pr@0.7", "Pr@0.9"))
        lines.append(f"{name:12}{numbers['num']:8d}{columns}")
    return "\n".join(lines)


def _without_nan(value):
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
