"""How every benchmark measures: contenders take turns, in this process or each in one of its own."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

from timed_process import clock
from tqdm import tqdm

TIMED_PROCESS = Path(__file__).with_name("timed_process.py")
PAUSE = 0.25  # seconds; the threads of the process before have gone to sleep by then
Contender = Callable[[], tuple[float, float]]  # takes its turn; returns wall and CPU seconds


@dataclass
class Timings:
    """Wall and CPU seconds of every turn of one contender."""

    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)

    def milliseconds(self, prefix: str = "") -> dict[str, float]:
        """Minimum and median of the wall time and median of the CPU time."""
        return {
            f"{prefix}min_ms": 1e3 * min(self.walls),
            f"{prefix}median_ms": 1e3 * statistics.median(self.walls),
            f"{prefix}cpu_ms": 1e3 * statistics.median(self.cpus),
        }


def take_turns(contenders: dict[str, Contender], repeats: int) -> dict[str, Timings]:
    """
    A B A B ...: each contender once per round, so that a busy minute of the machine hits all of them.

    Args:
        contenders: by name.
        repeats: measured rounds, after one to warm up.
    """
    timings = {name: Timings() for name in contenders}
    for round_ in tqdm(range(repeats + 1), "rounds", leave=False):
        for name, take_turn in contenders.items():
            wall, cpu = take_turn()
            if round_:
                timings[name].walls.append(wall)
                timings[name].cpus.append(cpu)
    return timings


def contender(run: Callable, *arguments) -> Contender:
    """A contender that calls `run(*arguments)` in this process."""
    return partial(clock, partial(run, *arguments))


class TimedProcess:
    """
    A contender in a process of its own, which has its own peak memory and may be another Python.

    Use it in a `with` statement; call it to take a turn.

    Args:
        file: Python file that defines `prepare(row)` (see timed_process.py).
        row: what to prepare; `threads` in it is how many threads the numeric libraries use.
        python: the interpreter; this one by default.
        environment: variables beside those that this process has.

    Raises:
        RuntimeError: the process has ended; the message shows the last lines of what it wrote.
    """

    def __init__(
        self,
        file: Path | str,
        row: dict,
        python: str = sys.executable,
        environment: Mapping[str, str] = MappingProxyType({}),
    ):
        self.file = file
        self.errors = tempfile.TemporaryFile("w+")
        libraries = ("OMP", "MKL", "OPENBLAS")
        self.process = subprocess.Popen(
            [python, str(TIMED_PROCESS), str(file), json.dumps(row)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={
                **os.environ,
                **{f"{library}_NUM_THREADS": str(row["threads"]) for library in libraries},
                **environment,
            },
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def ask(self, command: str):
        try:
            self.process.stdin.write(f"{command}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            status = self.process.wait()
            self.errors.seek(0)
            lines = self.errors.read().splitlines()[-20:]
            raise RuntimeError(f"the process of {self.file} ended with status {status}:\n" + "\n".join(lines))
        return json.loads(answer)

    def __call__(self) -> tuple[float, float]:
        time.sleep(PAUSE)
        wall, cpu = self.ask("run")
        return wall, cpu
