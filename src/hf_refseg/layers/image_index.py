"""Which image of a batch each expression refers to, and each of many rows belongs to."""

from collections.abc import Sequence

import torch

from .inputs import require_tensors, values_are_readable


def resolve_image_index(
    image_index: torch.Tensor | None, num_images: int, num_expressions: int, device: torch.device
) -> torch.Tensor:
    """
    The image of each expression, (N,) int64.

    Without an index, N expressions belong to N images one each, or all to a single image.

    Raises:
        ValueError: the numbers leave it open which image an expression refers to, or the index has another length or
            (seen where `values_are_readable`) refers to an image that is not there.
    """
    require_tensors(image_index=image_index)
    if image_index is not None:
        if image_index.ndim != 1 or image_index.is_floating_point():
            raise ValueError(
                f"image_index has the shape {tuple(image_index.shape)} and is of {image_index.dtype}; give (N,) whole "
                "numbers, the image of each expression"
            )
        if len(image_index) != num_expressions:
            raise ValueError(f"image_index names {len(image_index)} expressions, input_ids holds {num_expressions}")
        if values_are_readable(image_index) and not 0 <= image_index.min() <= image_index.max() < num_images:
            raise ValueError(
                f"image_index runs from {image_index.min()} to {image_index.max()}, but there are {num_images} images, "
                f"0 to {num_images - 1}"
            )
        return image_index.to(device, torch.long)  # as an index, uint8 would be a mask
    if num_images == num_expressions:
        return torch.arange(num_expressions, device=device)
    if num_images == 1:
        return torch.zeros(num_expressions, dtype=torch.long, device=device)
    raise ValueError(
        f"{num_expressions} expressions for {num_images} images: pass image_index (the processor returns it), "
        "one image, or as many images as expressions"
    )


def packed_image_index(counts: Sequence[int], device: torch.device) -> torch.Tensor:
    """The image of each of M rows, where image i has `counts[i]` of them and those of the first come first: (M,)."""
    if len(counts) == 1:
        return torch.zeros(counts[0], dtype=torch.long, device=device)
    images, repeats = torch.arange(len(counts), device=device), torch.tensor(counts, device=device)
    return images.repeat_interleave(repeats, output_size=sum(counts))


def places_in_images(image_index: torch.Tensor) -> tuple[torch.Tensor, int]:
    """
    The number of each of N rows among those of its image, from 0 on (N,), and how many the image with most of them has.

    Where no value may be looked at (see `values_are_readable`), the rows are numbered through, and there are N of them.
    """
    rows = image_index.shape[0]  # `len` would be a fixed number in an exported graph
    numbers = torch.arange(rows, device=image_index.device)
    if not values_are_readable(image_index) or rows == 0:
        return numbers, rows
    images, order = image_index.sort(stable=True)
    places = torch.empty_like(numbers)
    places[order] = numbers - torch.searchsorted(images, images)  # the first row of the image is found
    return places, int(places.max()) + 1
