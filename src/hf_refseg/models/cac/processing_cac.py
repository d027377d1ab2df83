"""Processor of CAC (Chen et al., BMVC 2019)."""

from collections.abc import Sequence

import torch
from transformers import BatchFeature

from ...layers.image_geometry import exclusive_to_inclusive, inclusive_to_exclusive
from ..mattnet.processing_mattnet import MAttNetProcessor


class CacProcessor(MAttNetProcessor):
    """Images, words and masks as MAttNet has them, whose code CAC is built on; and the objects that it is trained on.

    Args:
        image_processor, tokenizer, dense_crf: see [`ReferringSegmentationProcessor`].
        categories: names of the detector's categories in the order of its labels, by which the rows of a data set are
            labeled; None: it is not for training.
    """

    target_names = ("segmentation_maps", "boxes", "class_labels")

    def __init__(
        self,
        image_processor=None,
        tokenizer=None,
        dense_crf: dict | None = None,
        categories: Sequence[str] | None = None,
    ):
        super().__init__(image_processor, tokenizer, dense_crf)
        self.categories = None if categories is None else list(categories)

    def row_inputs(self, row: dict) -> dict:
        """As of [`ReferringSegmentationProcessor`], and for each sentence `boxes` and `class_labels`, those of the one
        object that the row refers to."""
        inputs = super().row_inputs(row)
        number = len(inputs["text"])
        box = row["boxes"][0] if len(row["boxes"]) == 1 else None
        known = row["category"] in (self.categories or ())
        label = self.categories.index(row["category"]) if known else None
        return inputs | {"boxes": [box] * number, "class_labels": [label] * number}

    def __call__(
        self,
        images=None,
        text: str | list[str] | list[list[str]] | None = None,
        segmentation_maps=None,
        allow_unknown: bool | None = None,
        boxes: Sequence[Sequence[float]] | None = None,
        class_labels: Sequence[int] | None = None,
        **kwargs,
    ) -> BatchFeature:
        """Makes the model inputs of N expressions on B images.

        Args:
            images, text, segmentation_maps, allow_unknown, kwargs: see [`ReferringSegmentationProcessor`].
            boxes: to train, the box of each expression's object, xyxy in pixels of its image, x2 and y2 outside.
            class_labels: to train, its category, a key of the detector's `id2label`.

        Returns what [`ReferringSegmentationProcessor`] returns, and, to train, `box_labels (N, 4)` in pixels of the
            network's input and `class_labels (N,)`.

        Raises ValueError as that does, and where only some of masks, boxes and categories are given, or another number
            of them than of expressions, or None for one of them: a row refers to several objects, or to one of a
            category that the processor does not have.
        """
        data = super().__call__(images, text, segmentation_maps, allow_unknown, **kwargs)
        if boxes is None and class_labels is None:
            return data
        if segmentation_maps is None or boxes is None or class_labels is None:
            raise ValueError("a training step needs segmentation_maps, boxes and class_labels: give all three")
        number = len(data["input_ids"])
        for name, values in (("boxes", boxes), ("class_labels", class_labels)):
            if len(values) != number:
                raise ValueError(f"{len(values)} {name} for {number} expressions; give one per expression")
            if any(value is None for value in values):
                raise ValueError(
                    f"{name}[{list(values).index(None)}] is None: CAC is trained on expressions that refer to one "
                    f"object, of one of the categories {self.categories}; leave other rows out"
                )
        tensors = {name: torch.as_tensor(data[name]) for name in ("image_scales", "image_index")}
        scales = tensors["image_scales"][tensors["image_index"]]  # (B,) -> (N,)
        # scaled with the second corner inside the box, as the original does
        corners = exclusive_to_inclusive(torch.as_tensor(boxes, dtype=torch.float32)) * scales[:, None]
        targets = {"box_labels": inclusive_to_exclusive(corners), "class_labels": torch.as_tensor(class_labels)}
        data.update(BatchFeature(targets, tensor_type=kwargs.get("return_tensors") or "pt"))
        return data


__all__ = ["CacProcessor"]
