"""Finds the evaluation images that a checkpoint has seen in training.

COCO, RefCOCO's family and half of Visual Genome share pictures under several names: a detector trained on COCO
train2014 has seen every image of RefCOCO's test sets, and 574 of its 1,500 validation images are in Visual Genome.
Images are therefore compared by identities, such as "coco:581857", "vg:2317891" or "iapr:38100"; an image may have
several.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from .image_sources import COCO_NAME
from .official_files import read_json, require
from .rows import ReferringRows

NAMESPACE_OF_FAMILY = {"phrasecut": "vg", "referit": "iapr", "refclef": "iapr"}
COCO_FAMILIES = ("refcoco", "refcoco+", "refcocoplus", "refcocog", "grefcoco")
IDENTITY = re.compile(r"[\w-]+:\S+")


class LeakError(ValueError):
    """Training and evaluation share images."""


def image_identities(row: dict) -> frozenset[str]:
    """Every identity of a row's image, such as {"vg:2317891", "coco:7"}; reads source, image_id and file_name only.

    The identity of an image from an unknown source is "my-photos:12". A COCO file name always means COCO.
    """
    family = row["source"].split("/")[0]
    identities = set()
    if number := COCO_NAME.fullmatch(row["file_name"]):
        identities.add(f"coco:{int(number[1])}")
    elif family in COCO_FAMILIES:
        identities.add(f"coco:{row['image_id']}")
    else:
        identities.add(f"{NAMESPACE_OF_FAMILY.get(family, family)}:{row['image_id']}")
    if row.get("coco_id"):
        identities.add(f"coco:{row['coco_id']}")
    return frozenset(identities)


def training_images(source: str | Path | ReferringRows) -> set[str]:
    """The identities of the images that a checkpoint was trained on.

    Args:
        source: rows; or one of these files:
            a COCO file (instances_train2014.json, captions...): the pictures its `images` lists;
            Visual Genome's image_data.json or PhraseCut's image_data_split.json: their ids, and COCO's where known;
            a text file with an identity ("coco:581857") or COCO's name of a file per line.

    Raises:
        FileNotFoundError, ValueError: the file is missing, or is none of these.
    """
    if not isinstance(source, str | Path):
        return {identity for row in _records(source) for identity in image_identities(row)}
    file = Path(source)
    if file.suffix != ".json":
        return read_identities(file)
    if _first_character(file) == "{":
        content = read_json(file, dict)
        require(content, ("images",), str(file))
        return {f"coco:{image['id']}" for image in content["images"]}
    found = set()
    for number, image in enumerate(read_json(file, list)):
        require(image, ("image_id",), f"{file}, image number {number}")
        found.add(f"vg:{image['image_id']}")
        if image.get("coco_id"):
            found.add(f"coco:{image['coco_id']}")
    return found


def seen_images(trained_on: Iterable[str | Path | ReferringRows], evaluated_on: ReferringRows) -> list[dict]:
    """Images of the evaluation rows that a checkpoint has seen, one record each, in the order of the rows.

    Args:
        trained_on: the sources of its training, see `training_images`.
        evaluated_on: the rows of the evaluation; no picture or mask is read.

    Returns:
        List of {"image_id", "file_name", "source", "identities": sorted list, "rows": how many are on this image}.
    """
    trained = set().union(*(training_images(source) for source in trained_on))
    seen: dict[tuple, dict] = {}
    for record in _records(evaluated_on):
        identities = image_identities(record)
        if identities & trained:
            key = (record["source"], record["image_id"])
            names = {name: record[name] for name in ("image_id", "file_name", "source")}
            seen.setdefault(key, names | {"identities": sorted(identities), "rows": 0})["rows"] += 1
    return list(seen.values())


def refuse_leaks(trained_on: Iterable[str | Path | ReferringRows], evaluated_on: ReferringRows) -> None:
    """Raises LeakError if a checkpoint has seen an evaluation image; the message says how many and what to do."""
    seen = seen_images(trained_on, evaluated_on)
    if seen:
        names = ", ".join(record["file_name"] for record in seen[:5])
        raise LeakError(
            f"{len(seen)} evaluation images ({sum(record['rows'] for record in seen)} rows) were trained on: "
            f"{names}{', ...' if len(seen) > 5 else ''}. Build the training data with --exclude-images, or evaluate "
            "on other images, and say so beside the number."
        )


def read_identities(file: str | Path) -> set[str]:
    """Image identities of a text file, one per line; # begins a comment, and COCO's file names are understood.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line is neither; the message gives its number.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; it should list an image per line, such as coco:581857.")
    found = set()
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
        name = line.split("#")[0].strip()
        if not name:
            continue
        if coco := COCO_NAME.fullmatch(name):
            found.add(f"coco:{int(coco[1])}")
        elif IDENTITY.fullmatch(name):
            found.add(name)
        else:
            raise ValueError(
                f"{file}, line {number}: {name!r} is not an image; write coco:581857, vg:2317891, iapr:38100 or "
                "COCO_train2014_000000581857.jpg."
            )
    return found


def _records(rows: ReferringRows) -> Iterator[dict]:
    """What tells the image of every row apart, without a picture or a mask."""
    return ({"source": rows.source_of(index), **rows.image_record(index)} for index in range(len(rows)))


def _first_character(file: Path) -> str:
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; it should list the images a checkpoint was trained on.")
    with open(file, encoding="utf-8-sig", errors="replace") as stream:
        return stream.read(64).lstrip()[:1]
