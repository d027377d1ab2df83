"""
Reads a generated data set of VGPhraseCut's size into training batches of HULANet, by memory map and as a stream.

    python benchmarks/dataset_scale.py --work /tmp/scale
    python benchmarks/hulanet_batches.py --work /tmp/scale

First an epoch of the training split is read in several processes, either way, and every phrase must come exactly once.
Then batches are made: pictures normalized, masks decoded and resized to the network's input, phrases read. The set has
no pictures; each image gets a plain one of its size.
"""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from report import argument_parser, publish
from timed_process import peak_megabytes
from timing import contender, take_turns

IMAGES_PER_BATCH, ROWS_PER_BATCH = 4, 16
COLUMNS = {
    "name": ("", ""),
    "phrases": ("phrases", ",.0f"),
    "per_second": ("phrases/s", ",.0f"),
    "cpu_seconds": ("CPU s", ",.1f"),
    "peak_mb": ("peak MB", ",.0f"),
}


def with_picture(row: dict) -> dict:
    from PIL import Image

    return row | {"image": Image.new("RGB", (row["width"], row["height"]))}


class SomeImages:
    """The rows of the first images, the first of each with a picture."""

    def __init__(self, rows, phrases: int):
        self.images, self.phrases, self.length = rows.by_image(), 0, 0
        while self.phrases < phrases and self.length < len(self.images):
            self.phrases += len(self.images[self.length])
            self.length += 1

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> list[dict]:
        first, *others = self.images[index]
        return [with_picture(first), *others]


def make_collator(by_image: bool):
    from hf_refseg.models.hulanet.phrase_collator import PhraseCollator
    from hf_refseg.models.hulanet.processing_hulanet import HulaNetProcessor
    from hf_refseg.models.hulanet.tokenization_hulanet import phrase_tokenizer_from_sentences

    categories = [f"thing{number}" for number in range(1272)]
    tokenizer = phrase_tokenizer_from_sentences(["wooden on floor", *categories])
    names = {"categories": categories, "attributes": ["wooden"], "predicates": ["on"]}
    return PhraseCollator(HulaNetProcessor(tokenizer=tokenizer, names=names), by_image=by_image)


def collate_stream(collate, rows: list[dict]):
    return collate([with_picture(row) for row in rows])


def ids_of_images(images: list[list[dict]]) -> list[int]:
    return [row["ref_id"] for rows in images for row in rows]


def ids_of_rows(rows: list[dict]) -> list[int]:
    return [row["ref_id"] for row in rows]


def check_epoch(name: str, batches: Iterable[list[int]], expected: int) -> None:
    """Stops unless every phrase came exactly once."""
    seen = Counter(ref_id for batch in batches for ref_id in batch)
    if len(seen) != expected or max(seen.values()) > 1:
        raise SystemExit(f"{name}: {len(seen)} of {expected} phrases came, one of them {max(seen.values())} times")


def read_all(batches: Iterable) -> None:
    for _ in batches:
        pass


def main() -> None:
    parser = argument_parser(__doc__, repeats=2)
    parser.add_argument("--work", type=Path, required=True, help="the folder of dataset_scale.py")
    parser.add_argument("--num-workers", type=int, default=2, help="processes that read (%(default)s)")
    parser.add_argument("--phrases", type=int, default=4000, help="that are made into batches (%(default)s)")
    options = parser.parse_args()
    from torch.utils.data import DataLoader

    from hf_refseg.data import load

    workers = {"num_workers": options.num_workers}
    rows = load(options.work / "built", "train", images=False)
    stream = load(options.work / "built", "train", images=False, streaming=True)
    epoch = DataLoader(rows.by_image(), 64, shuffle=True, collate_fn=ids_of_images, **workers)
    check_epoch("memory map", epoch, len(rows))
    epoch = DataLoader(stream.select_columns(["ref_id"]), 1024, collate_fn=ids_of_rows, **workers)
    check_epoch("stream", epoch, len(rows))
    after_epochs = peak_megabytes()

    images = SomeImages(rows, options.phrases)
    of_map = {"batch_size": IMAGES_PER_BATCH, "collate_fn": make_collator(by_image=True)}
    collate_rows = partial(collate_stream, make_collator(by_image=False))
    of_stream = {"batch_size": ROWS_PER_BATCH, "collate_fn": collate_rows}
    some = stream.take(images.phrases)
    contenders = {
        "memory map, one process": contender(lambda: read_all(DataLoader(images, **of_map))),
        f"memory map, {options.num_workers} workers": contender(
            lambda: read_all(DataLoader(images, **of_map, **workers))
        ),
        "stream, one process": contender(lambda: read_all(DataLoader(some, **of_stream))),
    }
    timings = take_turns(contenders, options.repeats)
    counted = {"phrases": images.phrases, "peak_mb": peak_megabytes()}
    made = [
        {"name": name, "per_second": images.phrases / min(turns.walls), "cpu_seconds": min(turns.cpus), **counted}
        for name, turns in timings.items()
    ]
    publish(options, made, COLUMNS, phrases_of_an_epoch=len(rows), peak_mb_of_two_epochs=round(after_epochs))


if __name__ == "__main__":
    main()
