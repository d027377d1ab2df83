"""What the command lines of the benchmarks share, and the one way in which they print and write their figures."""

import argparse
import json
import os
import platform
from pathlib import Path

Columns = dict[str, tuple[str, str]]  # key of a row -> heading and format


def argument_parser(doc: str, repeats: int, threads: int | None = None) -> argparse.ArgumentParser:
    """
    A parser with the options of every benchmark.

    Args:
        doc: the benchmark's docstring.
        repeats: default of `--repeats`.
        threads: default of `--threads`; as many as there are cores by default.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=repeats, help="measured turns of each contender (%(default)s)")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=threads or cores, help="of each process (%(default)s)")
    parser.add_argument("--output", type=Path, help="write all figures into this JSON file")
    return parser


def conditions(options: argparse.Namespace) -> dict:
    """The machine and how busy it was: the load averages are those of the last 1, 5 and 15 minutes."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": options.threads,
        "repeats": options.repeats,
        "load_average": [round(load, 1) for load in os.getloadavg()],
    }


def markdown_table(rows: list[dict], columns: Columns) -> str:
    """A table for people and for docs/; what a row lacks, or has None for, is a dash."""
    cells = [[heading for heading, _ in columns.values()]]
    for row in rows:
        values = [(row.get(key), form) for key, (_, form) in columns.items()]
        cells.append(["-" if value is None else format(value, form) for value, form in values])
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def publish(options: argparse.Namespace, rows: list[dict], columns: Columns, **facts) -> None:
    """
    Print the conditions and a table; with `--output` write both as JSON, with every figure of every row.

    Args:
        facts: figures of the whole run, for instance the machine's rate.
    """
    run = {**conditions(options), **facts}
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in run.items()) + "\n")
    print(markdown_table(rows, columns))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps({"run": run, "rows": rows}, indent=1) + "\n")
