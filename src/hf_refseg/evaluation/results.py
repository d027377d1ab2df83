"""The two files of an evaluation.

`results.json` has the numbers of one `hf-refseg evaluate`, how they were counted, and the integers they came from.
`eval_results.json` has the numbers alone, in one shape for a training, `hf-refseg evaluate` and the recipes of
checkpoints that ship. Model cards are made from it.
"""

import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ..metrics import PHRASECUT_SUBSETS, Protocol, RefSegMetric, Sample
from ..writing import write_text

RESULTS_FILE, EVAL_RESULTS_FILE = "results.json", "eval_results.json"
EVAL_RESULTS_KEYS = ("dataset", "split", "protocol", "counts", "metrics", "command")
PACKAGES = ("hf-refseg", "torch", "transformers", "accelerate", "numpy", "pillow", "pycocotools")
COLUMNS = ("row", "sentence", "image_id", "ref_id", "sent_id")


def collect_samples(batches: dict[int, dict]) -> list[dict]:
    """The samples of all batches, sorted by row and sentence."""
    samples = [sample for batch in batches.values() for sample in batch["samples"]]
    return sorted(samples, key=lambda sample: (sample["row"], sample["sentence"]))


def make_results(samples: list[dict], protocol: Protocol, settings: dict, seconds: float) -> dict:
    """The content of results.json, made from the samples that the processes wrote."""
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
    """Writes readable JSON with one sample per line, completely or not at all; nan becomes null, which JSON needs."""
    head = {name: _without_nan(part) for name, part in results.items() if name != "samples"}
    lines = ",\n    ".join(json.dumps(sample) for sample in results["samples"])
    text = json.dumps(head, indent=2, ensure_ascii=False, allow_nan=False).removesuffix("\n}")
    write_text(path, f'{text},\n  "samples": [\n    {lines}\n  ]\n}}\n')


def read_results(path: str | Path) -> dict:
    """Reads a results.json, given the file or its folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is something else, or is cut off.
    """
    path = Path(path)
    path = path / RESULTS_FILE if path.is_dir() else path
    results = _read(path, "hf-refseg evaluate writes it when it is finished")
    needed = {"model", "dataset", "split", "protocol", "metrics", "sample_columns", "samples"}
    if not isinstance(results, dict) or not needed <= results.keys():
        raise ValueError(f"{path} is not a results.json of hf-refseg evaluate")
    if results["sample_columns"] != [*COLUMNS, *Sample._fields]:
        raise ValueError(f"{path} has samples of another version of hf-refseg; evaluate again")
    return results


def write_eval_results(
    folder: str | Path,
    metrics: Mapping[str, float | Mapping],
    *,
    dataset: str,
    split: str,
    counts: Mapping[str, int],
    protocol: str | None = None,
    command: str | None = None,
) -> dict:
    """Writes `eval_results.json`, the one shape in which numbers are kept beside a model.

    Args:
        folder: of the model or the evaluation.
        metrics: numbers in [0, 1] by their names (`oIoU`, `mask_AP50`, ...) without any prefix, NaN for a missing
            number; `subsets` may hold such a dict for each subset of the data set.
        dataset, split: as `hf-refseg evaluate` takes them.
        counts: how much was evaluated, such as `{"rows": 300, "expressions": 788}`.
        protocol: name of the metric protocol; None for numbers without one, such as average precision.
        command: what makes them again.

    Returns: the content of the file; NaN is None there.

    Raises:
        ValueError: a metric is not a fraction, a count is not a whole number, or one of the two dicts is empty.
    """
    for name, value in metrics.items():
        if not isinstance(value, float | Mapping):
            raise ValueError(f"metrics[{name!r}] is {value!r}; metrics are floats, whole numbers belong in counts")
    for name, value in counts.items():
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"counts[{name!r}] is {value!r}; counts are whole numbers, 0 or more")
    if not metrics or not counts:
        raise ValueError(f"metrics are {dict(metrics)} and counts {dict(counts)}; there must be at least one of each")
    values = (dataset, split, protocol, dict(counts), _without_nan(dict(metrics)), command)
    results = dict(zip(EVAL_RESULTS_KEYS, values, strict=True))
    text = json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(Path(folder) / EVAL_RESULTS_FILE, f"{text}\n")
    return results


def read_eval_results(folder: str | Path) -> dict:
    """The `eval_results.json` of a folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not JSON, or not of the shape that `write_eval_results` gives.
    """
    path = Path(folder) / EVAL_RESULTS_FILE
    results = _read(path, "a training and hf-refseg evaluate write it when they are finished")
    if not isinstance(results, dict) or set(results) != set(EVAL_RESULTS_KEYS):
        found = sorted(results) if isinstance(results, dict) else type(results).__name__
        raise ValueError(f"{path} has {found}, expected {sorted(EVAL_RESULTS_KEYS)}: evaluate again")
    return results


def _read(path: Path, written_by: str):
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; {written_by}")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def table(metrics: dict) -> str:
    """The numbers in percent, one per line, followed by the subsets if there are any."""
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
