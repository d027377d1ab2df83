"""
What the speed benchmarks of systems share: each row in a process of its own, beside the original program.

A row's contenders take turns: ours, the original program where the user has one, and the machine's rate (see
machine_rate.py). The share of the rate is that of ours at its fastest.

The repository has nothing of the originals. The figures that a row brings for its original were measured on another
machine, of about 260 GFLOP/s; "at its rate" is the ratio times 260 over this machine's rate. Whoever has a checkout of
an original compares in one run:

    python benchmarks/speed.py --rows R+RMI --original time_rmi.py --python ../tensorflow/bin/python

`time_rmi.py` is a file of yours, a few lines, that imports the original and defines `prepare(row)`. It gets what the
row says (`name`, `threads`, and for instance `size`, `words`, `expressions`) and returns a function without arguments
that does the same work once. What happens once, such as reading weights, belongs before that function; ours is timed
without it too. The interpreter that you name needs nothing of ours. `--rows` leaves out what the original cannot do.
"""

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from machine_rate import GFLOP
from report import argument_parser, publish
from timing import TimedProcess, take_turns
from tqdm import tqdm

ORIGINAL_RATE = 260  # GFLOP/s, float32, on the machine of the originals' figures
DTYPES = ("float32", "bfloat16")
MACHINE_RATE = Path(__file__).with_name("machine_rate.py")
OURS = {
    "name": ("", ""),
    "min_ms": ("min ms", ".1f"),
    "median_ms": ("median ms", ".1f"),
    "cpu_ms": ("CPU ms", ".1f"),
    "gflop": ("GFLOP", ".1f"),
    "share_of_rate": ("share of rate", ".0%"),
    "peak_mb": ("peak MB", ".0f"),
    "expressions_per_second": ("expressions/s", ".1f"),
    "load": ("load", ".1f"),
}
ELSEWHERE = {"original_ms": ("original ms, elsewhere", ".0f"), "ratio_at_its_rate": ("ratio at its rate", ".2f")}
HERE = {
    "original_min_ms": ("original min ms", ".1f"),
    "original_median_ms": ("median ms", ".1f"),
    "original_cpu_ms": ("CPU ms", ".1f"),
    "original_peak_mb": ("peak MB", ".0f"),
}
RATIO = {"ratio": ("ratio", ".2f"), "target": ("target", ".2f")}


@dataclass
class Row:
    """
    One measured situation.

    Args:
        work: what `prepare` gets, beside `name` and `threads`.
        original_ms: the original's wall time for the same work on another machine, None where unknown.
        target: the ratio that the project wants.
    """

    name: str
    work: dict = field(default_factory=dict)
    original_ms: float | None = None
    target: float | None = None


def measure(row: Row, file: str, options) -> dict:
    """All figures of one row; `file` defines the `prepare` of ours."""
    work = {"name": row.name, "threads": options.threads, **row.work}
    with ExitStack() as processes:

        def start(file, work: dict, **python) -> TimedProcess:
            return processes.enter_context(TimedProcess(file, work, **python))

        contenders = {"ours": start(file, work)}
        if options.original:
            contenders["original"] = start(options.original, work, python=options.python)
        for dtype in DTYPES:
            contenders[dtype] = start(MACHINE_RATE, {"dtype": dtype, "threads": options.threads})
        timings = take_turns(contenders, options.repeats)
        figures = {"name": row.name, **row.work, **timings["ours"].milliseconds(), "target": row.target}
        figures["peak_mb"] = contenders["ours"].ask("peak")
        figures["gflop"] = contenders["ours"].ask("gflop")
        figures["load"] = os.getloadavg()[0]
        figures |= {f"{dtype}_gflops": GFLOP / min(timings[dtype].walls) for dtype in DTYPES}
        original = row.original_ms
        if options.original:
            figures |= timings["original"].milliseconds("original_")
            figures["original_peak_mb"] = contenders["original"].ask("peak")
            original = figures["original_min_ms"]
    figures["share_of_rate"] = figures["gflop"] / figures["min_ms"] * 1e3 / figures["float32_gflops"]
    if "expressions" in row.work:
        figures["expressions_per_second"] = row.work["expressions"] / figures["median_ms"] * 1e3
    if original:
        figures["ratio"] = original / figures["min_ms"]
    if row.original_ms and not options.original:
        figures["original_ms"] = row.original_ms
        figures["ratio_at_its_rate"] = figures["ratio"] * ORIGINAL_RATE / figures["float32_gflops"]
    return figures


def run(doc: str, file: str, rows: list[Row], repeats: int) -> None:
    """The command line of a benchmark whose `prepare` and rows are in `file`."""
    parser = argument_parser(doc, repeats)
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--original", type=Path, help="a file of yours that prepares the original program's work")
    parser.add_argument("--python", default=sys.executable, help="the original's interpreter; this one by default")
    options = parser.parse_args()
    chosen = [row for row in rows if options.rows in row.name]
    if not chosen:
        parser.error(f"no row's name contains {options.rows!r}; the rows are " + "; ".join(row.name for row in rows))
    figures = [measure(row, file, options) for row in tqdm(chosen, "rows")]
    rates = {f"{dtype}_gflops": round(max(row[f"{dtype}_gflops"] for row in figures)) for dtype in DTYPES}
    columns = {**OURS, **(HERE if options.original else ELSEWHERE), **RATIO}
    publish(options, figures, columns, **rates)
