"""The row every dataset of this package yields, and the mask codec it uses.

One row is one referent with all of its sentences:

==============  =========================================================================================
image           PIL image, RGB
image_id        int
file_name       str, name of the image file
height, width   int, size of the image in pixels
ref_id          int
ann_ids         list[int], the annotations the sentences refer to: [] = no target, several = multi-target
category        str, category of the referent; "" if there is no referent, or if several differ
boxes           list of [x0, y0, x1, y1], float pixels, exclusive end, one per entry of ann_ids (PhraseCut: one per
                instance; its ann_ids are Visual Genome's objects, which need not be as many)
mask            COCO RLE {"size": [height, width], "counts": str}: union of the referents, empty for no target
sentences       list of {"sent_id": int, "sent": str, "tokens": list[str]}
split, source   str, e.g. "testA" and "refcoco/unc"
==============  =========================================================================================

Optional fields, for the systems that train on them:

================  =======================================================================================
attributes        list[str], the attributes of the referent that the sentences mention
relations         list of {"predicate": str, "object": str, "object_ann_ids": list[int]} that they mention
phrase_structure  PhraseCut's {"name", "attributes", "relation_descriptions", "type"}
expression_type   "attribute", "location" or "relational": what tells the referent from the other objects; for photos,
                  `data.photos.dialect` has more of them
instances         every annotated object of the image: {"ann_id", "category", "attributes", "box", "mask"}
================  =======================================================================================

Further fields of the official files, which the builders keep (`OFFICIAL_FIELDS`):

================  =======================================================================================
task_id           str, the official id where it is not a number: PhraseCut's task, ReferIt's "<image>_<region>"
coco_id           int, the COCO id of a Visual Genome image; None if the image is not in COCO
relation_ids      list[int], PhraseCut's ids of the relations in its phrase
instance_masks    list of COCO RLE, the mask of every entry of boxes
polygons          float64 [instance][polygon][point][x or y], as PhraseCut's annotators drew them
labeled           list[str], the categories all of whose objects in the image are annotated; of others nothing is known
================  =======================================================================================

RLE strings are lossless, and smaller and faster than the other encodings we tried. Polygons need float64 to be exact.
"""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from ..processing.pairing import check_expression
from .run_lengths import check_rle

REQUIRED_FIELDS = (
    *("image_id", "file_name", "height", "width", "ref_id", "ann_ids", "category", "boxes", "mask", "sentences"),
    *("split", "source"),
)
OPTIONAL_FIELDS = ("attributes", "relations", "phrase_structure", "expression_type", "instances")
OFFICIAL_FIELDS = ("task_id", "coco_id", "relation_ids", "instance_masks", "polygons", "labeled")


class RleMask(dict):
    """The RLE of a row; `np.asarray(row["mask"])` decodes it to an (H, W) bool array. The array is not cached."""

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        mask = decode_mask(self)
        return mask if dtype is None else mask.astype(dtype)

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self["size"])


def row_features(optional: Sequence[str] = ()):
    """`datasets.Features` of a row with the named fields of `OPTIONAL_FIELDS` and `OFFICIAL_FIELDS`.

    Raises:
        ValueError: a name is in neither.
    """
    from datasets import Features, Image, List, Value

    known = OPTIONAL_FIELDS + OFFICIAL_FIELDS
    unknown = sorted(set(optional) - set(known))
    if unknown:
        raise ValueError(f"Unknown optional fields {unknown}; the schema has {list(known)}.")
    box = List(Value("float64"), length=4)
    mask = {"size": List(Value("int32"), length=2), "counts": Value("string")}
    relation = {"predicate": Value("string"), "object": Value("string")}
    extra = {
        "attributes": List(Value("string")),
        "relations": List(relation | {"object_ann_ids": List(Value("int64"))}),
        "phrase_structure": {
            "name": Value("string"),
            "attributes": List(Value("string")),
            "relation_descriptions": List(relation),
            "type": Value("string"),
        },
        "expression_type": Value("string"),
        "instances": List(
            {
                "ann_id": Value("int64"),
                "category": Value("string"),
                "attributes": List(Value("string")),
                "box": box,
                "mask": mask,
            }
        ),
        "task_id": Value("string"),
        "coco_id": Value("int64"),
        "relation_ids": List(Value("int64")),
        "instance_masks": List(mask),
        "polygons": List(List(List(List(Value("float64"), length=2)))),
        "labeled": List(Value("string")),
    }
    core = {
        "image": Image(),
        "image_id": Value("int64"),
        "file_name": Value("string"),
        "height": Value("int32"),
        "width": Value("int32"),
        "ref_id": Value("int64"),
        "ann_ids": List(Value("int64")),
        "category": Value("string"),
        "boxes": List(box),
        "mask": mask,
        "sentences": List({"sent_id": Value("int64"), "sent": Value("string"), "tokens": List(Value("string"))}),
        "split": Value("string"),
        "source": Value("string"),
    }
    return Features(core | {name: extra[name] for name in known if name in optional})


def has_words(sentence: str) -> bool:
    """Whether anything is left of an expression that the originals split into words; of "" and "." nothing is.

    Such a sentence refers to nothing, and no model can answer it: readers leave it out and count it. So they do with
    what no processor reads: half a character, which JSON may hold, and a text as long as a book.
    """
    try:
        check_expression(sentence, 0)
    except ValueError:
        return False
    return sentence.strip() not in ("", ".")


def encode_mask(mask: np.ndarray) -> dict:
    """(H, W) bool, or integers in {0, 1}, to a COCO RLE whose counts are a str (JSON and Parquet take no bytes).

    Raises:
        ValueError: the array is not 2-D, or holds other values.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise ValueError(f"A mask is (H, W), got an array of shape {mask.shape}.")
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise ValueError(f"A mask holds only 0 and 1, got values {mask.min()} to {mask.max()}: threshold it first.")
    return text_rle(coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)))


def decode_mask(rle: dict) -> np.ndarray:
    """COCO RLE to an (H, W) bool array; raises ValueError for a damaged one."""
    return coco_mask.decode(check_rle(rle)).astype(bool)


def union_masks(rles: Sequence[dict], height: int, width: int) -> dict:
    """RLE of the union of the RLEs of one image; an empty mask of the given size if there are none.

    Raises:
        ValueError: a mask has another size than (height, width).
    """
    for rle in rles:
        if list(rle["size"]) != [height, width]:
            raise ValueError(
                f"A mask of {list(rle['size'])} does not fit an image of {[height, width]} (height, width)."
            )
    if not rles:
        return encode_mask(np.zeros((height, width), dtype=bool))
    return text_rle(coco_mask.merge([_bytes_rle(rle) for rle in rles]))


def box_from_mask(mask: np.ndarray | dict) -> list[float] | None:
    """Tightest box [x0, y0, x1, y1] in pixels, exclusive end, of an (H, W) array or an RLE; None if it is empty."""
    rle = mask if isinstance(mask, dict) else encode_mask(mask)
    x, y, width, height = coco_mask.toBbox(_bytes_rle(rle)).tolist()
    return [x, y, x + width, y + height] if width and height else None


def rle_area(rle: dict) -> int:
    """Number of foreground pixels of an RLE."""
    return int(coco_mask.area(_bytes_rle(rle)))


def text_rle(rle: dict) -> dict:
    """pycocotools' RLE (numpy or bytes inside) with plain ints and str, as a row carries it."""
    counts = rle["counts"]
    return {
        "size": [int(side) for side in rle["size"]],
        "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts,
    }


def _bytes_rle(rle: dict) -> dict:
    counts = rle["counts"]
    return {"size": list(rle["size"]), "counts": counts.encode("ascii") if isinstance(counts, str) else counts}
