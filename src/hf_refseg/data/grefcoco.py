"""Reader of gRefCOCO (Liu et al., GRES, CVPR 2023): `grefs(unc).json` or `.p` beside `instances.json`.

A ref refers to one annotation, several (the mask is their union) or none: `ann_id` is a list, [-1] for no target.
"""

from pathlib import Path

from .image_sources import find_image_folder
from .official_files import shown
from .refer import OFFICIAL_IMAGES, SENTENCE_FIELDS, ReferFolder, find_refs_file, worded
from .schema import union_masks

NO_TARGET = -1


def load_grefcoco_folder(
    path: str | Path,
    split: str | None = None,
    images: str | Path | bool | None = None,
    partition: str | None = None,
    skip_unreadable: bool = False,
) -> "GRefFolder":
    """Read a folder of gRefCOCO. Arguments and errors are those of `load_refer_folder`."""
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder; give one with grefs(unc).json and instances.json.")
    refs_file = find_refs_file(path, "grefs", partition)
    pictures = None if images is False else find_image_folder(images, path, OFFICIAL_IMAGES)
    return GRefFolder(refs_file, path / "instances.json", pictures, split, skip_unreadable)


class GRefFolder(ReferFolder):
    """Rows of gRefCOCO: the mask is the union of `instance_masks`, empty if the expression has no target.

    `category` is "" if there is no target, or if the targets differ. A crowd is decoded like any other annotation; the
    authors' API leaves crowds out.
    """

    def ann_ids(self, ref: dict) -> list[int]:
        where = f"{self.refs_file}, ref_id {ref['ref_id']}"
        ann_ids = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
        if not all(isinstance(ann_id, int) for ann_id in ann_ids):
            raise ValueError(f"{where}: ann_id is {shown(ref['ann_id'])}, expected numbers.")
        if not ann_ids or (NO_TARGET in ann_ids and ann_ids != [NO_TARGET]):
            raise ValueError(f"{where}: ann_id is {ann_ids}; no target is written as [{NO_TARGET}].")
        if len(set(ann_ids)) < len(ann_ids):
            raise ValueError(f"{where}: ann_id {ann_ids} names an annotation twice.")
        return [] if ann_ids == [NO_TARGET] else ann_ids

    def row(self, index: int) -> dict:
        ref, record = self.refs[index], self.image_record(index)
        ann_ids = self.ann_ids(ref)
        masks = [self.coco.mask(ann_id) for ann_id in ann_ids]
        categories = {self.coco.category(ann_id) for ann_id in ann_ids}
        return {
            **record,
            "ref_id": ref["ref_id"],
            "ann_ids": ann_ids,
            "category": categories.pop() if len(categories) == 1 else "",
            "boxes": [self.coco.box(ann_id) for ann_id in ann_ids],
            "mask": union_masks(masks, record["height"], record["width"]),
            "sentences": [{key: s[key] for key in SENTENCE_FIELDS} for s in worded(ref["sentences"])],
            "split": ref["split"],
            "source": self.source,
            "instance_masks": masks,
        }
