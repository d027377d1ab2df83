"""The regions of a batch of images among which MAttNet chooses: the detector's, or those that the caller brings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn.utils.rnn import pad_sequence


@dataclass
class Regions:
    """
    Up to R regions of each of B images.

    Args:
        boxes: (B, R, 4) xyxy in pixels of the original images, x2 and y2 outside the box; zeros at padding.
        mask: (B, R) bool, False at padding.
        labels: (B, R) categories; None where nobody has said them yet.
        masks: per image (R_i, H_i, W_i) bool at its original size, where the caller brought them.
        is_full: there is no padding, which is known without a look at `mask`.
    """

    boxes: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor | None = None
    masks: Sequence[torch.Tensor] | None = None
    is_full: bool = False

    def unpadded_boxes(self) -> list[torch.Tensor]:
        """Per image (R_i, 4)."""
        if self.is_full:
            return list(self.boxes)
        return [boxes[mask] for boxes, mask in zip(self.boxes, self.mask, strict=True)]

    def xywh(self) -> torch.Tensor:
        """(B, R, 4) in COCO's way, as the matching reads them."""
        return torch.cat([self.boxes[..., :2], self.boxes[..., 2:] - self.boxes[..., :2]], -1)

    def with_labels(self, labels: torch.Tensor) -> "Regions":
        """The same with the categories of all regions, (M,) image after image."""
        if self.is_full:
            return replace(self, labels=labels.view_as(self.mask))
        padded = torch.zeros(self.mask.shape, dtype=torch.long, device=labels.device)
        return replace(self, labels=padded.masked_scatter(self.mask, labels))

    def require_some(self, image_index: torch.Tensor) -> None:
        """Raises ValueError where an expression speaks of an image without regions (looked at on a CPU only)."""
        if self.mask.device.type != "cpu" or torch.compiler.is_compiling():
            return
        empty = set(image_index.tolist()) & set((~self.mask.any(1)).nonzero()[:, 0].tolist())
        if empty:
            raise ValueError(
                f"image {min(empty)} has no region to choose from; give region_boxes, or a detector that proposes some"
            )


def pad_regions(
    boxes: torch.Tensor | Sequence[torch.Tensor],
    labels: torch.Tensor | Sequence[torch.Tensor] | None = None,
    masks: Sequence[torch.Tensor] | None = None,
    image_sizes: torch.Tensor | None = None,
) -> Regions:
    """
    Regions of B images as one batch.

    Args:
        boxes: per image (R_i, 4), R_i of any number; labels: per image (R_i,); masks: per image (R_i, H_i, W_i).
        image_sizes: (B, 2) height and width of the original images, which boxes must touch.

    Raises:
        ValueError: another number of images, labels or masks; a box of no area, or outside its image.
    """
    is_full = isinstance(boxes, torch.Tensor)
    if is_full and (boxes.ndim != 3 or boxes.shape[-1] != 4):
        raise ValueError(f"region_boxes has the shape {tuple(boxes.shape)}; give (B, R, 4), or a list of (R_i, 4)")
    boxes = [torch.as_tensor(of_image).reshape(-1, 4).float() for of_image in boxes]
    for name, others in (("region_labels", labels), ("region_masks", masks)):
        counts = [len(of_image) for of_image in boxes]
        if others is not None and (len(others) != len(boxes) or [len(of_image) for of_image in others] != counts):
            raise ValueError(
                f"{name} has {[len(of_image) for of_image in others]} entries per image, region_boxes {counts}; give "
                "one per box"
            )
    if image_sizes is not None:
        if len(boxes) != len(image_sizes):
            raise ValueError(f"region_boxes are of {len(boxes)} images, but there are {len(image_sizes)}")
        check_boxes(boxes, image_sizes)
    mask = pad_sequence([torch.ones(len(box), dtype=torch.bool, device=box.device) for box in boxes], True)
    if labels is not None:
        labels = pad_sequence([torch.as_tensor(of_image).long().to(mask.device) for of_image in labels], True)
    if masks is not None and image_sizes is not None:
        check_masks(masks, image_sizes)
    return Regions(pad_sequence(boxes, True), mask, labels, masks, is_full)


def check_boxes(boxes: Sequence[torch.Tensor], image_sizes: torch.Tensor) -> None:
    """Raises ValueError for a box of no area or one that lies outside its image (looked at on a CPU only)."""
    if image_sizes.device.type != "cpu" or torch.compiler.is_compiling():
        return
    for image, (of_image, (height, width)) in enumerate(zip(boxes, image_sizes.tolist(), strict=True)):
        for row, (x1, y1, x2, y2) in enumerate(of_image.tolist()):
            box = f"region_boxes[{image}][{row}] = {[x1, y1, x2, y2]}"
            if not (x2 > x1 and y2 > y1):
                raise ValueError(f"{box} has no area; give [x1, y1, x2, y2] with x1 < x2 and y1 < y2")
            if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
                raise ValueError(f"{box} lies outside its image of {height} x {width} pixels (height x width)")


def check_masks(masks: Sequence[torch.Tensor], image_sizes: torch.Tensor) -> None:
    """Raises ValueError for masks that are not of the size of their image."""
    for image, (of_image, size) in enumerate(zip(masks, image_sizes.tolist(), strict=True)):
        if list(of_image.shape[1:]) != size:
            raise ValueError(
                f"region_masks[{image}] are {list(of_image.shape[1:])}, their image {size} (height, width); give masks "
                "at the original size"
            )


__all__ = ["Regions", "pad_regions"]
