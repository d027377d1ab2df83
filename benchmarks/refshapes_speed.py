"""Samples per second of RefShapes on one core: drawing, masks as RLE and sentences included.

    python benchmarks/refshapes_speed.py [--samples 1000] [--size 128]

Target: 300 samples/s at 128 pixels. CPU time is what one core needs; wall time is what the machine gave.
"""

import argparse
import time

from hf_refseg.data import RefShapes
from hf_refseg.data.refshapes.dialects import DIALECTS


def measure(rows, samples: int) -> tuple[float, float]:
    """CPU and wall samples per second of an iterable of rows."""
    iterator = iter(rows)
    next(iterator)  # first use imports and compiles things
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(samples):
        next(iterator)
    return samples / (time.process_time() - cpu), samples / (time.perf_counter() - wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--size", type=int, default=128)
    arguments = parser.parse_args()
    print(f"{'dialect':12} {'split':6} {'samples/s (CPU)':>16} {'(wall)':>8} {'streamed (CPU)':>15}")
    for dialect in DIALECTS:
        for split in ("train", "val"):
            shapes = RefShapes(split, dialect, arguments.size, num_samples=arguments.samples + 1)
            cpu, wall = measure(shapes, arguments.samples)
            streamed, _ = measure(shapes.to_iterable_dataset(), arguments.samples)
            print(f"{dialect:12} {split:6} {cpu:16.0f} {wall:8.0f} {streamed:15.0f}")


if __name__ == "__main__":
    main()
