"""A build: official files -> checked counts -> Parquet shards -> verification -> card. A stopped build can be resumed.

OUT/README.md                                 the card; its YAML lists the files of each configuration
OUT/build.json                                what was built, from which files, options and versions
OUT/refcoco_unc/testA-00000-of-00001.parquet
OUT/images/pictures-00000-of-00010.parquet    only with pixels: one row per picture
"""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from transformers.utils import logging

from ...writing import write_text
from ..cards import write_card
from ..catalogue import PublishedDataset, differing_counts, recognized
from ..image_sources import ImageFolder
from ..leaks import read_identities
from ..phrasecut import read_skipped
from ..rows import FileRows
from ..statistics import split_files, statistics
from .referring import PictureBuilder, ReferringBuilder, kept_indices, split_rows
from .shards import Shard, shard_bounds, shard_path, write_shards
from .verification import verify_folder, verify_pictures

logger = logging.get_logger(__name__)

STATE_FILE = "build.json"
PICTURES = "images"
# Files that an evaluation of the data set needs; a build copies them.
COMPANIONS = ("name_att_rel_count.json",)


class CountsDifferError(ValueError):
    """The official files do not have the published counts."""


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build.

    Args:
        raw: folder of the official files, or the one above it.
        out: folder of the built data set; an unfinished build with the same options in it is resumed.
        images: folder of the pictures, which are stored in a table of their own; None: no pixels.
        with_instances: give every row the field `instances`, every annotated object of its image with its mask, for
            systems that compare the objects of an image. The rows of an image repeat them.
        exclude_images: text file of image identities; their rows are left out, see `leaks.read_identities`.
        allow_other_counts: build even if counts differ from the published ones; the card then says so.
        num_proc: number of processes.
        rows_per_shard, pictures_per_shard: the most per file. A killed build loses one shard per process.
    """

    raw: Path
    out: Path
    images: Path | None = None
    with_instances: bool = False
    exclude_images: Path | None = None
    allow_other_counts: bool = False
    num_proc: int = 1
    rows_per_shard: int = 10_000
    pictures_per_shard: int = 2_000


def build(parts: Sequence[PublishedDataset], options: BuildOptions) -> dict:
    """Builds the partitions of one family in one folder; returns the report, which is also `OUT/build.json`.

    Raises:
        FileNotFoundError, ValueError: official files are missing or broken; the messages are those of the readers.
        CountsDifferError: their counts are not the published ones; one line per file, with both numbers.
        ValueError: the folder holds another build, or the exclusion leaves no rows in a split.
    """
    out, exclude = options.out, frozenset()
    if options.exclude_images is not None:
        exclude = frozenset(read_identities(options.exclude_images))
    opened = {part.name: split_rows(part.name, str(options.raw)) for part in parts}
    # Checked first, so that refused files leave nothing in OUT that would block the right ones later.
    differences = _check_counts(parts, opened, options)
    report = _begin(parts, options, exclude) | {"differences": differences}
    pictures: dict[int, dict] = {}
    for part in parts:
        report["datasets"][part.name] = _build_annotations(part, opened[part.name], options, exclude, pictures)
    if options.images is not None:
        report["pictures"] = _build_pictures(pictures, options)
    _take_companions(parts[0], options, report)
    write_card(out, report)
    try:
        for part in parts:
            verify_folder(out, part, opened[part.name], exclude, options.with_instances)
    except BaseException:
        # A folder without a card is not read as a built one.
        (out / "README.md").unlink()
        raise
    report["complete"] = True
    _write_state(out, report)
    logger.info(f"built {', '.join(opened)} in {out}")
    return report


def _take_companions(part: PublishedDataset, options: BuildOptions, report: dict) -> None:
    folder = part.folder(options.raw)
    for name in COMPANIONS:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, options.out / name)
    if part.layout == "phrasecut" and (folder / "skip.json").is_file():
        report["skipped"] = dict(Counter(record["reason"] for record in read_skipped(folder)))


def _begin(parts: Sequence[PublishedDataset], options: BuildOptions, exclude: frozenset[str]) -> dict:
    """The report so far. It is written before any shard, so shards of another build are never used."""
    identity = {
        "family": parts[0].family,
        "names": [part.name for part in parts],
        "raw": {
            str(file.relative_to(options.raw)): file.stat().st_size
            for part in parts
            for file in part.official_files(options.raw)
        },
        "excluded_images": sorted(exclude),
        "with_images": options.images is not None,
        "with_instances": options.with_instances,
        "rows_per_shard": options.rows_per_shard,
        "pictures_per_shard": options.pictures_per_shard,
        # Masks depend on this package, and those of PhraseCut on Pillow.
        "versions": {name: version(name) for name in ("hf-refseg", "pillow", "pycocotools")},
    }
    state = options.out / STATE_FILE
    if state.is_file():
        before = json.loads(state.read_text(encoding="utf-8"))["identity"]
        changed = sorted(key for key in identity if before.get(key) != identity[key])
        if changed:
            raise ValueError(
                f"{options.out} holds a build of other {', '.join(changed)}; give another --out, or delete it."
            )
    elif options.out.is_dir() and any(options.out.iterdir()):
        raise ValueError(f"{options.out} is not empty and holds no build of this command; give another --out.")
    report = {"identity": identity, "complete": False, "datasets": {}}
    options.out.mkdir(parents=True, exist_ok=True)
    _write_state(options.out, report)
    return report


def _write_state(out: Path, report: dict) -> None:
    write_text(out / STATE_FILE, json.dumps(report, indent=1, ensure_ascii=False))


def _check_counts(parts, opened: dict[str, dict[str, FileRows]], options: BuildOptions) -> list[str]:
    """The differences, one line each, for the card.

    Raises CountsDifferError unless they are allowed."""
    lines, others = [], []
    for part in parts:
        splits = opened[part.name]
        found = {split: rows.counts() for split, rows in splits.items()}
        if (known := recognized(found)) not in (None, part.name):
            others.append(f"\nThese are the splits and counts of {known}: give the archive of {part.name}.")
        if "all" in part.published:
            found["all"] = next(iter(splits.values())).of_split(None).counts()
        for split, line in differing_counts(part, found):
            lines.append((splits.get(split, next(iter(splits.values()))).file, line))
    if lines and not options.allow_other_counts:
        raise CountsDifferError(
            "The counts are not the published ones:\n  "
            + "\n  ".join(f"{file}: {line}" for file, line in lines)
            + f"\n(published figures: {'; '.join(part.counts_from for part in parts)}){''.join(others)}\n"
            "Is the archive complete, and of this partition? --allow-other-counts builds it anyway and writes the "
            "differences into the card."
        )
    for file, line in lines:
        logger.warning(f"{file}: {line}")
    # A card must not hold paths of this machine.
    return [f"{file.name}: {line}" for file, line in lines]


def _build_annotations(
    part: PublishedDataset,
    opened: dict[str, FileRows],
    options: BuildOptions,
    exclude: frozenset[str],
    pictures: dict[int, dict],
) -> dict:
    """Writes the shards of one configuration, and adds the pictures of its rows to `pictures`."""
    shards, report = [], {}
    for name, official in part.splits.items():
        rows = opened[official]
        kept = kept_indices(rows, exclude)
        if not kept:
            raise ValueError(
                f"{part.name} {name} has no rows left: all {len(rows)} rows of {rows.file} are on excluded images."
            )
        bounds = shard_bounds(len(kept), options.rows_per_shard)
        shards += [
            Shard(
                shard_path(options.out / part.name, name, number, len(bounds)),
                ReferringBuilder,
                {
                    "config_name": part.name,
                    "data_dir": str(options.raw),
                    "exclude": tuple(sorted(exclude)),
                    "part": (name, start, end),
                    "with_instances": options.with_instances,
                },
                end - start,
            )
            for number, (start, end) in enumerate(bounds)
        ]
        for index in kept:
            record = rows.image_record(index)
            pictures[record["image_id"]] = record
        report[name] = {"official": rows.counts()._asdict(), "excluded_rows": len(rows) - len(kept)} | {
            "notes": dict(rows.notes)
        }
    write_shards(shards, options.out, options.num_proc, part.name)
    for name, files in split_files(options.out / part.name).items():
        figures = statistics(files, f"statistics of {part.name} {name}").figures()
        report[name] |= figures | {"bytes": sum(file.stat().st_size for file in files)}
    return report


def _build_pictures(pictures: dict[int, dict], options: BuildOptions) -> dict:
    records = [pictures[image_id] for image_id in sorted(pictures)]
    # A missing picture is reported now, and not after an hour.
    folder = ImageFolder(options.images)
    for record in records:
        folder.find(record)
    bounds = shard_bounds(len(records), options.pictures_per_shard)
    shards = [
        Shard(
            shard_path(options.out / PICTURES, "pictures", number, len(bounds)),
            PictureBuilder,
            {"config_name": PICTURES, "data_dir": str(options.images), "records": tuple(records[start:end])},
            end - start,
        )
        for number, (start, end) in enumerate(bounds)
    ]
    write_shards(shards, options.out, options.num_proc, "pictures")
    return verify_pictures(options.out / PICTURES, records)
