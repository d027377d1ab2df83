"""
What another busy program costs us: `python benchmarks/busy_machine.py [--busy 1]`.

R+RMI with 4 words, alone and beside programs that do nothing but count. Threads that share the work of an operation
wait for the last of them; where that one has to share its core, all wait. "Asleep" lets them sleep at once while they
wait (`OMP_WAIT_POLICY=passive`); as usual they spin for a while first, on a core that others could use.
"""

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from report import argument_parser, publish
from speed import rmi
from timing import Contender, TimedProcess, take_turns

ASLEEP = {"OMP_WAIT_POLICY": "passive"}
COLUMNS = {
    "name": ("", ""),
    "min_ms": ("min ms", ".0f"),
    "median_ms": ("median ms", ".0f"),
    "cpu_ms": ("CPU ms", ".0f"),
    "busy_min_ms": ("busy: min ms", ".0f"),
    "busy_median_ms": ("median ms", ".0f"),
    "busy_cpu_ms": ("CPU ms", ".0f"),
    "slower": ("slower", ".2f"),
}


@contextmanager
def busy_programs(number: int):
    """So many programs that keep a core each busy, if they get one."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def beside(number: int, take_turn: Contender) -> tuple[float, float]:
    """A turn beside so many busy programs."""
    with busy_programs(number):
        return take_turn()


def main() -> None:
    parser = argument_parser(__doc__, repeats=10)
    parser.add_argument("--busy", type=int, default=1, help="how many busy programs")
    options = parser.parse_args()
    settings = {"1 thread": (1, {}), f"{options.threads} threads": (options.threads, {})}
    settings[f"{options.threads} threads, asleep"] = options.threads, ASLEEP
    file = Path(__file__).with_name("speed.py")
    with ExitStack() as processes:
        contenders = {}
        for name, (threads, environment) in settings.items():
            process = TimedProcess(file, {"threads": threads, **rmi(4)}, environment=environment)
            contenders[name, "alone"] = processes.enter_context(process)
            contenders[name, "busy"] = partial(beside, options.busy, process)
        timings = take_turns(contenders, options.repeats)
    rows = []
    for name in settings:
        row = {"name": name, **timings[name, "alone"].milliseconds(), **timings[name, "busy"].milliseconds("busy_")}
        rows.append({**row, "slower": row["busy_median_ms"] / row["median_ms"]})
    publish(options, rows, COLUMNS, busy=options.busy, usual_policy=os.environ.get("OMP_WAIT_POLICY", "not set"))


if __name__ == "__main__":
    main()
