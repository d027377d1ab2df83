"""What `refine` of the post-processing does: mask logits and the image they belong to in, better mask logits out."""

from dataclasses import asdict, fields

import torch
from torchvision.transforms.v2 import functional as tvF

from ..dense_crf import DenseCrf, DenseCrfParameters
from .image_processing import RefSegImageProcessor
from .images import load_image

REFINEMENTS = ("dense_crf",)  # names that `refine` accepts beside None


def dense_crf_parameters(given: dict) -> dict:
    """All parameters of a dense CRF: those that are `given`, and the defaults of the others.

    Raises ValueError for an unknown name or a value out of range.
    """
    known = [field.name for field in fields(DenseCrfParameters)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"dense_crf has no parameter {', '.join(unknown)}; it has {', '.join(known)}")
    return asdict(DenseCrfParameters(**given))


def sharpen(
    logits: torch.Tensor,
    image_index: list[int],
    images: list | None,
    sizes: list[tuple[int, int]] | None,
    image_processor: RefSegImageProcessor,
    interpolation: str,
    parameters: dict,
) -> torch.Tensor:
    """The mask logits of a dense CRF over each image at the network's input size, as in RMI's rows "+DCRF".

    Args:
        logits: (N, H, W) at the network's input size.
        image_index: the image of each of the N expressions; those of one image share its lattice.
        images: one image per index, anything that `load_image` reads.
        sizes: (height, width) of each image, to be checked; None: they are not known.
        image_processor: the one that placed the images in the network's input.
        interpolation: of resizing the images; it also says whether padding counts, see `Placement.refined_part`.
        parameters: those of `DenseCrfParameters`.

    Returns: (N, H, W) float32.

    Raises ValueError where images are missing or not of their `sizes`.
    """
    needed = max(image_index) + 1 if sizes is None else len(sizes)
    if images is None or len(images) < needed or (sizes is not None and len(images) > needed):
        raise ValueError(
            f"refine='dense_crf' reads the colors of {needed} images, but {len(images or [])} are given; pass "
            "images=..., the same as to the processor"
        )
    logits = logits.to(torch.float32, copy=True)
    for index in sorted(set(image_index)):
        image = tvF.pil_to_tensor(load_image(images[index], f"images[{index}]"))  # uint8 (3, height, width)
        original = tuple(image.shape[-2:])
        if sizes is not None and original != sizes[index]:
            raise ValueError(
                f"images[{index}] is {original[0]} x {original[1]} pixels (height x width), its row of target_sizes "
                f"says {sizes[index][0]} x {sizes[index][1]}; give both in the same order"
            )
        placement = image_processor.placement(original, tuple(logits.shape[-2:]))
        image = placement.refined_part(placement.place_picture(image, interpolation), interpolation)  # (3, h, w)
        region = placement.refined_part(logits, interpolation)  # (N, H, W) -> (N, h, w), a view
        rows = [row for row, other in enumerate(image_index) if other == index]
        foreground = region[rows]  # (N, h, w) -> (n, h, w)
        probabilities = torch.stack([-foreground, foreground], dim=1).sigmoid()  # -> (n, 2, h, w)
        marginals = DenseCrf(image.to(logits.device), **parameters)(probabilities)
        region[rows] = marginals[:, 1].log() - marginals[:, 0].log()  # (n, 2, h, w) -> (n, h, w)
    return logits
