"""The built data set of photos: rows of the schema as Parquet, the bytes of each photo once, and a card.

OUT/photos/train-00000-of-00001.parquet      one row per referent or group of referents with all of its sentences
OUT/photos/objects-00000-of-00001.parquet    one row per training photo, without sentences, for detectors
OUT/images/pictures-00000-of-00001.parquet   the photos of all splits
OUT/README.md, OUT/build.json                the card; what was built, from what
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet
from tqdm import tqdm

from ...writing import write_folder
from ..builders.shards import shard_path
from ..expressions.statements import stated_fields
from ..schema import row_features, union_masks
from ..statistics import split_files, statistics
from .card import write_card
from .collection import (
    MADE,
    Photo,
    WrittenRef,
    check_pictures,
    evaluated_photos,
    read_added,
    read_photos,
    read_written,
)
from .making import PeopleSaid, make_expressions, see
from .splits import SPLITS, TRAIN, SplitPlan, plan_splits, refuse_overlap

logger = logging.getLogger(__name__)

NAME, PICTURES, OBJECTS = "photos", "images", "objects"
FIELDS = ("attributes", "relations", "expression_type", "instances", "coco_id", "labeled")
ROWS_PER_WRITE = 500
# Above the ids of all written expressions.
FIRST_MADE_ID = 10_000_000


@dataclass(frozen=True)
class Collected:
    """All that a build is made of."""

    photos: Mapping[int, Photo]
    written: list[WrittenRef]
    plan: SplitPlan
    people: PeopleSaid


def build_photos(raw: Path, out: Path, added: Path | None = None, seed: int = 0) -> dict:
    """
    Builds the data set; returns the report, which is also `OUT/build.json`.

    Args:
        raw: the folder that holds the sets of `collection.SETS` and the written expressions.
        out: a new folder.
        added: a file of further written expressions, see `collection.read_added`.
        seed: of the made expressions.

    Raises:
        FileExistsError: `out` holds something.
        FileNotFoundError, ValueError: a set is missing or damaged.
        LeakError: a photo of an evaluation would be trained on.
    """
    if out.is_dir() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty; give another folder, or delete it")
    collected = collect(raw, added)
    report: dict = {}

    def save(folder: Path) -> None:
        report.update(_write(collected, folder, seed))

    write_folder(out, save)
    logger.info("built %s in %s", NAME, out)
    return report


def collect(raw: Path, added: Path | None = None) -> Collected:
    """Reads the sets and decides on the splits, see `build_photos`."""
    photos = read_photos(raw)
    check_pictures(photos)
    written, evaluated = read_written(raw, photos), evaluated_photos(raw)
    if added is not None:
        written += read_added(added, photos)
    plan = plan_splits(photos, written, evaluated)
    refuse_overlap(photos, plan.split_of, {photo.coco_id for photo in evaluated})
    # what sentences of an evaluation say of people must not reach the training sentences
    trained = [ref for ref in written if plan.split_of.get(ref.image_id) == TRAIN]
    return Collected(photos, written, plan, PeopleSaid.of(trained))


def _write(collected: Collected, folder: Path, seed: int) -> dict:
    photos, split_of = collected.photos, collected.plan.split_of
    features = row_features(FIELDS)
    features.pop("image")
    for split in SPLITS:
        rows = written_rows(collected, split)
        if split == TRAIN:
            rows = chain(rows, made_rows(collected, seed))
        write_parquet(shard_path(folder / NAME, split, 0, 1), rows, features.arrow_schema)
    trained = [photos[image_id] for image_id in sorted(split_of) if split_of[image_id] == TRAIN]
    rows = (object_row(photo) for photo in tqdm(trained, "objects", leave=False))
    write_parquet(shard_path(folder / NAME, OBJECTS, 0, 1), rows, features.arrow_schema)
    features = row_features()
    features = type(features)({key: features[key] for key in ("image_id", "file_name", "height", "width", "image")})
    rows = (picture_row(photos[image_id]) for image_id in tqdm(sorted(split_of), "photos", leave=False))
    write_parquet(shard_path(folder / PICTURES, "pictures", 0, 1), rows, features.arrow_schema)
    report = {
        "identity": {
            "family": NAME,
            "names": [NAME],
            "seed": seed,
            "versions": {name: version(name) for name in ("hf-refseg", "pycocotools")},
        },
        "datasets": {NAME: {split: _figures(files) for split, files in split_files(folder / NAME).items()}},
        "pictures": {
            "images": len(split_of),
            "bytes": sum(file.stat().st_size for file in (folder / PICTURES).iterdir()),
        },
        "photos": _counts(photos, split_of),
        "left_out": len(collected.plan.left_out),
        "complete": True,
    }
    write_card(folder, report)
    (folder / "build.json").write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    return report


def _figures(files: list[Path]) -> dict:
    return statistics(files).figures() | {"bytes": sum(file.stat().st_size for file in files)}


def _counts(photos: Mapping[int, Photo], split_of: Mapping[int, str]) -> dict:
    """Photos by set, split and license, for the card."""
    counts: dict[str, dict[str, int]] = {}
    for image_id, split in split_of.items():
        photo = photos[image_id]
        of_set = counts.setdefault(photo.set_name.split("/")[-1], {})
        for key in (split, f"license {photo.license}"):
            of_set[key] = of_set.get(key, 0) + 1
    return counts


def written_rows(collected: Collected, split: str) -> Iterator[dict]:
    """The rows of the written expressions of a split, those of a photo together."""
    split_of = collected.plan.split_of
    refs = [ref for ref in collected.written if split_of.get(ref.image_id) == split]
    for ref in tqdm(sorted(refs, key=lambda ref: (ref.image_id, ref.ref_id)), split, leave=False):
        photo = collected.photos[ref.image_id]
        yield referring_row(photo, [ref.ann_id], list(ref.sentences), ref.ref_id, split, ref.source)


def made_rows(collected: Collected, seed: int) -> Iterator[dict]:
    """The rows of the made expressions of the training photos. Those of a photo depend on it and on the seed alone."""
    split_of, photos = collected.plan.split_of, collected.photos
    trained = [image_id for image_id in sorted(split_of) if split_of[image_id] == TRAIN]
    ref_id = sent_id = FIRST_MADE_ID
    for image_id in tqdm(trained, "making expressions", leave=False):
        photo = photos[image_id]
        scene = see(photo, collected.people)
        ann_ids = [thing.ann_id for thing in photo.objects]
        for same in make_expressions(scene, np.random.default_rng([seed, image_id])):
            first = same[0]
            sentences = [
                {"sent_id": sent_id + number, "sent": made.text, "tokens": made.text.split()}
                for number, made in enumerate(same)
            ]
            stated = stated_fields(first.expression, first.wording, scene, ann_ids)
            referents = [ann_ids[number] for number in first.referents]
            yield referring_row(
                *(photo, referents, sentences, ref_id, TRAIN, MADE),
                expression_type=first.expression_type,
                attributes=stated["attributes"],
                relations=stated["relations"],
                **({} if referents else {"category": first.asked}),
            )
            ref_id, sent_id = ref_id + 1, sent_id + len(sentences)


def referring_row(
    photo: Photo, ann_ids: list[int], sentences: list[dict], ref_id: int, split: str, source: str, **optional
) -> dict:
    """
    A row of the schema, without its picture.

    Args:
        ann_ids: what the sentences refer to; [] for nothing, several for all of them together.
        optional: further fields of the schema: category of what is not there, expression_type, attributes, relations.
    """
    things = {thing.ann_id: thing for thing in photo.single_objects}
    meant = [things[ann_id] for ann_id in ann_ids]
    categories = {thing.category for thing in meant}
    return {
        "image_id": photo.image_id,
        "file_name": photo.file.name,
        "height": photo.height,
        "width": photo.width,
        "ref_id": ref_id,
        "ann_ids": ann_ids,
        "category": categories.pop() if len(categories) == 1 else "",
        "boxes": [list(thing.box) for thing in meant],
        "mask": union_masks([thing.rle for thing in meant], photo.height, photo.width),
        "sentences": sentences,
        "split": split,
        "source": source,
        "attributes": [],
        "relations": [],
        "expression_type": "",
        "instances": [
            {
                "ann_id": thing.ann_id,
                "category": thing.category,
                "attributes": [],
                "box": list(thing.box),
                "mask": thing.rle,
            }
            for thing in things.values()
        ],
        "coco_id": photo.coco_id,
        "labeled": sorted(photo.listed),
        **optional,
    }


def object_row(photo: Photo) -> dict:
    """The row of a photo without any sentence."""
    return referring_row(photo, [], [], photo.image_id, OBJECTS, f"{NAME}/{OBJECTS}")


def picture_row(photo: Photo) -> dict:
    """The bytes of a photo as they are."""
    return {
        "image_id": photo.image_id,
        "file_name": photo.file.name,
        "height": photo.height,
        "width": photo.width,
        "image": {"bytes": photo.file.read_bytes(), "path": photo.file.name},
    }


def write_parquet(file: Path, rows: Iterable[dict], schema: pyarrow.Schema) -> None:
    """Writes rows as they come, a few hundred at a time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for block in _blocks(rows):
            writer.write_table(pyarrow.Table.from_pylist(block, schema))


def _blocks(rows: Iterable[dict]) -> Iterator[list[dict]]:
    block: list[dict] = []
    for row in rows:
        block.append(row)
        if len(block) == ROWS_PER_WRITE:
            yield block
            block = []
    if block:
        yield block
