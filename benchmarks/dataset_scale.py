"""
Builds and reads a generated data set of VGPhraseCut's size: 345,486 phrases on 77,262 images, official formats.

    python benchmarks/dataset_scale.py --work /tmp/scale [--num-proc 2] [--share 0.1]

The build is measured once, reading by memory map and as a stream take turns. Also checks that `split_dataset_by_node`
deals every row of the stream out to exactly one process. The counts are the published ones, so that the build is the
one a user runs; `--share` takes a part of them, for a try.
"""

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

from report import argument_parser, publish
from timed_process import peak_megabytes
from timing import contender, take_turns

from hf_refseg.data import DATASETS, load

SCRIPT = Path(__file__).resolve().parents[1] / "dataset_scripts" / "build_phrasecut.py"
WIDTH, HEIGHT = 800, 600
READ_ROWS = 20_000
COLUMNS = {
    "name": ("", ""),
    "count": ("rows", ",.0f"),
    "seconds": ("s", ",.1f"),
    "per_second": ("rows/s", ",.0f"),
    "cpu_seconds": ("CPU s", ",.1f"),
    "peak_mb": ("peak MB", ",.0f"),
}


def main() -> None:
    parser = argument_parser(__doc__, repeats=3)
    parser.add_argument("--work", type=Path, required=True, help="a folder for some 2 GB; what is in it is used again")
    parser.add_argument("--num-proc", type=int, default=1, help="processes that build (%(default)s)")
    parser.add_argument("--share", type=float, default=1.0, help="of the published counts (%(default)s)")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # for the processes that build
    raw, out = options.work / "raw", options.work / "built"
    if not (raw / "name_att_rel_count.json").is_file():
        generate(raw, options.share)
    rows = [] if (out / "README.md").is_file() else [build(raw, out, options)]
    rows += read(out, options.repeats)
    publish(options, rows, COLUMNS, json_mb=round(megabytes(raw)), parquet_mb=round(megabytes(out)))


def figures(name: str, count: int, seconds: float, cpu_seconds: float, peak_mb: float) -> dict:
    figures = {"name": name, "count": count, "seconds": seconds, "per_second": count / seconds}
    return {**figures, "cpu_seconds": cpu_seconds, "peak_mb": peak_mb}


def build(raw: Path, out: Path, options: argparse.Namespace) -> dict:
    """The whole build, with counts, statistics and verification; its peak memory is that of its largest process."""
    command = [sys.executable, str(SCRIPT), "--raw", str(raw), "--out", str(out), "--num-proc", str(options.num_proc)]
    start = time.perf_counter()
    subprocess.run(command + ["--allow-other-counts"] * (options.share < 1), check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    splits = json.loads((out / "build.json").read_text())["datasets"]["phrasecut"].values()
    count, cpu_seconds = sum(split["rows"] for split in splits), children.ru_utime + children.ru_stime
    return figures(f"build, --num-proc {options.num_proc}", count, seconds, cpu_seconds, children.ru_maxrss / 1024)


def generate(raw: Path, share: float) -> int:
    """Official files of random tasks: mostly one instance, polygons of 8 to 24 points, unrounded coordinates."""
    raw.mkdir(parents=True, exist_ok=True)
    random.seed(0)
    info, total, image_id = [], 0, 1
    for split, (images, phrases, _) in DATASETS["phrasecut"].published.items():
        images, phrases = max(1, round(images * share)), max(1, round(phrases * share))
        with open(raw / f"refer_{split}.json", "w") as stream:
            stream.write("[")
            for number in range(phrases):
                image = image_id + number * images // phrases
                stream.write(", " * (number > 0) + json.dumps(random_task(image, number)))
            stream.write("]")
        size = {"width": WIDTH, "height": HEIGHT, "split": split}
        info += [
            {"image_id": i, "coco_id": None, "flickr_id": i, "url": ""} | size
            for i in range(image_id, image_id + images)
        ]
        image_id, total = image_id + images, total + phrases
    (raw / "image_data_split.json").write_text(json.dumps(info))
    (raw / "name_att_rel_count.json").write_text(json.dumps({"cat": [], "att": [], "rel": []}))
    return total


def random_task(image_id: int, number: int) -> dict:
    instances = random.choices((1, 2, 3, 6), (80, 12, 6, 2))[0]
    polygons = [random_polygon() for _ in range(instances)]
    boxes = []
    for polygon in polygons:
        xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
        boxes.append([min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1])
    ann_id = 1_000_000 + number
    name = f"thing{random.randrange(3_103)}"
    return {
        "task_id": f"{image_id}__{ann_id}",
        "image_id": image_id,
        "ann_ids": [ann_id],
        "instance_boxes": boxes,
        "Polygons": [[polygon] for polygon in polygons],
        "phrase": f"wooden {name} on floor",
        "phrase_structure": {
            "name": name,
            "attributes": ["wooden"],
            "relation_ids": [number],
            "relation_descriptions": [["on", "floor"]],
            "type": "relation",
        },
    }


def random_polygon() -> list[list[float]]:
    points = random.randrange(8, 25)
    x, y, radius = random.uniform(50, WIDTH - 50), random.uniform(50, HEIGHT - 50), random.uniform(20, 150)
    turns = sorted(random.uniform(0, 2 * math.pi) for _ in range(points))
    radii = [radius * random.uniform(0.6, 1.0) for _ in turns]
    return [[x + r * math.cos(t), y + r * math.sin(t)] for r, t in zip(radii, turns, strict=True)]


def read(out: Path, repeats: int) -> list[dict]:
    """Rows without pictures; the peak memory includes the pages of the memory map."""
    from datasets.distributed import split_dataset_by_node

    rows = load(out, "train", images=False)
    stream = load(out, "train", images=False, streaming=True)
    count = min(READ_ROWS, len(rows))

    def read_map():
        for index in range(count):
            rows[index]

    def read_stream():
        for _ in stream.take(count):
            pass

    timings = take_turns({"memory map": contender(read_map), "stream": contender(read_stream)}, repeats)
    nodes = 4
    parts = [split_dataset_by_node(stream, rank, nodes).select_columns(["ref_id"]) for rank in range(nodes)]
    ids = sorted(row["ref_id"] for part in parts for row in part)
    if ids != list(range(len(rows))):
        raise SystemExit(f"split_dataset_by_node lost or repeated rows: {len(set(ids))} of {len(rows)} came")
    peak = peak_megabytes()
    return [figures(name, count, min(turns.walls), min(turns.cpus), peak) for name, turns in timings.items()]


def megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


if __name__ == "__main__":
    main()
