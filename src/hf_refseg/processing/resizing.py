"""The two ways a picture reaches the network's input size and a mask comes back.

Both letterbox alike (im_processing of text_objseg and TF-phrasecut-public): the picture is scaled to fit, its new size
rounded half to even, and centred; an odd row or column of padding goes to the bottom or right.
They differ in how samples are interpolated:
`clean`: bilinear with half-pixel centres, antialiased when shrinking (torchvision);
`paper`: what scikit-image 0.12/0.13 did: bilinear with half-pixel centres, no antialiasing, zero outside of the image.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

INTERPOLATIONS = ("clean", "paper")


def check_interpolation(interpolation: str) -> None:
    """Raises ValueError unless `interpolation` is one of `INTERPOLATIONS`."""
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"unknown interpolation {interpolation!r}; use one of {', '.join(INTERPOLATIONS)}")


@dataclass(frozen=True)
class Placement:
    """Where an image of size `original` lies inside the network's input `canvas`; all (height, width) in pixels.

    `inner` is the size of the scaled image, `top` and `left` its offset.
    """

    original: tuple[int, int]
    canvas: tuple[int, int]
    inner: tuple[int, int]
    top: int
    left: int

    @classmethod
    def fit(cls, original: tuple[int, int], canvas: tuple[int, int]) -> "Placement":
        """Scales to fit into `canvas` and centres. A side that would vanish (1 x 5000 pixels) keeps one pixel."""
        (height, width), (canvas_height, canvas_width) = original, canvas
        scale = min(canvas_height / height, canvas_width / width)
        inner = max(round(height * scale), 1), max(round(width * scale), 1)
        return cls(original, canvas, inner, (canvas_height - inner[0]) // 2, (canvas_width - inner[1]) // 2)

    def pad(self, image: torch.Tensor) -> torch.Tensor:
        """(..., *inner) -> (..., *canvas), zeros around."""
        bottom = self.canvas[0] - self.inner[0] - self.top
        right = self.canvas[1] - self.inner[1] - self.left
        return F.pad(image, (self.left, right, self.top, bottom))

    def crop(self, image: torch.Tensor) -> torch.Tensor:
        """(..., *canvas) -> (..., *inner): undoes `pad`."""
        return image[..., self.top : self.top + self.inner[0], self.left : self.left + self.inner[1]]


def skimage_resize(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """`skimage.transform.resize` of scikit-image 0.12/0.13 with its defaults: order 1, no antialiasing.

    Samples at the border of an enlarged image blend with zeros outside; the result is clipped to the range of the
    input. Today's scikit-image antialiases and reflects at the border: up to 38 grey levels away on small images.

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
    """The originals' way back from the network's input to the image: scale to cover `size`, cut the centre out.

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
    """`cv2.resize(image, None, fx=scale, fy=scale)` with bilinear interpolation: half-pixel centres, no antialiasing.

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
