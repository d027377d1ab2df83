"""
Photos as the region matcher is trained on them: their regions, found and described once, and what is said about these.

Nothing in the detector is trained, so a photo is only seen as often as it has views: as it is, mirrored, and both again
in other light and a little smaller. A view of 40 regions takes 95 KB.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.ops import box_iou
from tqdm import tqdm

from ...data.augment import swap_left_right
from ...data.crops import change_light
from ...data.objects import object_boxes
from ...data.photos.colors import COLORS
from ...data.row_draws import RowDraws
from ...data.rows import ReferringRows
from ...processing.images import load_image
from ...processing.tokenization import split_words
from ..kept_regions import fingerprint, read_or_describe
from .region_kinds import which_are

COLOR_WORDS = frozenset(COLORS) | {"beige", "dark", "gold", "grey", "light", "silver", "tan", "teal"}
DESCRIBED = ("descriptions", "boxes")  # what is kept of the regions of a view
LIGHT, SMALLEST = 0.3, 0.7  # of the views in other light: change of brightness and colors, and least side


class RegionViews(Sequence):
    """
    Views of the images of rows. An item is a dict of `descriptions` (R, D) float16, `boxes` (R, 4) and `size` (2,) of
    the view; `references`, dicts of `sentences`, `written`, `overlaps` (R,), `number`, `category` and `kinds` (R,), see
    `RegionMatcherForReferringSegmentation.forward`; and `absent`, categories of which there is nothing in the image.

    Args:
        rows: with instances.
        model: whose detector finds the regions, and which describes them.
        image_processor: of the detector.
        num_views: of each image, at most 4.
        written: sources whose sentences are by people, see `hf_refseg.data.schema`; of all rows if empty.
        file: where what was computed is kept; a training that is resumed, or repeated, reads it. None: nowhere.
        seed: of the light.
        num_workers: processes that read pictures while the detector is at work; 0: none.

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
        num_workers: int = 0,
    ):
        self.labels = {name: label for label, name in model.config.detector_config.id2label.items()}
        self.written, self.num_views = set(written), num_views
        self.sentences: dict[str, list[str]] = {}  # written ones, by what they are about
        pictures = ViewPictures(rows, image_processor, num_views, RowDraws(seed))
        regions = self._read(pictures, model, file, num_workers)
        images = rows.without_pictures().with_instances().by_image()
        self.items = []
        for number in tqdm(range(len(images)), "what is said about regions", leave=False):
            of_image = images[number]
            self._collect(of_image)
            self.items += [self._item(of_image, view, regions[number * num_views + view]) for view in range(num_views)]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict:
        return self.items[index]

    def _collect(self, rows: Sequence[dict]) -> None:
        for row in rows:
            # All of them, though "far left" may be true of another photo: without such ones nothing became better.
            if row["ann_ids"] and row["category"] and self._is_written(row):
                self.sentences.setdefault(row["category"], []).extend(one["sent"] for one in row["sentences"])

    def _is_written(self, row: dict) -> bool:
        return not self.written or row["source"] in self.written

    def _item(self, rows: Sequence[dict], view: int, regions: dict[str, torch.Tensor]) -> dict:
        first, mirrored = rows[0], bool(view % 2)
        height, width = first["height"], first["width"]
        objects = object_boxes(first).float()  # (G, 4)
        if mirrored:
            objects = torch.stack([width - objects[:, 2], objects[:, 1], width - objects[:, 0], objects[:, 3]], 1)
        overlaps = box_iou(regions["boxes"], objects)  # (R, G)
        references = [self._reference(row, first, overlaps, mirrored) for row in rows]
        present = {thing["category"] for thing in first["instances"]}
        return {
            **regions,
            "size": torch.tensor([height, width]),
            "references": [reference for reference in references if reference is not None],
            "absent": [name for name in first.get("labeled") or () if name not in present],
            "view": view,
            **{name: first[name] for name in ("source", "split", "image_id")},
        }

    def _reference(self, row: dict, first: dict, overlaps: torch.Tensor, mirrored: bool) -> dict | None:
        """What is said by one row, about the regions of a view; None where it says nothing."""
        sentences = [sentence["sent"] for sentence in row["sentences"] if sentence["sent"].strip()]
        places = {thing["ann_id"]: place for place, thing in enumerate(first["instances"])}
        if not sentences or not places.keys() >= set(row["ann_ids"]):  # a crowd is no instance
            return None
        meant = [places[ann_id] for ann_id in row["ann_ids"]]
        names = [thing["category"] for thing in first["instances"]]
        categories = {names[place] for place in meant}
        category = categories.pop() if len(categories) == 1 else row["category"]
        is_listed = category in (first.get("labeled") or ())
        return {
            "sentences": [swap_left_right(sentence) for sentence in sentences] if mirrored else sentences,
            "written": self._is_written(row),
            "overlaps": overlaps[:, meant].amax(1) if meant else torch.zeros(len(overlaps)),
            "number": len(meant),
            "category": self.labels.get(category, -1),
            "kinds": which_are(overlaps, [name == category for name in names], is_listed),
        }

    def worth_reading(self) -> Sequence[dict]:
        """The views of images about which something is said; the others serve a detector only."""
        return Subset(self, [index for index, item in enumerate(self.items) if item["references"]])

    # ---- Regions, found and described once ----

    def _read(self, pictures: "ViewPictures", model, file: str | Path | None, num_workers: int) -> list[dict]:
        def describe() -> list[dict]:
            loader = DataLoader(pictures, batch_size=None, num_workers=num_workers)
            return [describe_view(model, inputs) for inputs in tqdm(loader, "regions of photos", leave=False)]

        return read_or_describe(file, pictures.key(model), DESCRIBED, describe)


class ViewPictures(Dataset):
    """
    The pictures of views, as the detector takes them: a dict of the image processor's tensors of one image. Arguments
    as of [`RegionViews`].
    """

    def __init__(self, rows: ReferringRows, image_processor, num_views: int, draws: RowDraws):
        first_rows: dict[int, int] = {}
        for index, image_id in enumerate(rows.image_ids()):
            first_rows.setdefault(image_id, index)
        self.rows, self.numbers = rows, list(first_rows.values())
        self.image_processor, self.num_views, self.draws = image_processor, num_views, draws

    def __len__(self) -> int:
        return len(self.numbers) * self.num_views

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        number, view = divmod(index, self.num_views)
        row = self.rows[self.numbers[number]]
        image = view_of(load_image(row["image"], upright=False), view, self.draws.draws_of(row, "image_id"))
        inputs = dict(self.image_processor([image], return_tensors="pt"))
        return {**inputs, "photo_size": torch.tensor([[row["height"], row["width"]]])}

    def key(self, model) -> str:
        """A fingerprint of everything that the regions and what is known of them depend on."""
        described = [*model.color_settings, model.matching.description_size]
        settings = [self.num_views, self.draws.seed, self.image_processor.to_dict(), described]
        return fingerprint(settings, map(self.rows.image_record, self.numbers), model.detector)


@torch.no_grad()
def describe_view(model, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The regions of one of the [`ViewPictures`], in pixels of the photo, and what is known of them."""
    inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    seen = model.detector.get_image_features(**inputs)
    regions = model.detector.detect(seen, at_least_one=True)
    descriptions, _ = model.describe(inputs["pixel_values"], seen, regions)
    # a view may be smaller than its photo, in whose pixels the objects are
    scale = (inputs["photo_size"] / seen.geometry.original_sizes).flip(1).repeat(1, 2)  # (1, 2) -> (1, 4)
    return {"descriptions": descriptions.half().cpu(), "boxes": (regions.boxes.float() * scale).cpu()}


def view_of(image: Image.Image, view: int, rng: np.random.Generator) -> Image.Image:
    """View 0 is the photo, 1 is mirrored, 2 and 3 are the same in other light and smaller."""
    if view % 2:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if view >= 2:
        image = change_light(image, rng, LIGHT)
        share = rng.uniform(SMALLEST, 1)
        # half of what is lost is padding again: the processor would enlarge a smaller photo to the same size
        image = image.resize([max(32, round(side * share)) for side in image.size], Image.Resampling.BILINEAR)
    return image


class RegionViewCollator(RowDraws):
    """
    Turns items of [`RegionViews`] into a training batch.

    Args:
        tokenizer: reads the sentences.
        expressions_per_view: sentences drawn of each view, each of a reference drawn at random.
        written_share: how many of them are drawn among written ones, where a view has both.
        absent_share: how many of them are instead about a category of which there is nothing in the image: what was
            written about another image, or the bare name.
        sentences: what was written, by category.
        seed: of the draws, which depend on (seed, epoch, image, view) alone.

    Returns (on call), for B views and N sentences: region_descriptions (B, R, D), region_boxes (B, R, 4),
    region_counts (B,), original_sizes (B, 2), input_ids and attention_mask (N, T), image_index (N,), and the targets
    target_overlaps (N, R), target_numbers (N,), target_categories (N,), region_kinds (N, R), names_color (N,).

    Raises:
        ValueError: none of the views of a batch has a reference.
    """

    def __init__(
        self,
        tokenizer,
        expressions_per_view: int = 8,
        written_share: float = 0.7,
        absent_share: float = 0.0,
        sentences: Mapping[str, Sequence[str]] | None = None,
        seed: int = 0,
    ):
        super().__init__(seed)
        self.tokenizer, self.sentences = tokenizer, sentences or {}
        self.expressions_per_view = expressions_per_view
        self.written_share, self.absent_share = written_share, absent_share

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
            "names_color": torch.tensor(
                [not COLOR_WORDS.isdisjoint(split_words(self.tokenizer, sentence)) for sentence in sentences]
            ),
        }

    def _draw(self, item: dict) -> list[tuple[str, dict]]:
        """Sentences about one view, each with its reference."""
        rng = self.draws_of({**item, "image_id": item["image_id"] * 4 + item["view"]}, "image_id")
        groups = [[r for r in item["references"] if r["written"] == written] for written in (True, False)]
        absent = item["absent"]
        chosen = []
        for _ in range(self.expressions_per_view if item["references"] else 0):
            written, made = groups
            if absent and rng.random() < self.absent_share:
                name, reference = absent[rng.integers(len(absent))], absent_thing(len(item["boxes"]))
                sentences = self.sentences.get(name, ()) if rng.random() < 0.5 else ()
                sentences = sentences or (f"the {name}", name)
            else:
                group = written if written and (not made or rng.random() < self.written_share) else made
                reference = group[rng.integers(len(group))]
                sentences = reference["sentences"]
            chosen.append((sentences[rng.integers(len(sentences))], reference))
        return chosen


def absent_thing(num_regions: int) -> dict:
    """The reference of a sentence about a thing that is not there."""
    kinds = torch.zeros(num_regions, dtype=torch.int8)
    return {"overlaps": torch.zeros(num_regions), "number": 0, "category": -1, "kinds": kinds}


__all__ = ["RegionViewCollator", "RegionViews"]
