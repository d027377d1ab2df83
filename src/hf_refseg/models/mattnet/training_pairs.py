"""Batches of MAttNet's training: images with their objects, right pairs, and a wrong region and sentence for each."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ...data.objects import object_boxes
from ...data.row_draws import RowDraws

DESCRIBED = ("crops", "head_maps")  # what is kept of the objects of an image


class MAttNetCollator(RowDraws):
    """
    Turns items of [`hf_refseg.data.image_references.ImageReferences`], or of `KeptReferences`, into a training batch.

    Every reference gives `sentences_per_ref` right pairs, drawn without repetition where it has as many. Each gets a
    wrong region: with probability `same_category_ratio` another object of its category, else one of a different
    category; and by the same rule a sentence of another reference. Where the image has none of the drawn kind, one of
    the other kind is taken, and where it has none at all, one of the batch's other images; a batch of a single object
    pairs it with itself, which trains nothing.

    Two things the original does otherwise: it looks for the last resort in the whole data set, and crops an object it
    finds there, by its box, from the image that lacks one.

    What is random depends on (seed, epoch, source, split, image_id) alone, as in `ReferringSegmentationCollator`; call
    `set_epoch` when an epoch begins.

    Args:
        processor: called with a list of images; its `tokenizer` reads the sentences.
        attribute_labels: `config.attribute_labels`; None for a model without attributes.
        sentences_per_ref, same_category_ratio: published: 3 and 0.3.
        seed: another seed, other draws.

    Returns (on call), for B images with M objects in all and P right pairs: the processor's tensors of the images, or
    region_crops (M, C, S, S) and region_head_maps (M, D, S, S) with original_sizes (B, 2) where these are kept; per
    image region_boxes (R_i, 4) xyxy in pixels of the original image, float64, and region_labels (R_i,), which agree
    where categories do; region_index (3P,) of the M objects: right, wrong, right; input_ids and attention_mask (3P, T):
    right, right, wrong; attribute_labels (P, A).

    Raises:
        ValueError: an empty batch or one without a reference to a single object; a ratio outside [0, 1].
    """

    def __init__(
        self,
        processor: Callable,
        attribute_labels: Sequence[str] | None = None,
        sentences_per_ref: int = 3,
        same_category_ratio: float = 0.3,
        seed: int = 0,
    ):
        if not 0 <= same_category_ratio <= 1:
            raise ValueError(f"same_category_ratio={same_category_ratio} is no probability: give a number in [0, 1]")
        if sentences_per_ref < 1:
            raise ValueError(f"sentences_per_ref={sentences_per_ref}: a reference needs at least one sentence")
        self.processor, self.attribute_labels = processor, attribute_labels
        self.sentences_per_ref, self.same_category_ratio = sentences_per_ref, same_category_ratio
        super().__init__(seed)

    def __call__(self, items: Sequence[dict]) -> dict:
        objects = [(image, instance) for image, item in enumerate(items) for instance in item["instances"]]
        refs = [(image, ref) for image, item in enumerate(items) for ref in item["refs"]]
        if not refs:
            raise ValueError(f"none of the {len(items)} images of the batch has a reference to a single object")
        place = {(image, instance["ann_id"]): row for row, (image, instance) in enumerate(objects)}
        categories = [instance["category"] for _, instance in objects]
        object_images, ref_images = ([image for image, _ in things] for things in (objects, refs))
        right, wrong, sentences, wrong_sentences, labels = [], [], [], [], []
        generators = [self.draws_of(item, "image_id") for item in items]
        for own, (image, ref) in enumerate(refs):
            rng, row = generators[image], place[image, ref["ann_id"]]
            for sentence in self._sentences(ref, rng):
                right.append(row)
                wrong.append(self._other(rng, row, object_images, categories))
                _, other_ref = refs[self._other(rng, own, ref_images, [ref["category"] for _, ref in refs])]
                sentences.append(sentence)
                wrong_sentences.append(other_ref["sentences"][rng.integers(len(other_ref["sentences"]))])
                labels.append([label in ref["attributes"] for label in self.attribute_labels or ()])
        words = self.processor.tokenizer(
            [*sentences, *sentences, *wrong_sentences], padding=True, truncation=True, return_tensors="pt"
        )
        if "crops" in items[0]:  # of `KeptReferences`
            batch = {f"region_{name}": torch.cat([item[name] for item in items]).float() for name in DESCRIBED}
            batch["original_sizes"] = torch.tensor([[item["height"], item["width"]] for item in items])
        else:
            batch = dict(self.processor(images=[item["image"] for item in items], return_tensors="pt"))
        batch |= {"input_ids": words["input_ids"], "attention_mask": words["attention_mask"]}
        batch |= region_lists(items)
        batch["region_index"] = torch.tensor([*right, *wrong, *right])
        if self.attribute_labels:
            batch["attribute_labels"] = torch.tensor(labels, dtype=torch.float32)
        return batch

    def _sentences(self, ref: dict, rng: np.random.Generator) -> list[str]:
        """As many sentences as wanted: different ones, or all and some of them again."""
        sentences, wanted = ref["sentences"], self.sentences_per_ref
        drawn = rng.permutation(len(sentences))[:wanted].tolist()
        drawn += rng.integers(len(sentences), size=wanted - len(drawn)).tolist()
        return [sentences[index] for index in drawn]

    def _other(self, rng: np.random.Generator, own: int, images: list[int], categories: list[str]) -> int:
        """Another of the things that lie in `images` and are of `categories`, by the rule above."""
        here = [other for other in range(len(images)) if other != own and images[other] == images[own]]
        same = [other for other in here if categories[other] == categories[own]]
        different = [other for other in here if categories[other] != categories[own]]
        elsewhere = [other for other in range(len(images)) if images[other] != images[own]]
        first, second = (same, different) if rng.random() < self.same_category_ratio else (different, same)
        choices = first or second or elsewhere or [own]
        return choices[rng.integers(len(choices))]


def region_lists(items: Sequence[dict]) -> dict[str, list[torch.Tensor]]:
    """Per image region_boxes (R_i, 4) xyxy float64 and region_labels (R_i,) of its objects."""
    names = sorted({thing["category"] for item in items for thing in item["instances"]})
    numbers = {name: number for number, name in enumerate(names)}
    labels = [torch.tensor([numbers[thing["category"]] for thing in item["instances"]]) for item in items]
    return {"region_boxes": [object_boxes(item) for item in items], "region_labels": [row.long() for row in labels]}
