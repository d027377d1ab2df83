"""
What MAttNet's matching costs at the published sizes: `python benchmarks/matching_speed.py [--regions 10] [--words 10]`.

The word-free side of the regions, one expression and ten expressions, all from region features on. "With regions" is
what the original's call does: both sides, every time. With other work on the machine only the CPU time of one thread
(`--threads 1`) means anything.
"""

import torch
from report import argument_parser, publish
from timing import contender, take_turns

from hf_refseg.layers.regions import Regions
from hf_refseg.models.mattnet.configuration_mattnet import MAttNetConfig
from hf_refseg.models.mattnet.matching import MAttNetMatching

COLUMNS = {
    "name": ("", ""),
    "min_ms": ("min ms", ".1f"),
    "median_ms": ("median ms", ".1f"),
    "cpu_ms": ("CPU ms", ".1f"),
    "to_one": ("to one expression", ".2f"),
    "cpu_to_one": ("by CPU", ".2f"),
}


@torch.no_grad()
def main() -> None:
    parser = argument_parser(__doc__, repeats=50)
    parser.add_argument("--regions", type=int, default=10)
    parser.add_argument("--words", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config, generator = MAttNetConfig(), torch.Generator().manual_seed(0)
    matching, count = MAttNetMatching(config).eval(), options.regions
    side, image_sizes = config.grid_size, torch.tensor([[480, 640]])
    corners = torch.rand(count, 2, generator=generator) * 200
    boxes = torch.cat([corners, corners + 1 + torch.rand(count, 2, generator=generator) * 200], 1)
    labels = torch.randint(1, 4, (count,), generator=generator)
    regions = Regions.of([boxes], [labels], image_sizes=image_sizes)
    crops = torch.rand(count, config.region_size, side, side, generator=generator)
    head_maps = torch.rand(count, config.head_size, side, side, generator=generator)
    words = torch.randint(1, config.vocab_size, (10, options.words), generator=generator)

    def encode_regions():
        return matching.encode_regions(regions, crops, head_maps, image_sizes)

    def match(input_ids, features):
        matching.match(regions, features, matching.encode_words(input_ids))

    def match_with_regions(input_ids):
        match(input_ids, encode_regions())

    contenders = {"regions, once per image": contender(encode_regions)}
    features = encode_regions()
    for number in (1, 10):
        contenders[f"{number} expressions"] = contender(match, words[:number], features)
        contenders[f"{number} expressions with regions"] = contender(match_with_regions, words[:number])
    timings = take_turns(contenders, options.repeats)
    rows = [{"name": name, **timing.milliseconds()} for name, timing in timings.items()]
    for one, ten in zip(rows[1:3], rows[3:], strict=True):
        ten |= {"to_one": ten["min_ms"] / one["min_ms"], "cpu_to_one": ten["cpu_ms"] / one["cpu_ms"]}
    publish(options, rows, COLUMNS, regions=count, words=options.words)


if __name__ == "__main__":
    main()
