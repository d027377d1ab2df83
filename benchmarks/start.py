"""
CPU seconds until `hf-refseg segment` has answered, and which imports they go to: `python benchmarks/start.py --photo
FILE`. Each row is an interpreter of its own that imports what the rows above import, and one thing more.
"""

import resource
import subprocess
import sys
from pathlib import Path

from report import argument_parser, publish
from tqdm import tqdm

IMPORTS = ("torch", "torchvision", "scipy.optimize", "transformers.pipelines", "hf_refseg.checkpoints.loading")
COLUMNS = {"name": ("until", ""), "cpu_s": ("CPU s", ".2f"), "added_s": ("more", ".2f")}


def cpu_seconds(arguments: list[str]) -> float:
    """Of one run of this interpreter with `arguments`."""

    def spent() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime

    before = spent()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return spent() - before


def main() -> None:
    parser = argument_parser(__doc__, repeats=5, threads=1)
    parser.add_argument("--photo", type=Path, required=True, help="a photo to segment")
    options = parser.parse_args()
    commands = {f"import {IMPORTS[n]}": ["-c", f"import {', '.join(IMPORTS[: n + 1])}"] for n in range(len(IMPORTS))}
    commands["the answer"] = ["-m", "hf_refseg.cli", "segment", str(options.photo), "the person"]
    turns = {name: [] for name in commands}
    for _ in tqdm(range(options.repeats), "turns"):
        for name, arguments in commands.items():
            turns[name].append(cpu_seconds(arguments))
    rows, last = [], 0.0
    for name, seconds in turns.items():
        rows.append({"name": name, "cpu_s": min(seconds), "added_s": min(seconds) - last})
        last = min(seconds)
    publish(options, rows, COLUMNS)


if __name__ == "__main__":
    main()
