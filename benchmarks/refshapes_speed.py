"""
Samples per second of RefShapes on one core, with drawing, masks as RLE and sentences: `benchmarks/refshapes_speed.py`.

Target: 300 samples/s at 128 pixels. CPU time is what one core needs; wall time is what the machine gave.
"""

from itertools import islice

import torch
from report import argument_parser, publish
from timed_process import peak_megabytes
from timing import contender, take_turns

from hf_refseg.data import RefShapes
from hf_refseg.data.refshapes.dialects import DIALECTS

COLUMNS = {
    "dialect": ("dialect", ""),
    "split": ("split", ""),
    "by_cpu": ("samples/s of CPU time", ".0f"),
    "by_wall": ("by wall time", ".0f"),
    "streamed_by_cpu": ("streamed, CPU time", ".0f"),
}


def consume(rows, samples: int) -> None:
    for _ in islice(iter(rows), samples):
        pass


def main() -> None:
    parser = argument_parser(__doc__, repeats=3, threads=1)
    parser.add_argument("--samples", type=int, default=300, help="of each turn (%(default)s)")
    parser.add_argument("--size", type=int, default=128, help="pixels a side (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cases = [(dialect, split) for dialect in DIALECTS for split in ("train", "val")]
    contenders = {}
    for dialect, split in cases:
        shapes = RefShapes(split, dialect, options.size, num_samples=options.samples)
        contenders[dialect, split, "indexed"] = contender(consume, shapes, options.samples)
        contenders[dialect, split, "streamed"] = contender(consume, shapes.to_iterable_dataset(), options.samples)
    timings = take_turns(contenders, options.repeats)
    rows = [
        {
            "dialect": dialect,
            "split": split,
            "by_cpu": options.samples / min(timings[dialect, split, "indexed"].cpus),
            "by_wall": options.samples / min(timings[dialect, split, "indexed"].walls),
            "streamed_by_cpu": options.samples / min(timings[dialect, split, "streamed"].cpus),
        }
        for dialect, split in cases
    ]
    publish(options, rows, COLUMNS, size=options.size, peak_mb=round(peak_megabytes()))


if __name__ == "__main__":
    main()
