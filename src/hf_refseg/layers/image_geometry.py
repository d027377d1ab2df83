"""
Where images lie in the network's input, and the way of boxes and masks between the two.

A box is [x1, y1, x2, y2] in pixels of the photo, x2 and y2 outside of it: everywhere but inside the detector, whose
boxes lie in the network's input and have both corners inside. The border between the two is here.

B images, N boxes or masks, S x S cells of a small mask; (H, W) the network's input with its padding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from transformers.utils.generic import maybe_autocast

from .inputs import values_are_readable


def inclusive_to_exclusive(boxes: torch.Tensor) -> torch.Tensor:
    """(..., 4) with the second corner inside the box -> (..., 4) with it outside."""
    return torch.cat([boxes[..., :2], boxes[..., 2:] + 1], dim=-1)


def exclusive_to_inclusive(boxes: torch.Tensor) -> torch.Tensor:
    """(..., 4) with the second corner outside of the box -> (..., 4) with it inside."""
    return torch.cat([boxes[..., :2], boxes[..., 2:] - 1], dim=-1)


@dataclass(frozen=True)
class ImageGeometry:
    """
    Sizes of B images, at the top left of the network's input.

    Args:
        input_sizes: (height, width) of each image in the network's input, without padding.
        canvas: (H, W) of the network's input.
        original_sizes: (B, 2) int64, height and width of the photos.
        image_scales: (B,) float32, by which the photos were enlarged.
    """

    input_sizes: tuple[tuple[int, int], ...]
    canvas: tuple[int, int]
    original_sizes: torch.Tensor
    image_scales: torch.Tensor

    @classmethod
    def of(
        cls,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        image_scales: torch.Tensor | None = None,
        **kwargs,
    ) -> "ImageGeometry":
        """
        The geometry of what a processor returned, `ImageGeometry.of(**inputs)`.

        Args:
            pixel_values: (B, 3, H, W).
            pixel_mask: (B, H, W), 0 on the padding at the right and bottom; None: there is no padding.
            original_sizes, image_scales: (B, 2) and (B,). If both are None, the photos are the network's input itself.

        Raises:
            ValueError: only one of sizes and scales is given, or they, or the mask, are not of B images, or say that
                one has no pixel.
        """
        num_images, canvas, device = len(pixel_values), tuple(pixel_values.shape[-2:]), pixel_values.device
        input_sizes = (canvas,) * num_images
        if pixel_mask is not None:
            if tuple(pixel_mask.shape) != (num_images, *canvas):
                raise ValueError(
                    f"pixel_mask has the shape {tuple(pixel_mask.shape)}, pixel_values {tuple(pixel_values.shape)}: "
                    f"give {(num_images, *canvas)}"
                )
            heights, widths = (pixel_mask.any(dim).sum(1).tolist() for dim in (2, 1))  # (B, H, W) -> (B, H) -> (B,)
            input_sizes = tuple(zip(heights, widths, strict=True))
            if not all(heights):
                raise ValueError(f"pixel_mask is 0 everywhere in image {heights.index(0)}: it has no pixel")
        if (original_sizes is None) != (image_scales is None):
            given = "image_scales" if original_sizes is None else "original_sizes"
            raise ValueError(
                f"of original_sizes and image_scales only {given} is given; pass both, as the processor returns them, "
                "or neither, for images that were not resized"
            )
        if original_sizes is None:
            sizes = torch.tensor(input_sizes, device=device)  # -> (B, 2)
            return cls(input_sizes, canvas, sizes, torch.ones(num_images, device=device))
        sizes = torch.as_tensor(original_sizes, device=device)
        scales = torch.as_tensor(image_scales, device=device).float()
        if sizes.shape != (num_images, 2) or scales.shape != (num_images,):
            raise ValueError(
                f"original_sizes and image_scales have the shapes {tuple(sizes.shape)} and {tuple(scales.shape)}, but "
                f"there are {num_images} images: give {(num_images, 2)} and {(num_images,)}"
            )
        if values_are_readable(sizes) and not (sizes.min() > 0 and (scales > 0).all() and scales.isfinite().all()):
            raise ValueError(
                f"original_sizes are {sizes.tolist()}, image_scales {scales.tolist()}: all are above 0, as the "
                "processor returns them"
            )
        return cls(input_sizes, canvas, sizes, scales)

    def take(self, image_index: torch.Tensor) -> "ImageGeometry":
        """The geometry of the image of each expression, (N,): that of N images."""
        if len(set(self.input_sizes)) == 1:  # known without a look at the index, for which a GPU would wait
            input_sizes = self.input_sizes[:1] * len(image_index)
        else:
            input_sizes = tuple(self.input_sizes[image] for image in image_index.tolist())
        sizes, scales = self.original_sizes[image_index], self.image_scales[image_index]
        return replace(self, input_sizes=input_sizes, original_sizes=sizes, image_scales=scales)

    def to_network(self, boxes: torch.Tensor, image_index: torch.Tensor) -> torch.Tensor:
        """Boxes (N, 4) in the photos `image_index` (N,) to the detector's: (N, 4) float32, both corners inside."""
        return exclusive_to_inclusive(boxes.float()) * self.image_scales[image_index, None]

    def paste(self, probabilities: torch.Tensor, boxes: torch.Tensor, image_index: torch.Tensor) -> torch.Tensor:
        """
        Small masks in the network's input: (N, H, W) float32, 0 outside the boxes.

        Args:
            probabilities: (N, S, S), cells that fill the boxes.
            boxes: (N, 4) in pixels of the photos.
            image_index: (N,).
        """
        return paste_probabilities(probabilities, boxes.float() * self.image_scales[image_index, None], self.canvas)

    def resize(self, masks: tuple[torch.Tensor, ...], image_index: torch.Tensor) -> torch.Tensor:
        """N masks, each of the size of its photo, in the network's input: (N, H, W) float32 in [0, 1]."""
        resized = []
        for mask, image in zip(masks, image_index.tolist(), strict=True):
            height, width = self.input_sizes[image]
            mask = mask.to(image_index.device, torch.float32)[None, None]  # (H_i, W_i) -> (1, 1, H_i, W_i)
            mask = F.interpolate(mask, (height, width), mode="bilinear", antialias=True)[0, 0]  # -> (height, width)
            resized.append(F.pad(mask, (0, self.canvas[1] - width, 0, self.canvas[0] - height)))  # -> (H, W)
        return torch.stack(resized)


def paste_probabilities(probabilities: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """
    Small masks in images of one size: (N, S, S) and boxes (N, 4) -> (N, height, width) float32, 0 outside the boxes.

    Bilinear interpolation is a product from the left for the rows and from the right for the columns, so all masks are
    pasted at once and nothing waits for a GPU.
    """
    length = probabilities.shape[-1]
    boxes = boxes.to(probabilities.device)
    rows = _axis_weights(boxes[:, 1], boxes[:, 3], size[0], length)  # (N, height, S)
    columns = _axis_weights(boxes[:, 0], boxes[:, 2], size[1], length)  # (N, width, S)
    with maybe_autocast(probabilities.device.type, enabled=False):  # in bfloat16 the edges of masks would move
        return rows @ probabilities.float() @ columns.mT  # -> (N, height, width)


def run_by_size(run: Callable, images: torch.Tensor, sizes: Sequence[tuple[int, int]]) -> list:
    """
    `run` over images, those of one size together, and each without the padding of its batch, which would leak into its
    border at a convolution.

    Args:
        run: (n, C, h, w) -> n results.
        images: (B, C, H, W).
        sizes: (h, w) of each image.

    Returns:
        B results.
    """
    if len(sizes) == 1:  # without a look at the size, which has no hash while a graph is traced
        return run(images[:, :, : sizes[0][0], : sizes[0][1]])
    results = {}
    for height, width in dict.fromkeys(sizes):
        rows = [row for row, size in enumerate(sizes) if size == (height, width)]
        same = images if len(rows) == len(sizes) else images[rows]
        results |= zip(rows, run(same[:, :, :height, :width]), strict=True)
    return [results[row] for row in range(len(sizes))]


def finite_logits(probabilities: torch.Tensor) -> torch.Tensor:
    """Logits in float32 of probabilities of any shape; 0, as beside a box, and 1 count as 1e-6 and 1 - 1e-6."""
    return probabilities.float().logit(1e-6)


def _axis_weights(low: torch.Tensor, high: torch.Tensor, pixels: int, cells: int) -> torch.Tensor:
    """How much each of the cells from `low` to `high` (N,) counts at the center of each pixel: (N, pixels, cells)."""
    center = torch.arange(pixels, device=low.device) + 0.5
    low, high = low.float()[:, None], high.float()[:, None]
    # beyond the outermost cell's center its value goes on: a mask does not fade at the edge of its box
    position = ((center - low) / (high - low) * cells - 0.5).clamp(0, cells - 1)  # (N, pixels)
    weights = (1 - (position[..., None] - torch.arange(cells, device=low.device)).abs()).clamp(min=0)
    # a box of no width that begins at the center of a pixel has weights of 0 / 0, which a product would keep
    return weights.where(((center >= low) & (center < high))[..., None], 0)  # (N, pixels, cells)
