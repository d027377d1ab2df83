"""
Photos as the region matcher is trained on them: their regions, found and described once, and what is said about these.

Nothing in the detector is trained, so a photo is only seen as often as it has views: as it is, mirrored, and both again
in other light and a little smaller. A view of 40 regions takes 45 KB.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance
from safetensors import safe_open
from safetensors.torch import save_file
from torch.utils.data import Subset
from torchvision.ops import box_iou
from tqdm import tqdm
from transformers.utils import logging

from ...data.augment import swap_left_right
from ...data.objects import object_boxes
from ...data.row_draws import RowDraws
from ...data.rows import ReferringRows
from ...processing.images import load_image

logger = logging.get_logger(__name__)

SAME_THING = 0.5  # IoU from which on a region is taken for an annotated object
LIGHT, SMALLEST = 0.3, 0.7  # of the views in other light: change of brightness and colors, and least side


class RegionViews(Sequence):
    """
    Views of the images of rows. An item is a dict of `descriptions` (R, D) float16, `boxes` (R, 4) and `size` (2,) of
    the view, and `references`, dicts of `sentences`, `written`, `overlaps` (R,), `number`, `category` and `kinds` (R,),
    see `RegionMatcherForReferringSegmentation.forward`.

    Args:
        rows: with instances.
        model: whose detector finds the regions, and which describes them.
        image_processor: of the detector.
        num_views: of each image, at most 4.
        written: sources whose sentences are by people, see `hf_refseg.data.schema`; of all rows if empty.
        file: where what was computed is kept; a training that is resumed, or repeated, reads it. None: nowhere.
        seed: of the light.

    Raises:
        ValueError: rows without instances.
    """

    def __init__(
        self,
        rows: ReferringRows,
        model,
        image_processor,
        num_views: int = 4,
        written: Sequence[str] = (),
        file: str | Path | None = None,
        seed: int = 0,
    ):
        self.labels = {name: label for label, name in model.config.detector_config.id2label.items()}
        self.written, self.num_views, self.draws = set(written), num_views, RowDraws(seed)
        self.images = rows.without_pictures().with_instances().by_image()
        self._with_pictures = rows.by_image()
        self.regions = self._read(model, image_processor, file)

    def __len__(self) -> int:
        return len(self.images) * self.num_views

    def __getitem__(self, index: int) -> dict:
        number, view = divmod(index, self.num_views)
        rows = self.images[number]
        mirrored, size = bool(view % 2), [rows[0]["height"], rows[0]["width"]]
        objects = object_boxes(rows[0]).float()  # (G, 4)
        if mirrored:
            objects = torch.stack([size[1] - objects[:, 2], objects[:, 1], size[1] - objects[:, 0], objects[:, 3]], 1)
        regions = self.regions[index]
        overlaps = box_iou(regions["boxes"], objects)  # (R, G)
        references = [
            reference for row in rows if (reference := self._reference(row, rows[0], overlaps, mirrored)) is not None
        ]
        draws = {name: rows[0][name] for name in ("source", "split", "image_id")}
        return {**regions, "size": torch.tensor(size), "references": references, "view": view, **draws}

    def _reference(self, row: dict, first: dict, overlaps: torch.Tensor, mirrored: bool) -> dict | None:
        """What is said by one row, about the regions of a view; None where it says nothing."""
        sentences = [sentence["sent"] for sentence in row["sentences"] if sentence["sent"].strip()]
        if not sentences:
            return None
        ids = {thing["ann_id"]: place for place, thing in enumerate(first["instances"])}
        meant = [ids[ann_id] for ann_id in row["ann_ids"] if ann_id in ids]
        if len(meant) < len(row["ann_ids"]):
            return None  # a crowd, which is no instance
        names = [thing["category"] for thing in first["instances"]]
        categories = {names[place] for place in meant}
        category = categories.pop() if len(categories) == 1 else row["category"]
        kinds = torch.full((len(overlaps),), -1, dtype=torch.int8)
        if category in names and len(overlaps):
            value, best = overlaps.max(1)
            of_kind = torch.tensor([name == category for name in names])
            kinds = torch.where(value >= SAME_THING, of_kind[best], torch.tensor(-1)).to(torch.int8)
        return {
            "sentences": [swap_left_right(sentence) for sentence in sentences] if mirrored else sentences,
            "written": not self.written or row["source"] in self.written,
            "overlaps": overlaps[:, meant].amax(1) if meant else torch.zeros(len(overlaps)),
            "number": len(meant),
            "category": self.labels.get(category, -1),
            "kinds": kinds,
        }

    def worth_reading(self) -> Sequence[dict]:
        """The views of images about which something is said; the others serve a detector only."""
        said = [number for number, rows in enumerate(self.images) if any(row["sentences"] for row in rows)]
        return Subset(self, [number * self.num_views + view for number in said for view in range(self.num_views)])

    # ---- Regions, found and described once ----

    def _read(self, model, image_processor, file: str | Path | None) -> list[dict[str, torch.Tensor]]:
        key = self._key(model, image_processor)
        if file is not None and Path(file).is_file():
            with safe_open(file, "pt") as kept:
                if (kept.metadata() or {}).get("key") == key:
                    return unpack({name: kept.get_tensor(name) for name in kept.keys()})  # noqa: SIM118
            logger.warning(f"{file} holds the regions of other photos or of another detector: they are found again")
        regions = [
            self._describe(model, image_processor, index)
            for index in tqdm(range(len(self)), "regions of photos", leave=False)
        ]
        if file is not None:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            save_file(pack(regions), file, metadata={"key": key})
        return regions

    def _key(self, model, image_processor) -> str:
        """A fingerprint of everything that the regions depend on."""
        text = hashlib.sha256(json.dumps([self.num_views, self.draws.seed, image_processor.to_dict()]).encode())
        for rows in self._with_pictures._indices:
            record = self._with_pictures.rows.image_record(rows[0])
            text.update(f"{record['image_id']} {record['file_name']}".encode())
        for name, tensor in model.detector.state_dict().items():
            text.update(f"{name} {tensor.double().sum().item():.6g} {tensor.double().abs().sum().item():.6g}".encode())
        return text.hexdigest()

    @torch.no_grad()
    def _describe(self, model, image_processor, index: int) -> dict[str, torch.Tensor]:
        number, view = divmod(index, self.num_views)
        row = self._with_pictures[number][0]
        image = view_of(load_image(row["image"], upright=False), view, self.draws.draws_of(row, "image_id"))
        inputs = image_processor([image], return_tensors="pt").to(model.device)
        seen = model.detector.get_image_features(**inputs)
        regions = model.detector.detect(seen, at_least_one=True)
        descriptions, _ = model.describe(inputs["pixel_values"], seen, regions)
        # a view may be smaller than its photo, in whose pixels the objects are
        scale = torch.tensor([row["width"] / image.width, row["height"] / image.height] * 2)
        return {"descriptions": descriptions.half().cpu(), "boxes": regions.boxes.float().cpu() * scale}


def view_of(image: Image.Image, view: int, rng: np.random.Generator) -> Image.Image:
    """View 0 is the photo, 1 is mirrored, 2 and 3 are the same in other light and smaller."""
    if view % 2:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if view >= 2:
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhance(image).enhance(rng.uniform(1 - LIGHT, 1 + LIGHT))
        share = rng.uniform(SMALLEST, 1)
        # half of what is lost is padding again: the processor would enlarge a smaller photo to the same size
        image = image.resize([max(32, round(side * share)) for side in image.size], Image.Resampling.BILINEAR)
    return image


def pack(regions: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The tensors of all views, one after the other, and how many regions each has."""
    counts = torch.tensor([len(of_view["boxes"]) for of_view in regions])
    return {
        "counts": counts,
        **{name: torch.cat([view[name] for view in regions]) for name in ("descriptions", "boxes")},
    }


def unpack(packed: Mapping[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """What `pack` did, undone."""
    counts = packed["counts"].tolist()
    columns = (packed[name].split(counts) for name in ("descriptions", "boxes"))
    return [{"descriptions": d, "boxes": b} for d, b in zip(*columns, strict=True)]


class RegionViewCollator(RowDraws):
    """
    Turns items of [`RegionViews`] into a training batch.

    Args:
        tokenizer: reads the sentences.
        expressions_per_view: sentences drawn of each view, each of a reference drawn at random.
        written_share: how many of them are drawn among written ones, where a view has both.
        seed: of the draws, which depend on (seed, epoch, image, view) alone.

    Returns (on call), for B views and N sentences: region_descriptions (B, R, D), region_boxes (B, R, 4),
    region_counts (B,), original_sizes (B, 2), input_ids and attention_mask (N, T), image_index (N,), and the targets
    target_overlaps (N, R), target_numbers (N,), target_categories (N,), region_kinds (N, R).

    Raises:
        ValueError: none of the views of a batch has a reference.
    """

    def __init__(self, tokenizer, expressions_per_view: int = 10, written_share: float = 0.7, seed: int = 0):
        super().__init__(seed)
        self.tokenizer = tokenizer
        self.expressions_per_view, self.written_share = expressions_per_view, written_share

    def __call__(self, items: Sequence[dict]) -> dict[str, torch.Tensor]:
        drawn = [(image, *choice) for image, item in enumerate(items) for choice in self._draw(item)]
        if not drawn:
            raise ValueError(f"nothing is said about any of the {len(items)} views of the batch")
        sizes = [len(item["boxes"]) for item in items]
        most = max(sizes)
        image_index, sentences, references = zip(*drawn, strict=True)
        words = self.tokenizer(
            list(sentences), padding=True, truncation=True, add_special_tokens=False, return_tensors="pt"
        )

        def padded(values: Sequence[torch.Tensor], fill: float = 0) -> torch.Tensor:
            shape = (0, 0) * (values[0].ndim - 1)
            return torch.stack(
                [torch.nn.functional.pad(one, (*shape, 0, most - len(one)), value=fill) for one in values]
            )

        return {
            "region_descriptions": padded([item["descriptions"].float() for item in items]),
            "region_boxes": padded([item["boxes"] for item in items]),
            "region_counts": torch.tensor(sizes),
            "original_sizes": torch.stack([item["size"] for item in items]),
            "input_ids": words["input_ids"],
            "attention_mask": words["attention_mask"],
            "image_index": torch.tensor(image_index),
            "target_overlaps": padded([reference["overlaps"] for reference in references]),
            "target_numbers": torch.tensor([reference["number"] for reference in references]),
            "target_categories": torch.tensor([reference["category"] for reference in references]),
            "region_kinds": padded([reference["kinds"] for reference in references], -1),
        }

    def _draw(self, item: dict) -> list[tuple[str, dict]]:
        """Sentences about one view, each with its reference."""
        rng = self.draws_of({**item, "image_id": item["image_id"] * 4 + item["view"]}, "image_id")
        groups = [[r for r in item["references"] if r["written"] == written] for written in (True, False)]
        chosen = []
        for _ in range(self.expressions_per_view if item["references"] else 0):
            written, made = groups
            group = written if written and (not made or rng.random() < self.written_share) else made
            reference = group[rng.integers(len(group))]
            chosen.append((reference["sentences"][rng.integers(len(reference["sentences"]))], reference))
        return chosen


__all__ = ["RegionViewCollator", "RegionViews"]
