"""Where a picture lies in the network's input, and the way back from there.

There are two placements. The detector scales a picture and puts it at the top left; the largest picture of the batch
decides how large the canvas is: [`CornerPlacement`]. Hu et al. and Liu et al. scale it to fit into a canvas of a fixed
size and center it there, which leaves bars at two sides, a letterbox: [`CenteredPlacement`].
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as tvF

from ..layers.nearest_resize import resize_nearest
from .resizing import check_interpolation, resize_and_crop, resize_mask, resize_picture, skimage_resize

MOST_PIXELS = 1 << 27  # of a network's input; the largest photo that is read has two thirds of them
PAPER_LOGIT = 1e-9  # from which on the originals count a pixel of the network's input as foreground


@dataclass(frozen=True)
class Placement:
    """A picture that was scaled and lies at `top`, `left` of a canvas. All sizes are (height, width) in pixels.

    Args:
        original: size of the picture.
        canvas: size of the network's input.
        inner: size of the scaled picture.
        top, left: where it begins in the canvas.

    Raises ValueError where the scaled picture does not fit into the canvas, or this has more than `MOST_PIXELS`.
    """

    original: tuple[int, int]
    canvas: tuple[int, int]
    inner: tuple[int, int]
    top: int = 0
    left: int = 0

    def __post_init__(self):
        (height, width), (canvas_height, canvas_width) = self.inner, self.canvas
        if canvas_height * canvas_width > MOST_PIXELS:
            raise ValueError(
                f"the network's input would be {self.canvas} pixels (height, width); {MOST_PIXELS:,} in all are the "
                "most: give the processor a smaller size"
            )
        if self.top + height > canvas_height or self.left + width > canvas_width:
            raise ValueError(
                f"a picture of {self.original} pixels (height, width), scaled to {self.inner}, does not fit into "
                f"{self.canvas}: use the size and resizing of the processor that made the network's input"
            )

    def pad(self, image: torch.Tensor) -> torch.Tensor:
        """(..., *inner) -> (..., *canvas), zeros around."""
        bottom = self.canvas[0] - self.inner[0] - self.top
        right = self.canvas[1] - self.inner[1] - self.left
        return F.pad(image, (self.left, right, self.top, bottom))

    def crop(self, image: torch.Tensor) -> torch.Tensor:
        """(..., *canvas) -> (..., *inner): undoes `pad`."""
        return image[..., self.top : self.top + self.inner[0], self.left : self.left + self.inner[1]]

    def place_picture(self, picture: torch.Tensor, interpolation: str) -> torch.Tensor:
        """uint8 (3, *original) -> uint8 (3, *canvas), black around."""
        if self.inner != self.original:
            picture = resize_picture(picture, self.inner, interpolation)  # -> (3, *inner)
        return self.pad(picture)

    def place_mask(self, mask: torch.Tensor, interpolation: str) -> torch.Tensor:
        """bool (*original) -> float32 (*canvas) in {0, 1}."""
        if self.inner != self.original:
            mask = resize_mask(mask, self.inner, interpolation)  # -> (*inner)
        return self.pad(mask.to(torch.float32))

    def refined_part(self, values: torch.Tensor, interpolation: str) -> torch.Tensor:
        """What `refine` works on, as a view: (..., *canvas) -> (..., *inner), the picture without its padding, whose
        black would pull at what lies beside it."""
        return self.crop(values)

    def restore(
        self, logits: torch.Tensor, threshold: float = 0.5, interpolation: str = "clean"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask logits of the network's input to masks of the picture.

        Args:
            logits: (N, *canvas).
            threshold: probability above which a pixel is foreground.
            interpolation: `"clean"`: the padding is cut off, the probabilities resized, then compared with the
                threshold. `"paper"`: every pixel of the picture that the resized foreground touches, so that masks grow
                by up to a pixel of the network's input; the foreground has logits of 1e-9 and more.

        Returns: masks (N, *original) bool, and probabilities (N, *original) float32, which are always `clean`.

        Raises ValueError for an unknown interpolation, and for another threshold with `"paper"`.
        """
        check_interpolation(interpolation)
        probabilities = self.crop(logits.float().sigmoid())  # (N, *canvas) -> (N, *inner)
        if self.inner != self.original:
            probabilities = tvF.resize(probabilities, list(self.original), antialias=True)  # -> (N, *original)
        if interpolation == "clean":
            return probabilities > threshold, probabilities
        if threshold != 0.5:
            raise ValueError(
                f"interpolation='paper' cuts at logit {PAPER_LOGIT:g}; threshold {threshold} needs "
                "interpolation='clean'"
            )
        return self._enlarge_by_touch((logits >= PAPER_LOGIT).to(torch.float32)) > 0, probabilities

    def _enlarge_by_touch(self, masks: torch.Tensor) -> torch.Tensor:
        """float (N, *canvas) in {0, 1} -> (N, *original), above 0 wherever the foreground touches."""
        return skimage_resize(self.crop(masks), self.original)


@dataclass(frozen=True)
class CornerPlacement(Placement):
    """A picture at the top left of its canvas (MAttNet's and CAC's code)."""

    def place_mask(self, mask: torch.Tensor, interpolation: str) -> torch.Tensor:
        """As above; with `"paper"` every pixel takes the nearest one of the mask, as Pillow finds it."""
        if interpolation == "paper":
            return self.pad(resize_nearest(mask, self.inner).to(torch.float32))
        return super().place_mask(mask, interpolation)


@dataclass(frozen=True)
class CenteredPlacement(Placement):
    """A picture in the middle of its canvas (im_processing of text_objseg and TF-phrasecut-public)."""

    @classmethod
    def fit(cls, original: tuple[int, int], canvas: tuple[int, int]) -> "CenteredPlacement":
        """Scales to fit into `canvas`, sizes rounded half to even; an odd row or column of padding goes to the bottom
        or right. A side that would vanish (1 x 5000 pixels) keeps one pixel."""
        (height, width), (canvas_height, canvas_width) = original, canvas
        scale = min(canvas_height / height, canvas_width / width)
        inner = max(round(height * scale), 1), max(round(width * scale), 1)
        return cls(original, canvas, inner, (canvas_height - inner[0]) // 2, (canvas_width - inner[1]) // 2)

    def refined_part(self, values: torch.Tensor, interpolation: str) -> torch.Tensor:
        """As above; with `"paper"` the whole canvas, as RMI's rows "+DCRF" had it."""
        return values if interpolation == "paper" else self.crop(values)

    def _enlarge_by_touch(self, masks: torch.Tensor) -> torch.Tensor:
        """The originals scale the canvas to cover the picture, and cut out the middle."""
        return resize_and_crop(masks, self.original)
