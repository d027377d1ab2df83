"""Builds and reads a generated data set of VGPhraseCut's size: 345,486 phrases on 77,262 images, official formats.

    python benchmarks/dataset_scale.py --work /tmp/scale [--num-proc 2] [--share 0.1]

Prints seconds, phrases per second, MB on disk and peak memory of the build, and rows per second of reading by memory
map and by streaming, the latter dealt out to processes by `split_dataset_by_node`. The counts are the published ones,
so that the build is the one a user runs; --share takes a part of them, for a try.
"""

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

from hf_refseg.data import DATASETS

SCRIPT = Path(__file__).resolve().parents[1] / "dataset_scripts" / "build_phrasecut.py"
WIDTH, HEIGHT = 800, 600
READ_ROWS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a folder for some 2 GB; what is in it is used again")
    parser.add_argument("--num-proc", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0)
    options = parser.parse_args()
    raw, out = options.work / "raw", options.work / "built"
    if not (raw / "name_att_rel_count.json").is_file():
        phrases = generate(raw, options.share)
        print(f"generated {phrases:,} phrases, {megabytes(raw):,.0f} MB of JSON")
    if not (out / "README.md").is_file():
        build(raw, out, options)
    read(out)


def build(raw: Path, out: Path, options: argparse.Namespace) -> None:
    command = [sys.executable, str(SCRIPT), "--raw", str(raw), "--out", str(out), "--num-proc", str(options.num_proc)]
    start = time.perf_counter()
    subprocess.run(command + ["--allow-other-counts"] * (options.share < 1), check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    rows = sum(
        split["rows"] for split in json.loads((out / "build.json").read_text())["datasets"]["phrasecut"].values()
    )
    print(
        f"build with {options.num_proc} processes, counts, statistics and verification included: {seconds:,.0f} s, "
        f"{rows / seconds:,.0f} phrases/s, {megabytes(out):,.0f} MB of Parquet, peak {peak:.2f} GB per process"
    )


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


def read(out: Path) -> None:
    from datasets.distributed import split_dataset_by_node

    from hf_refseg.data import load

    rows = load(out, "train", images=False)
    start = time.perf_counter()
    for index in range(min(READ_ROWS, len(rows))):
        rows[index]
    seconds = time.perf_counter() - start
    print(f"memory map: {min(READ_ROWS, len(rows)) / seconds:,.0f} rows/s")
    stream = load(out, "train", images=False, streaming=True)
    start = time.perf_counter()
    taken = sum(1 for _ in stream.take(READ_ROWS))
    print(f"streaming: {taken / (time.perf_counter() - start):,.0f} rows/s")
    nodes = 4
    parts = [split_dataset_by_node(stream, rank, nodes).select_columns(["ref_id"]) for rank in range(nodes)]
    ids = [[row["ref_id"] for row in part] for part in parts]
    whole = len({ref_id for part in ids for ref_id in part})
    if sorted(ref_id for part in ids for ref_id in part) != list(range(len(rows))):
        raise SystemExit(f"split_dataset_by_node lost or repeated rows: {whole} of {len(rows)}")
    print(f"split_dataset_by_node, {nodes} processes: {[len(part) for part in ids]} rows, every row once")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory of reading: {peak:.2f} GB, pages of the memory map included")


def megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


if __name__ == "__main__":
    main()
