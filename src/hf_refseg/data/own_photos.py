"""
A user's own photos with masks, as annotation tools export them: the data of `hf-refseg finetune`.

    RefCOCO's layout    refs.json + instances.json + images/                                 see `refer.py`
    metadata.jsonl      one line per mask                                                    see `triples.py`
    masks/              masks/mug_2.png, its expressions in masks/mug_2.txt, images/mug.jpg  see `mask_files.py`
    COCO JSON           CVAT, Label Studio, Roboflow                                         see `coco_exports.py`
"""

import logging
import re
from pathlib import Path

import numpy as np

from .coco_exports import find_exports, open_exports
from .mask_files import MASKS, MaskFiles, files_of
from .refer import load_refer_folder
from .rows import FileRows, ReferringRows
from .splits import spellings
from .triples import METADATA, load_triples

logger = logging.getLogger(__name__)

LEAST_PHOTOS = 4
COPY = re.compile(r"\.rf\.[0-9A-Za-z]+")  # how Roboflow names the copies that it makes of a photo
LAYOUTS = (
    f"RefCOCO's (refs.json, instances.json, images/), a {METADATA}, {MASKS}/NAME.png beside {MASKS}/NAME.txt, or the "
    "COCO JSON of an annotation tool"
)


def load_own_photos(folder: str | Path, val_share: float = 0.2, seed: int = 0) -> tuple[ReferringRows, ReferringRows]:
    """
    Rows to train on, and rows of other photos to measure by.

    Args:
        folder: in one of the layouts above. Where it has a split `train` and a split `val`, by any of their names, see
            `splits.py`, these are used; others, such as `test`, are left alone, which is logged.
        val_share: otherwise, the share of the photos that is drawn for measuring, at least two.
        seed: of that draw.

    Raises:
        FileNotFoundError: there is no such folder, or a file is missing that another one names.
        ValueError: it is in none of these layouts, a file is damaged, or there are fewer than four photos.
    """
    splits = {split: rows.with_checked_pictures() for split, rows in open_splits(Path(folder)).items()}
    named = {own: next((name for name in spellings(own) if name in splits), None) for own in ("train", "val")}
    train, val = (splits.get(name) for name in named.values())
    if train is None:
        raise ValueError(f"{folder} has the splits {', '.join(splits)}, none of them train: nothing to learn from")
    if alone := [split for split in splits if split not in named.values()]:
        logger.warning("%s: only train and val are read, not %s", folder, ", ".join(alone))
    photos = sorted(set(train.image_ids()))
    if len(photos) + (0 if val is None else len(set(val.image_ids()))) < LEAST_PHOTOS:
        raise ValueError(
            f"{folder} has {len(photos)} photos with masks and expressions; give {LEAST_PHOTOS} or more, better 20"
        )
    return (train, val) if val is not None else draw_photos(train, val_share, seed)


def open_splits(folder: Path) -> dict[str, ReferringRows]:
    """The rows of each split of a folder; those of a layout without splits are "train"."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; give one in a layout of {LAYOUTS}")
    if any(folder.glob("refs*")) and (folder / "instances.json").is_file():
        return splits_of(load_refer_folder(folder))
    if (folder / METADATA).is_file():
        return splits_of(load_triples(folder))
    if (folder / MASKS).is_dir() and files_of(folder / MASKS, ".txt"):
        return {"train": MaskFiles(folder)}
    if exports := find_exports(folder):
        return open_exports(folder, exports)
    raise ValueError(f"{folder} is in no layout that can be read: {LAYOUTS}")


def splits_of(rows: FileRows) -> dict[str, ReferringRows]:
    """The rows of each split that the files name."""
    return {split: rows.of_split(split) for split in rows.splits}


def draw_photos(rows: ReferringRows, share: float, seed: int) -> tuple[ReferringRows, ReferringRows]:
    """
    The rows of most photos, and those of a share of them, at least two. Copies of a photo stay together.

    Raises:
        ValueError: `share` is not between 0 and 1, or leaves no photo.
    """
    of_row = [COPY.sub("", rows.file_name_of(index)) for index in range(len(rows))]
    photos = np.random.default_rng(seed).permutation(sorted(set(of_row)))
    held_out = max(2, round(share * len(photos)))
    if not 0 < share < 1 or held_out >= len(photos):
        raise ValueError(
            f"val_share is {share}: of {len(photos)} photos none would be left to train on or to measure by"
        )
    val = set(photos[:held_out].tolist())
    return (
        rows.select([index for index, photo in enumerate(of_row) if photo not in val]),
        rows.select([index for index, photo in enumerate(of_row) if photo in val]),
    )
