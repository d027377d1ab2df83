"""
What MAttNet's matching costs at the published sizes: `python benchmarks/matching_speed.py [--regions 10] [--words 10]`.

The word-free side of the regions, one expression, ten expressions, and the ratio of ten to one, all from region
features on. Wall and process CPU time, the best of the repetitions; with other work on the machine only the CPU time of
one thread (OMP_NUM_THREADS=1) means anything.
"""

import argparse
import time
from collections.abc import Callable

import torch

from hf_refseg.models.mattnet.configuration_mattnet import MAttNetConfig
from hf_refseg.models.mattnet.matching import MAttNetMatching


def best(run: Callable, repetitions: int) -> tuple[float, float]:
    """Least wall and CPU milliseconds."""
    walls, cpus = [], []
    for _ in range(repetitions):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return 1e3 * min(walls), 1e3 * min(cpus)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--regions", type=int, default=10)
    parser.add_argument("--words", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=50)
    options = parser.parse_args()
    config, generator = MAttNetConfig(), torch.Generator().manual_seed(0)
    matching, count = MAttNetMatching(config).eval(), options.regions
    side = config.grid_size
    regions = {
        "region_maps": torch.rand(count, config.region_size, side, side, generator=generator),
        "head_maps": torch.rand(count, config.head_size, side, side, generator=generator),
        "boxes": torch.rand(1, count, 4, generator=generator) * 200 + 1,
        "categories": torch.randint(1, 4, (1, count), generator=generator),
        "region_mask": torch.ones(1, count, dtype=torch.bool),
        "image_sizes": torch.tensor([[480, 640]]),
    }
    words = torch.randint(1, config.vocab_size, (10, options.words), generator=generator)
    features = matching.encode_regions(**regions)
    rows = {"regions, once per image": lambda: matching.encode_regions(**regions)}
    for number in (1, 10):
        some = words[:number]
        rows[f"{number} expressions"] = lambda some=some: matching.match(features, some)
        rows[f"{number} expressions, regions too"] = lambda some=some: matching.match(
            matching.encode_regions(**regions), some
        )
    print(f"{torch.get_num_threads()} threads, {count} regions, {options.words} words; milliseconds")
    print(f"{'':30} {'wall':>8} {'CPU':>8}")
    totals = {}
    for name, run in rows.items():
        wall, cpu = totals[name] = best(run, options.repetitions)
        print(f"{name:30} {wall:8.1f} {cpu:8.1f}")
    (wall, cpu), (walls, cpus) = (totals[f"{number} expressions, regions too"] for number in (1, 10))
    print(f"ten cost {walls / wall:.2f} (wall), {cpus / cpu:.2f} (CPU) times one")


if __name__ == "__main__":
    main()
