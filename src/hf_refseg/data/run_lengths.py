"""Checks COCO's run lengths: pycocotools decodes a damaged string to a wrong mask, or crashes the process."""

from collections.abc import Mapping
from numbers import Integral

import numpy as np

from ..mask_values import as_array

MOST_PIXELS = 1 << 28  # larger masks crash pycocotools, or take minutes
# A run-length string has five bits of a number per character, and one that says whether more follow (pycocotools).
RLE_FIRST, RLE_BITS, RLE_MORE, RLE_SIGN = 48, 5, 0x20, 0x10


def check_rle(rle: dict) -> dict:
    """A COCO RLE (counts as str, bytes or list) in compressed form.

    Raises:
        ValueError: it is not a dict of size and counts, is larger than any picture, or its runs do not fill the size
            (as when a string was cut off) or are not numbers.
    """
    from pycocotools import mask as coco_mask

    if not isinstance(rle, Mapping) or not {"size", "counts"} <= rle.keys():
        given = sorted(map(str, rle)) if isinstance(rle, Mapping) else type(rle).__name__
        raise ValueError(f"an RLE is a dict of size and counts, got {given}")
    height, width = checked_size(rle["size"], "the size of an RLE")
    counts = rle["counts"]
    if not isinstance(counts, (str, bytes, list, np.ndarray)):
        raise ValueError(f"the counts of an RLE are a {type(counts).__name__}; they are a string or a list of numbers")
    if isinstance(counts, (str, bytes)):
        runs = run_lengths(counts)
    else:
        runs = as_array(counts, "the runs of an RLE") if len(counts) else np.zeros(0, int)
    if runs.ndim != 1 or runs.dtype.kind not in "iu" or (runs < 0).any():
        raise ValueError(
            f"the runs of an RLE are {str(counts)[:40]}; they are whole numbers, none below 0: it is damaged or cut off"
        )
    if runs.sum() != height * width:
        raise ValueError(
            f"an RLE of size [{height}, {width}] whose runs hold {int(runs.sum())} pixels instead of {height * width}: "
            "it is damaged or cut off; encode the mask again"
        )
    if isinstance(counts, (list, np.ndarray)):
        return coco_mask.frPyObjects({"size": [height, width], "counts": [int(run) for run in counts]}, height, width)
    return {"size": [height, width], "counts": counts.encode("ascii") if isinstance(counts, str) else counts}


def checked_size(size, name: str) -> tuple[int, int]:
    """(height, width); raises ValueError, which calls it by its `name`, for what is no size of a picture."""
    sides = size.tolist() if isinstance(size, np.ndarray) else size
    whole = isinstance(sides, (list, tuple)) and len(sides) == 2 and all(isinstance(side, Integral) for side in sides)
    if not whole or min(sides) < 0 or sides[0] * sides[1] > MOST_PIXELS:
        raise ValueError(f"{name} is {str(size)[:60]}; give [height, width], {MOST_PIXELS:,} pixels in all at most")
    return int(sides[0]), int(sides[1])


def run_lengths(counts: str | bytes) -> np.ndarray:
    """The runs (R,) int64 of a compressed RLE, background first.

    Raises:
        ValueError: the string ends inside a number, or has a character that no RLE has.
    """
    data = counts.encode("ascii", errors="replace") if isinstance(counts, str) else counts
    characters = np.frombuffer(data, np.uint8)
    codes = characters.astype(np.int64) - RLE_FIRST
    if ((codes < 0) | (codes >= 64)).any() or (len(codes) and codes[-1] & RLE_MORE):
        raise ValueError(f"{counts[-20:]!r} is not the end of a run-length string: it is damaged or cut off")
    last = (codes & RLE_MORE) == 0
    ends = np.flatnonzero(last)
    starts = np.append(0, ends[:-1] + 1)[: len(ends)]
    place = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)  # index of the character within its number
    values = np.add.reduceat((codes & 0x1F) << (RLE_BITS * place), starts) if len(ends) else codes
    values -= np.where(codes[ends] & RLE_SIGN, 1 << (RLE_BITS * (place[ends] + 1)), 0)
    # from the fourth on, a run is stored as its difference from the run two places before
    runs = values.copy()
    runs[1::2] = np.cumsum(values[1::2])
    runs[2::2] = np.cumsum(values[2::2])
    return runs
