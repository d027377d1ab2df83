"""Which photo is in which split of the built data set: no photo of an evaluation is trained on.

Photos of COCO are compared by their COCO ids, whatever set they come from. Photos without one are compared by content,
because all of these sets come from Flickr.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..leaks import LeakError
from .collection import Photo, PhotoFile, WrittenRef

TRAIN, HELD_OUT = "train", "held_out"
# The split of the photos of each file of expressions whose own split is "val".
VAL_OF = {"photos/coco_cc": "val", "photos/authored": "val_authored"}
SPLITS = (TRAIN, HELD_OUT, *VAL_OF.values())
HELD_OUT_PERCENT = 8
THUMBNAIL = (16, 16)
# Copies of one photo in two sizes or qualities of JPEG correlate above .99. Of the four million pairs of different
# photos in these sets, the most alike correlate .946.
SAME_PHOTO = 0.96


@dataclass(frozen=True)
class SplitPlan:
    """
    The split of each photo, and the photos that are in none.

    Args:
        split_of: by the id of the photo.
        left_out: photos that an evaluation uses which is no split of this set, or whose content one does.
    """

    split_of: Mapping[int, str]
    left_out: frozenset[int]


def plan_splits(
    photos: Mapping[int, Photo],
    written: Sequence[WrittenRef],
    evaluated: Sequence[PhotoFile],
    progress: bool = True,
) -> SplitPlan:
    """
    Every photo of a val split is in that split only; 8 % of the others that have written expressions are held back from
    training, to choose an epoch by; the rest is trained on.

    Args:
        photos: by their id in the collection.
        evaluated: photos that no split may have, nor a copy of them.

    Raises:
        LeakError: a photo is in the val splits of both files of expressions, or a sentence for training is about one
            of a val split.
    """
    split_of: dict[int, str] = {}
    for ref in written:
        if ref.split != "val":
            continue
        split = VAL_OF[ref.source]
        if split_of.setdefault(ref.image_id, split) != split:
            raise LeakError(f"photo {ref.image_id} is in {split} and in {split_of[ref.image_id]}")
    for ref in written:
        if ref.split == TRAIN and ref.image_id in split_of:
            raise LeakError(
                f"sentences of {ref.source} that are for training are about photo {ref.image_id}, which is in "
                f"{split_of[ref.image_id]}: {[said['sent'] for said in ref.sentences]}"
            )
    coco_ids = {photo.coco_id for photo in evaluated}
    left_out = {image_id for image_id, photo in photos.items() if photo.coco_id in coco_ids}
    held_out = {ref.image_id for ref in written if zlib.crc32(b"%d" % ref.image_id) % 100 < HELD_OUT_PERCENT}
    for image_id in sorted(held_out - split_of.keys()):
        split_of[image_id] = HELD_OUT
    apart = [*(photos[image_id] for image_id in {*split_of, *left_out}), *evaluated]
    others = [photo for image_id, photo in photos.items() if image_id not in split_of and image_id not in left_out]
    left_out |= {copy.image_id for copy, _ in same_photos(others, apart, progress)}
    for photo in others:
        split_of[photo.image_id] = TRAIN
    return SplitPlan(
        {image_id: split for image_id, split in split_of.items() if image_id not in left_out}, frozenset(left_out)
    )


def same_photos(
    photos: Iterable[Photo], apart: Iterable[PhotoFile], progress: bool = False
) -> list[tuple[Photo, PhotoFile]]:
    """Pairs of a photo of `photos` and one of `apart` with the same content, unless both have a COCO id."""
    photos, apart = list(photos), list(apart)
    if not photos or not apart:
        return []
    bar = tqdm([*photos, *apart], "comparing photos", leave=False, disable=not progress)
    prints = np.stack([_thumbnail(photo) for photo in bar])
    likeness = prints[: len(photos)] @ prints[len(photos) :].T
    pairs = [(photos[i], apart[j]) for i, j in zip(*np.nonzero(likeness > SAME_PHOTO), strict=True)]
    return [(ours, theirs) for ours, theirs in pairs if ours.coco_id is None or theirs.coco_id is None]


def _thumbnail(photo: PhotoFile) -> np.ndarray:
    """(256,) float32 of length 1: the photo in 16 x 16 gray pixels, without its brightness and contrast."""
    with Image.open(photo.file) as file:
        file.draft("L", (64, 64))
        small = np.asarray(file.convert("L").resize(THUMBNAIL, Image.Resampling.BOX), dtype=np.float32).ravel()
    small = small - small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def refuse_overlap(photos: Mapping[int, Photo], split_of: Mapping[int, str], evaluated: Collection[int]) -> None:
    """
    Check what was planned, whoever planned it.

    Raises:
        LeakError: two splits share a COCO id, or a photo is one of `evaluated`.
    """
    seen: dict[int, str] = {}
    for image_id, split in split_of.items():
        coco_id = photos[image_id].coco_id
        if coco_id is None:
            continue
        if coco_id in evaluated:
            raise LeakError(f"COCO photo {coco_id} of {split} is in an evaluation; leave it out")
        if seen.setdefault(coco_id, split) != split:
            raise LeakError(f"COCO photo {coco_id} is in {split} and in {seen[coco_id]}; it may be in one of them only")
