"""The command line of `dataset_scripts/build_*.py`. Each script calls `main` with its family."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ..catalogue import PublishedDataset, partitions_of


def main(family: str, description: str, arguments: Sequence[str] | None = None) -> int:
    """Builds, and pushes if asked to. Returns the exit status: 0, or 2 after an error, which goes to stderr."""
    options = _parser(family, description).parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        _run(family, options)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _run(family: str, options: argparse.Namespace) -> None:
    from .building import BuildOptions, build
    from .publishing import check_permission

    if options.private and not options.push:
        raise ValueError("--private is an option of --push; give --push USER/NAME as well")
    if options.with_images and options.images is None:
        raise ValueError("--with-images needs --images DIR, the folder of the pictures")
    if options.images is not None and not options.with_images:
        raise ValueError(
            "--images is read by --with-images only; a build without pixels needs no pictures, "
            "hf_refseg.data.load(..., images=DIR) joins them to its rows"
        )
    if options.num_proc < 1:
        raise ValueError(f"--num-proc is {options.num_proc}; it is a number of processes, 1 or more")
    if not options.raw.is_dir():
        raise FileNotFoundError(f"--raw {options.raw} is not a folder; it should hold the official files")
    if options.push:
        # Now, because a build may take hours.
        check_permission(family, options.with_images, options.i_have_permission)
    report = build(
        _parts(family, options),
        BuildOptions(
            raw=options.raw,
            out=options.out,
            images=options.images if options.with_images else None,
            with_instances=options.with_instances,
            exclude_images=options.exclude_images,
            allow_other_counts=options.allow_other_counts,
            num_proc=options.num_proc,
            rows_per_shard=options.rows_per_shard,
        ),
    )
    for name, splits in report["datasets"].items():
        for split, found in splits.items():
            sys.stdout.write(
                f"{name} {split}: {found['images']:,} images, {found['rows']:,} refs, {found['sentences']:,} "
                f"sentences, {found['bytes'] / 1e6:.1f} MB\n"
            )
    sys.stdout.write(f"wrote {options.out}\n")
    if options.push:
        from ...hub.publishing import publish

        asked = {"private": options.private, "have_permission": options.i_have_permission}
        _, url = publish("dataset", options.out, options.push, **asked)
        sys.stdout.write(f"{options.push} is already as the build\n" if url is None else f"pushed to {url}\n")


def _parts(family: str, options: argparse.Namespace) -> list[PublishedDataset]:
    known = partitions_of(family)
    asked = getattr(options, "partition", None)
    if asked:
        return [part for part in known if part.partition in asked]
    if len(known) == 1:
        return known
    folder = known[0].folder(options.raw)
    there = [
        part for part in known if any((folder / f"refs({part.partition}).{end}").is_file() for end in ("p", "json"))
    ]
    if not there:
        names = [f"refs({part.partition}).p" for part in known]
        raise FileNotFoundError(f"{folder} has none of {names}; give the folder they are in as --raw.")
    return there


def _parser(family: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--raw", type=Path, required=True, metavar="DIR", help="folder of the official files, or the one above it")
    add("--out", type=Path, required=True, metavar="DIR", help="new folder of the built data set; run again to resume")
    partitions = [part.partition for part in partitions_of(family) if part.partition]
    if len(partitions) > 1:
        add("--partition", nargs="+", choices=partitions, help="only these; by default all whose file exists")
    add("--images", type=Path, metavar="DIR", help="folder of the pictures, for --with-images")
    add("--with-images", action="store_true", help="store each picture's bytes once, in a configuration `images`")
    add("--with-instances", action="store_true", help="give rows the objects of their image, for MAttNet and its kind")
    add("--exclude-images", type=Path, metavar="FILE", help="leave out rows on these images, one coco:ID per line")
    add(
        "--allow-other-counts",
        action="store_true",
        help="build even if counts differ; the card says so",
    )
    add("--num-proc", type=int, default=1, metavar="N", help="number of processes (%(default)s)")
    add("--rows-per-shard", type=int, default=10_000, metavar="N", help="the most rows per file (%(default)s)")
    add("--push", metavar="USER/NAME", help="upload the result to this dataset repository of the Hub")
    add("--private", action="store_true", help="make that repository private")
    add("--i-have-permission", action="store_true", help="push data without a license that allows it")
    return parser
