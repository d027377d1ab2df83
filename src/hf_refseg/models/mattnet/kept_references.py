"""References of MAttNet's training whose objects the frozen detector has seen before, as in the original's training."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from ...data.image_references import ImageReferences
from ..kept_regions import fingerprint, read_or_describe
from .training_pairs import DESCRIBED, region_lists


class KeptReferences(Sequence):
    """
    Items of [`ImageReferences`] without their image. Instead they have what the detector says of their objects: `crops`
    (R, C, S, S) and `head_maps` (R, D, S, S), both float16.

    The detector is never trained and the images are not changed, so each is looked at once. A region of the published
    sizes takes 300 KB, one of refseg-shapes-mattnet 38 KB.

    Args:
        references: of which the images are described.
        model: whose detector describes them.
        image_processor: of the detector.
        file: where the descriptions are kept.
    """

    def __init__(self, references: ImageReferences, model, image_processor, file: str | Path):
        def describe() -> list[dict[str, torch.Tensor]]:
            images = tqdm(range(len(references)), "objects of images")
            return [describe_objects(model, image_processor, references[number]) for number in images]

        records = map(references.rows.image_record, range(len(references.rows)))
        key = fingerprint(image_processor.to_dict(), records, model.detector)
        self.described = read_or_describe(file, key, DESCRIBED, describe)
        self.references = ImageReferences(references.rows.without_pictures(), references.attributes)

    def __len__(self) -> int:
        return len(self.references)

    def __getitem__(self, index: int) -> dict:
        return self.references[index] | self.described[index]


@torch.no_grad()
def describe_objects(model, image_processor, item: dict) -> dict[str, torch.Tensor]:
    """The crops and maps of the annotated objects of one image."""
    inputs = image_processor([item["image"]], return_tensors="pt").to(model.device)
    features = model.detector.get_image_features(**inputs)
    _, *described = model.detector.find_regions(features, **region_lists([item]))
    return {name: maps.half().cpu().contiguous() for name, maps in zip(DESCRIBED, described, strict=True)}


__all__ = ["KeptReferences"]
