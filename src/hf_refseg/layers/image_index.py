"""Which image of a batch each expression speaks of."""

import torch


def resolve_image_index(
    image_index: torch.Tensor | None, num_images: int, num_expressions: int, device: torch.device
) -> torch.Tensor:
    """
    The image of each expression, (N,) int64.

    Without an index, N expressions belong to N images one each, or all to a single image.

    Raises:
        ValueError: the numbers leave it open which image an expression means, or the index has another length or (seen
            on a CPU only: looking would stall a GPU) speaks of an image that is not there.
    """
    if image_index is not None:
        if len(image_index) != num_expressions:
            raise ValueError(f"image_index names {len(image_index)} expressions, input_ids holds {num_expressions}")
        on_cpu = image_index.device.type == "cpu" and not torch.compiler.is_compiling()
        if on_cpu and not 0 <= image_index.min() <= image_index.max() < num_images:
            raise ValueError(
                f"image_index runs from {image_index.min()} to {image_index.max()}, but there are {num_images} images, "
                f"0 to {num_images - 1}"
            )
        return image_index.to(device)
    if num_images == num_expressions:
        return torch.arange(num_expressions, device=device)
    if num_images == 1:
        return torch.zeros(num_expressions, dtype=torch.long, device=device)
    raise ValueError(
        f"{num_expressions} expressions for {num_images} images: pass image_index (the processor returns it), "
        "one image, or as many images as expressions"
    )
