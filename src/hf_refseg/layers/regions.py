"""
The regions of a batch of images among which a system chooses: a detector's, or those that the caller brings.

M regions of B images, those of the first image first; R is the largest number of regions of an image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from ..mask_values import foreground
from .image_index import packed_image_index
from .inputs import values_are_readable

LAST_PIXEL = 1 << 24  # up to which float32 has every whole number


@dataclass(frozen=True)
class Regions:
    """
    M regions of B images.

    Args:
        boxes: (M, 4) float32 or float64, xyxy in pixels of the photos, x2 and y2 outside of the box. Systems that order
            regions by distance do so in the precision that is given here.
        counts: how many of them each of the B images has.
        labels: (M,) int64 categories; None where nobody has said them yet.
        scores: (M,) float32, how sure a detector is of them; None for regions of the caller.
        masks: per image (R_i, H_i, W_i) bool at its original size, where the caller brought them.
    """

    boxes: torch.Tensor
    counts: tuple[int, ...]
    labels: torch.Tensor | None = None
    scores: torch.Tensor | None = None
    masks: tuple[torch.Tensor, ...] | None = None

    @classmethod
    def of(
        cls,
        region_boxes: torch.Tensor | Sequence | None = None,
        region_labels: torch.Tensor | Sequence | None = None,
        region_masks: torch.Tensor | Sequence | None = None,
        *,
        image_sizes: torch.Tensor,
    ) -> "Regions":
        """
        The regions that a caller brings.

        Args:
            region_boxes: (B, R, 4), or per image (R_i, 4), in tensors, arrays or lists; None: the tight boxes of the
                masks.
            region_labels: (B, R), or per image (R_i,), whole numbers; None: not known.
            region_masks: (B, R, H, W), or per image (R_i, H_i, W_i), bool (or 0 and 1) at the original size; also, per
                image, the list of dicts that SAM's mask generator returns, whose `segmentation` is read.
            image_sizes: (B, 2) height and width of the original images. The regions move to its device.

        Raises:
            ValueError: neither boxes nor masks; another number of images, boxes, labels or masks. And where
                `values_are_readable`: a box of no area or outside its image, a mask without a pixel or of another size
                than its image, one whose values are none of a mask, see `foreground`.
        """
        if region_boxes is None and region_masks is None:
            raise ValueError("region_labels are those of regions: give region_boxes or region_masks too")
        device, masks = image_sizes.device, None
        if region_masks is not None:
            masks = tuple(
                mask_stack(of_image, size, f"region_masks[{image}]").to(device)
                for image, (of_image, size) in enumerate(
                    zip(per_image(region_masks, "region_masks", len(image_sizes)), image_sizes, strict=True)
                )
            )
        if region_boxes is None:
            boxes = [mask_boxes(of_image) for of_image in masks]
        else:
            boxes = [
                box_rows(of_image, f"region_boxes[{image}]").to(device)
                for image, of_image in enumerate(per_image(region_boxes, "region_boxes", len(image_sizes)))
            ]
        counts = tuple(len(of_image) for of_image in boxes)
        if masks is not None:
            check_counts("region_masks", [len(of_image) for of_image in masks], counts)
        labels = None
        if region_labels is not None:
            labels = [
                label_row(of_image, f"region_labels[{image}]").to(device)
                for image, of_image in enumerate(per_image(region_labels, "region_labels", len(image_sizes)))
            ]
            check_counts("region_labels", [len(of_image) for of_image in labels], counts)
            labels = torch.cat(labels)
        regions = cls(torch.cat(boxes), counts, labels, masks=masks)
        if region_boxes is not None and values_are_readable(image_sizes):
            regions.check_boxes(image_sizes)
        return regions

    @property
    def image_index(self) -> torch.Tensor:
        """(M,) the image of each region."""
        return packed_image_index(self.counts, self.boxes.device)

    @property
    def starts(self) -> torch.Tensor:
        """(B,) the first region of each image."""
        return torch.tensor([0, *accumulate(self.counts)][:-1], device=self.boxes.device)

    def rows(self, image_index: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Which of all M regions is the region `index` (N,) of the images `image_index` (N,): (N,)."""
        return self.starts[image_index] + index

    def take(self, image_index: torch.Tensor) -> "Regions":
        """The regions of the image of each expression, (N,): those of N images."""
        if len(set(self.counts)) == 1:  # known without a look at the index, for which a GPU would wait
            counts = self.counts[:1] * len(image_index)
        else:
            counts = tuple(self.counts[image] for image in image_index.tolist())
        of_expression = packed_image_index(counts, self.boxes.device)  # (M',)
        first = torch.tensor([0, *accumulate(counts)][:-1], device=self.boxes.device)  # (N,)
        index = torch.arange(len(of_expression), device=self.boxes.device) - first[of_expression]
        rows = self.rows(image_index[of_expression], index)  # (M',) of the M
        labels, scores = (None if values is None else values[rows] for values in (self.labels, self.scores))
        masks = None if self.masks is None else tuple(self.masks[image] for image in image_index.tolist())
        return Regions(self.boxes[rows], counts, labels, scores, masks)

    def split(self, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(M, ...) -> per image (R_i, ...)."""
        return (values,) if len(self.counts) == 1 else values.split(self.counts)

    def pad(self, values: torch.Tensor, fill: float = 0) -> torch.Tensor:
        """(M, ...) -> (B, R, ...), with `fill` where an image has fewer than R regions."""
        return pad_sequence(self.split(values), batch_first=True, padding_value=fill)

    def given_masks(self, image_index: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The caller's masks of the regions `index` (N,) of the images `image_index` (N,): N of (H_i, W_i)."""
        places = zip(image_index.tolist(), index.tolist(), strict=True)
        return tuple(self.masks[image][region] for image, region in places)

    def require_some(self, image_index: torch.Tensor) -> None:
        """Raises ValueError where an expression refers to an image without regions (where `values_are_readable`)."""
        if all(self.counts) or not values_are_readable(image_index):
            return
        empty = [image for image in image_index.tolist() if not self.counts[image]]
        if empty:
            raise ValueError(
                f"image {min(empty)} has no region to choose from; give region_boxes, or a detector that proposes some"
            )

    def check_boxes(self, image_sizes: torch.Tensor) -> None:
        """
        Raises ValueError for a box that is not finite, is further away than `LAST_PIXEL`, has no area, is a part of a
        pixel or lies outside its image.

        Args:
            image_sizes: (B, 2).
        """
        x1, y1, x2, y2 = self.boxes.unbind(1)  # (M, 4) -> 4 x (M,)
        heights, widths = image_sizes[self.image_index].unbind(1)  # (B, 2) -> 2 x (M,)
        faults = {
            "is not made of finite numbers": ~self.boxes.isfinite().all(1),
            "is further away than any picture reaches": (self.boxes.abs() > LAST_PIXEL).any(1),
            "has no area; give [x1, y1, x2, y2] with x1 < x2 and y1 < y2": ~((x2 > x1) & (y2 > y1)),
            "lies outside its image of {} x {} pixels (height x width)": (
                (x1 >= widths) | (y1 >= heights) | (x2 <= 0) | (y2 <= 0)
            ),
            "lies in one pixel; give boxes in pixels of the photo, not in shares of its sides": (
                ((self.boxes > 0) & (self.boxes < 1)).any(1) & (self.boxes >= 0).all(1) & (self.boxes <= 1).all(1)
            ),
        }
        for fault, where in faults.items():
            if where.any():
                row = int(where.nonzero()[0])
                image = int(self.image_index[row])
                name = f"region_boxes[{image}][{row - int(self.starts[image])}] = {self.boxes[row].tolist()}"
                raise ValueError(f"{name} {fault.format(*image_sizes[image].tolist())}")


# ---- What a caller may write ----


def per_image(values, name: str, num_images: int) -> list:
    """One entry per image; raises ValueError where there are more or fewer than `num_images`."""
    if len(values) != num_images:
        raise ValueError(f"{name} are of {len(values)} images, but there are {num_images}; give one entry per image")
    return list(values)


def check_counts(name: str, counts: Sequence[int], boxes: Sequence[int]) -> None:
    if list(counts) != list(boxes):
        raise ValueError(f"{name} has {list(counts)} entries per image, region_boxes {list(boxes)}; give one per box")


def as_tensor(values, name: str) -> torch.Tensor:
    """Tensors as they are; arrays, and lists of numbers, lists, arrays or tensors, in their own precision."""
    if isinstance(values, torch.Tensor):
        return values
    if isinstance(values, np.ma.MaskedArray):
        raise ValueError(f"{name} is a masked array, whose mask would be lost; leave out what it hides")
    try:
        if isinstance(values, np.ndarray):
            return torch.from_numpy(np.array(values))
        rows = [row if isinstance(row, torch.Tensor) else torch.from_numpy(np.array(row)) for row in values]
        return torch.stack(rows) if rows else torch.zeros(0)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} is no tensor, array or list of numbers of one shape ({error})") from error


def box_rows(values, name: str) -> torch.Tensor:
    """(R, 4) float32 or float64."""
    boxes = as_tensor(values, name)
    if boxes.numel() == 0:
        boxes = boxes.reshape(-1, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} has the shape {tuple(boxes.shape)}; give (R_i, 4), or (B, R, 4) for all images")
    return boxes if boxes.dtype in (torch.float32, torch.float64) else boxes.float()


def label_row(values, name: str) -> torch.Tensor:
    """(R,) int64."""
    labels = as_tensor(values, name)
    if labels.ndim != 1 or (labels.numel() and (labels.is_floating_point() or labels.dtype == torch.bool)):
        raise ValueError(
            f"{name} has the shape {tuple(labels.shape)} and is of {labels.dtype}; give (R_i,) whole numbers, one "
            "category per region"
        )
    return labels.long()


def mask_stack(values, image_size: torch.Tensor, name: str) -> torch.Tensor:
    """(R, H, W) bool; raises ValueError for other sizes, a mask without a pixel, values of no mask (`foreground`)."""
    if isinstance(values, (list, tuple)):
        values = [
            of_region.get("segmentation") if isinstance(of_region, Mapping) else of_region for of_region in values
        ]
        if any(isinstance(of_region, Mapping | None) for of_region in values):
            raise ValueError(
                f"{name} holds dicts without an array as segmentation; decode run lengths first "
                "(hf_refseg.data.decode_mask)"
            )
    masks = as_tensor(values, name)
    if masks.numel() == 0 and len(masks) == 0:
        return torch.zeros(0, *image_size.tolist(), dtype=torch.bool)
    if masks.ndim != 3:
        raise ValueError(f"{name} has the shape {tuple(masks.shape)}; give (R_i, H_i, W_i), one mask per region")
    if not values_are_readable(masks):
        return masks.bool()
    if list(masks.shape[1:]) != (size := image_size.tolist()):
        raise ValueError(
            f"{name} are {list(masks.shape[1:])}, their image {size} (height, width); give masks at the original size"
        )
    if masks.dtype != torch.bool:
        read = [foreground(mask, f"{name}[{number}]") for number, mask in enumerate(masks)]
        masks = torch.from_numpy(np.stack(read)).to(masks.device)
    if (empty := filled(masks.flatten(1), 1) == 0).any():
        raise ValueError(f"{name}[{int(empty.nonzero()[0])}] has no pixel; leave this region out")
    return masks


def filled(masks: torch.Tensor, dim: int) -> torch.Tensor:
    """`masks.any(dim)` of bool masks as 0 and 1 in uint8; on a CPU several times as fast."""
    return masks.view(torch.uint8).amax(dim)


def mask_boxes(masks: torch.Tensor) -> torch.Tensor:
    """The tight boxes of masks (R, H, W), x2 and y2 outside: (R, 4) float32."""
    sides = []
    for dim in (1, 2):  # columns, then rows
        lines = filled(masks, dim)  # (R, H, W) -> (R, W), and (R, H)
        sides.append((lines.argmax(1), lines.shape[1] - lines.flip(1).argmax(1)))
    (x1, x2), (y1, y2) = sides
    return torch.stack([x1, y1, x2, y2], 1).float()


__all__ = ["Regions"]
