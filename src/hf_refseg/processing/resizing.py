"""How pictures and masks are resized, in two ways.

`clean`: bilinear with half-pixel centers, antialiased when shrinking (torchvision);
`paper`: what scikit-image 0.12/0.13 did: bilinear with half-pixel centers, no antialiasing, zero outside of the image.
Where a picture then lies in the network's input is said in `placement.py`.
"""

import torch
from torchvision.transforms.v2 import functional as tvF

INTERPOLATIONS = ("clean", "paper")


def check_interpolation(interpolation: str) -> None:
    """Raises ValueError unless `interpolation` is one of `INTERPOLATIONS`."""
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"unknown interpolation {interpolation!r}; use one of {', '.join(INTERPOLATIONS)}")


def resize_picture(picture: torch.Tensor, size: tuple[int, int], interpolation: str) -> torch.Tensor:
    """uint8 (3, H, W) -> uint8 (3, *size)."""
    if interpolation == "clean":
        return tvF.resize(picture, list(size), antialias=True)
    # times the reciprocal, as scikit-image converts: a division rounds some ties the other way
    return (skimage_resize(picture.to(torch.float64) * (1 / 255), size) * 255).round().to(torch.uint8)


def resize_mask(mask: torch.Tensor, size: tuple[int, int], interpolation: str) -> torch.Tensor:
    """bool (H, W) -> bool (*size).

    `clean`: pixels covered to at least a half. `paper`: every pixel touched, so that masks grow by up to a pixel.
    """
    mask = mask.to(torch.float32)
    if interpolation == "clean":
        return tvF.resize(mask[None], list(size), antialias=True)[0] >= 0.5  # (H, W) -> (*size)
    return skimage_resize(mask, size) > 0


def skimage_resize(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """`skimage.transform.resize` of scikit-image 0.12/0.13 with its defaults: order 1, no antialiasing.

    Samples at the border of an enlarged image blend with zeros outside; the result is clipped to the range of the
    input. Today's scikit-image antialiases and reflects at the border: up to 38 gray levels away on small images.

    Args:
        image: (..., H, W) floating point. The arithmetic, sample positions included, is done in its dtype and in
            scikit-image's order, so that ties of the later rounding fall alike: the originals pass images as float64
            and masks as float32.
        size: (height, width) of the result.
    """
    columns = _interpolate_last_axis(image, size[1])  # (..., H, W) -> (..., H, size[1])
    resized = _interpolate_last_axis(columns.mT, size[0]).mT  # (..., H, size[1]) -> (..., *size)
    return resized.clamp(image.min(), image.max())


def _interpolate_last_axis(image: torch.Tensor, size: int) -> torch.Tensor:
    length = image.shape[-1]
    scale = length / size
    offset = torch.tensor(scale * 0.5 - 0.5, dtype=image.dtype, device=image.device)
    position = torch.arange(size, dtype=image.dtype, device=image.device) * scale + offset
    lower = position.floor()
    fraction = position - lower
    result = 0
    for index, weight in ((lower.long(), 1 - fraction), (lower.long() + 1, fraction)):
        inside = (index >= 0) & (index < length)
        result = result + image.index_select(-1, index.clamp(0, length - 1)) * (weight * inside)
    return result


def resize_and_crop(mask: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The originals' way back from the network's input to the image: scale to cover `size`, cut the middle out.

    Args:
        mask: (..., H, W) floating point.
        size: (height, width) of the image.

    Returns: (..., *size) float in [0, 1]. The originals then count every value above 0 as foreground, so masks grow.
    """
    height, width = mask.shape[-2:]
    scale = max(size[0] / height, size[1] / width)
    resized = skimage_resize(mask, (max(round(height * scale), 1), max(round(width * scale), 1)))
    top, left = (resized.shape[-2] - size[0]) // 2, (resized.shape[-1] - size[1]) // 2
    return resized[..., top : top + size[0], left : left + size[1]]


def opencv_resize(image: torch.Tensor, scale: float) -> torch.Tensor:
    """`cv2.resize(image, None, fx=scale, fy=scale)` with bilinear interpolation: half-pixel centers, no antialiasing.

    Sample positions follow from the scale itself and not, as elsewhere, from the two rounded sizes.

    Args:
        image: (..., H, W) floating point.
        scale: above 0.

    Returns: (..., round(H * scale), round(W * scale)), at least one pixel each.
    """
    if scale == 1:
        return image
    columns = _sample_last_axis(image, scale)  # (..., H, W) -> (..., H, W * scale)
    return _sample_last_axis(columns.mT, scale).mT.contiguous()  # -> (..., H * scale, W * scale)


def _sample_last_axis(image: torch.Tensor, scale: float) -> torch.Tensor:
    length = image.shape[-1]
    position = (torch.arange(max(round(length * scale), 1), dtype=torch.float64, device=image.device) + 0.5) / scale
    position = (position - 0.5).clamp(0, length - 1)
    lower = position.long().clamp(max=max(length - 2, 0))
    fraction = (position - lower).to(image.dtype)
    upper = (lower + 1).clamp(max=length - 1)
    return image.index_select(-1, lower) * (1 - fraction) + image.index_select(-1, upper) * fraction
