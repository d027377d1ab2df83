"""What the second training reads: whole photos, mirrored or not, each with some of the expressions about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.utils.data import IterableDataset

from hf_refseg.data import ReferringRows
from hf_refseg.data.augment import flip_row, swap_left_right
from hf_refseg.data.crops import LIGHT, change_light
from hf_refseg.data.photos.collection import MADE
from hf_refseg.data.schema import decode_mask


@dataclass(frozen=True)
class Drawing:
    """
    How many of which expressions are drawn for a photo.

    Args:
        written: at most.
        made: of those made from its masks, at most; more than a third of them ask for what is not there.
        borrowed: written about a thing of another photo whose category is not in this one.
        repeated: sources of written expressions whose photos an epoch shows `repeats` times.
    """

    written: int = 6
    made: int = 2
    borrowed: int = 1
    repeated: Sequence[str] = ("photos/coco_cc",)
    repeats: int = 3


class WrittenPhotos:
    """The photos that something was written about, and what can be asked about them."""

    def __init__(self, rows: ReferringRows, drawing: Drawing):
        self.rows, self.drawing = rows, drawing
        self.is_written = np.array([rows.source_of(index) != MADE for index in range(len(rows))])
        of_photo: dict[int, list[int]] = {}
        for index, image_id in enumerate(rows.image_ids()):
            of_photo.setdefault(image_id, []).append(index)
        self.of_photo = {photo: np.array(own) for photo, own in of_photo.items() if self.is_written[own].any()}
        self.lent = [
            (text, rows.row(index)["category"])
            for index in np.nonzero(self.is_written)[0].tolist()
            for text in rows.sentences_of(index)
        ]

    def photos(self, rng: np.random.Generator) -> list[int]:
        """The photos of an epoch, in their order."""
        repeated = [
            photo
            for photo, own in self.of_photo.items()
            if any(self.rows.source_of(index) in self.drawing.repeated for index in own.tolist())
        ]
        return rng.permutation([*self.of_photo, *repeated * (self.drawing.repeats - 1)]).tolist()

    def view(self, photo: int, rng: np.random.Generator) -> tuple[Image.Image, list[tuple[str, np.ndarray]]]:
        """The photo as it is seen, and (expression, (H, W) bool mask) pairs about it."""
        own = self.of_photo[photo]
        first = {**self.rows.row(int(own[0])), "image": self.rows.picture(int(own[0]))}
        asked = [
            *self._draw(own[self.is_written[own]], self.drawing.written, rng),
            *self._draw(own[~self.is_written[own]], self.drawing.made, rng),
        ]
        absent = set(first["labeled"]) - {thing["category"] for thing in first["instances"]}
        empty = np.zeros((first["height"], first["width"]), dtype=bool)
        for _ in range(self.drawing.borrowed):
            text, category = self.lent[rng.integers(len(self.lent))]
            if category in absent:
                asked.append((text, empty))
        if rng.random() < 0.5:
            first = flip_row(first)
            asked = [(swap_left_right(text), mask[:, ::-1]) for text, mask in asked]
        return change_light(first["image"], rng, LIGHT), asked

    def _draw(self, indices: np.ndarray, count: int, rng: np.random.Generator) -> list[tuple[str, np.ndarray]]:
        """Up to `count` expressions of different rows; several of a row where there are fewer rows."""
        rows = [self.rows.row(int(index)) for index in rng.permutation(indices)[:count]]
        each = -(-count // max(len(rows), 1))
        texts = [(sentence["sent"], row) for row in rows for sentence in rng.permutation(row["sentences"])[:each]]
        return [(text, decode_mask(row["mask"])) for text, row in texts[:count]]


class Epoch(IterableDataset):
    """
    The batches of one epoch, made by a process beside the training.

    Args:
        photos_per_step: how many photos share a batch.
        unknown_words: probability that a word is replaced by the unknown one.
        rng: what is drawn depends on it alone.
    """

    def __init__(self, photos: WrittenPhotos, processor, photos_per_step: int, unknown_words: float, rng):
        self.photos, self.processor, self.photos_per_step = photos, processor, photos_per_step
        self.unknown_words, self.rng = unknown_words, rng

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        order = self.photos.photos(self.rng)
        for start in range(0, len(order) - self.photos_per_step + 1, self.photos_per_step):
            views = [self.photos.view(photo, self.rng) for photo in order[start : start + self.photos_per_step]]
            inputs = self.processor(
                images=[image for image, _ in views],
                text=[[text for text, _ in asked] for _, asked in views],
                segmentation_maps=[mask for _, asked in views for _, mask in asked],
            )
            forgotten = torch.from_numpy(self.rng.random(inputs["input_ids"].shape) < self.unknown_words)
            inputs["input_ids"][forgotten & inputs["attention_mask"].bool()] = self.processor.tokenizer.unk_token_id
            yield dict(inputs)
