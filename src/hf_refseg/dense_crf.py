"""Fully connected CRF over the pixels of a picture (Krähenbühl and Koltun, NIPS 2011): sharpens the edges of masks.

Every pixel pulls every other one towards its own labels: strongly where both are near (Gaussian kernel), or near and of
like color (bilateral kernel). Mean field inference needs, per iteration, one Gaussian filtering of all labels by each
kernel, which the permutohedral lattice makes cheap. The numbers are those of the C++ program that most papers used
(pydensecrf), with its default symmetric normalization.

Letters of this file: B pictures, N probability maps per picture, L labels, H, W pixels; P = B * H * W.
"""

import math
from dataclasses import asdict, dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

from .permutohedral_lattice import PermutohedralLattice

# Probabilities are kept this far from 0: the logarithm of 0 would be infinite. It is the least that float32 can tell
# from 1, so that 0 and 1 are moved alike.
LEAST_PROBABILITY = torch.finfo(torch.float32).eps


@dataclass(frozen=True, kw_only=True)
class DenseCrfParameters:
    """What a dense CRF is made of. The defaults are those of RMI's rows "+DCRF" (pictures of 320 x 320).

    Args:
        gaussian_sxy: standard deviation of the Gaussian kernel in pixels.
        gaussian_weight: of the Gaussian kernel (its Potts compatibility); 0: without it.
        bilateral_sxy: standard deviation of the bilateral kernel in pixels.
        bilateral_srgb: standard deviation of the bilateral kernel in gray levels (0..255) of each color channel.
        bilateral_weight: of the bilateral kernel (its Potts compatibility); 0: without it.
        iterations: mean field updates, 1 or more.

    Raises ValueError naming the parameter that is out of range.
    """

    gaussian_sxy: float = 3.0
    gaussian_weight: float = 3.0
    bilateral_sxy: float = 20.0
    bilateral_srgb: float = 3.0
    bilateral_weight: float = 10.0
    iterations: int = 5

    def __post_init__(self):
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ValueError(f"{name} of the dense CRF is {value!r}; it is a number")
            if value < 0 or (value == 0 and not name.endswith("weight")):
                raise ValueError(f"{name} of the dense CRF is {value}; it is above 0")
        if int(self.iterations) != self.iterations:
            raise ValueError(f"iterations of the dense CRF are {self.iterations}; give a whole number")


class DenseCrf:
    """The CRF of one picture or of B of one size; what depends on the pixels is built once, for any number of maps.

    ```python
    crf = DenseCrf(image)                                       # uint8 (3, H, W), RGB
    crf(torch.stack([1 - foreground, foreground], dim=1))       # (N, 2, H, W) -> (N, 2, H, W)
    ```

    Args:
        images: uint8 (3, H, W) or (B, 3, H, W), on the device where the work is to be done. On a GPU B pictures are
            refined at once; on a CPU they are no faster than one after the other.
        parameters: those of `DenseCrfParameters`.

    Raises TypeError for a picture that is not uint8, ValueError for one of another shape and for bad parameters.
    """

    def __init__(self, images: torch.Tensor, **parameters):
        self.parameters = DenseCrfParameters(**parameters)
        check_images(images)
        self.image_shape = tuple(images.shape)
        batch = images[None] if images.ndim == 3 else images  # (3, H, W) -> (B, 3, H, W)
        num_images, _, height, width = batch.shape
        p, self.kernels = self.parameters, []
        if p.gaussian_weight:
            kernel = gaussian_kernel(num_images, height, width, p.gaussian_sxy, images.device)
            self.kernels.append((p.gaussian_weight, *kernel))
        if p.bilateral_weight:
            positions, picture = place_pixels(num_images, height, width, images.device)
            colors = batch.transpose(0, 1).flatten(1).float()  # (B, 3, H, W) -> (3, P)
            # Divided by tensors, for a GPU would multiply by the inverse of a number.
            widths = positions.new_tensor([p.bilateral_sxy] * 2 + [p.bilateral_srgb] * 3)
            features = torch.cat([positions, colors]) / widths[:, None]  # (2, P) + (3, P) -> (5, P)
            self.kernels.append((p.bilateral_weight, *build_kernel(features, picture, height * width % 4 > 0)))

    @torch.no_grad()
    def __call__(self, probabilities: torch.Tensor) -> torch.Tensor:
        """The marginal probabilities of every label at every pixel.

        Args:
            probabilities: float (..., L, H, W) in [0, 1], L >= 2; of a batch of pictures (B, ..., L, H, W). They need
                not sum to one. They are kept at least 1.2e-7 away from 0 (the original gave infinities there), so that
                a map that is 0 or 1 everywhere stays what it is.

        Returns: float32 of the same shape, summing to one over the labels. Deterministic on a CPU.

        Raises ValueError where labels, sizes or values are not as above.
        """
        check_probabilities(probabilities, self.image_shape)
        if not probabilities.numel():
            return probabilities.float()  # N is 0; torch's embedding_bag takes no empty rows on every processor
        shape = probabilities.shape
        leading = self.image_shape[0] if len(self.image_shape) == 4 else 1
        labels, height, width = shape[-3:]
        unary = probabilities.float().clamp(min=LEAST_PROBABILITY).log()
        unary = unary.reshape(leading, -1, labels, height * width).permute(0, 3, 1, 2)  # -> (B, H * W, N, L)
        # in memory as in shape: every gather of the iterations then reads one short row, 1.5 times as fast for ten maps
        unary = unary.reshape(leading * height * width, -1, labels).contiguous()  # (B, H * W, N, L) -> (P, N, L)
        logits = self.mean_field(unary[..., 1:] - unary[..., :1])  # (P, N, L - 1)
        if labels == 2:
            marginals = torch.cat([-logits, logits], dim=-1).sigmoid()  # (P, N, 1) -> (P, N, 2)
        else:
            marginals = F.pad(logits, (1, 0)).softmax(-1)  # (P, N, L - 1) -> (P, N, L)
        marginals = marginals.view(leading, height * width, -1, labels).permute(0, 2, 3, 1)  # -> (B, N, L, H * W)
        return marginals.reshape(shape)  # (B, N, L, H * W) -> (..., L, H, W)

    def mean_field(self, unary: torch.Tensor) -> torch.Tensor:
        """Mean field on log odds against the first label: (P, N, L - 1) -> (P, N, L - 1).

        Labels compete, so only differences between them matter; filtering is linear, so that those differences are all
        that is filtered: L - 1 values instead of L, one for a mask. On a GPU nothing here waits for the device.
        """
        logits = unary
        for _ in range(int(self.parameters.iterations)):
            if unary.shape[-1] == 1:
                difference = (logits / 2).tanh()  # of the two probabilities
            else:
                marginals = F.pad(logits, (1, 0)).softmax(-1)  # (P, N, L - 1) -> (P, N, L)
                difference = marginals[..., 1:] - marginals[..., :1]  # (P, N, L) -> (P, N, L - 1)
            logits = unary
            for weight, lattice, norm in self.kernels:
                message = lattice.filter(difference.flatten(1) * norm) * norm  # (P, N, L - 1) -> (P, N * (L - 1))
                logits = logits.add(message.view_as(unary), alpha=weight)  # -> (P, N, L - 1)
        return logits


def place_pixels(
    num_images: int, height: int, width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Column and row (2, P) float32 of every pixel, and its picture (P,), None where there is one."""
    picture, row, column = torch.meshgrid(
        *(torch.arange(length, device=device) for length in (num_images, height, width)), indexing="ij"
    )
    positions = torch.stack([column.flatten(), row.flatten()]).float()  # (B, H, W) each -> (2, P)
    return positions, picture.flatten() if num_images > 1 else None


def build_kernel(
    features: torch.Tensor, picture: torch.Tensor | None, has_ghosts: bool
) -> tuple[PermutohedralLattice, torch.Tensor]:
    """
    The lattice of a kernel, and what each pixel is divided by before and after a filtering, (P, 1), so that no pixel's
    neighbors count for more.

    Args:
        features: (d, P) what the kernel compares, in standard deviations.
        picture: (P,) or None, as of `place_pixels`.
        has_ghosts: the C++ program works on four pixels at a time and fills up the last four with black ones in the
            first corner. They have no weight, but dark pixels see farther through their vertices, by up to 0.04 in a
            probability. One of each picture is enough, G in all.
    """
    num_pixels, num_ghosts = features.shape[1], 0
    if has_ghosts and picture is None:
        num_ghosts = 1
    elif has_ghosts:
        ghosts = picture.unique()
        picture, num_ghosts = torch.cat([picture, ghosts]), len(ghosts)  # (P,) -> (P + G,)
    lattice = PermutohedralLattice(F.pad(features, (0, num_ghosts)), picture, num_ghosts)  # (d, P) -> (d, P + G)
    return lattice, lattice.filter(features.new_ones(num_pixels, 1)).add_(1e-20).rsqrt_()  # (P, 1)


@lru_cache(maxsize=1)
def gaussian_kernel(
    num_images: int, height: int, width: int, sxy: float, device: torch.device
) -> tuple[PermutohedralLattice, torch.Tensor]:
    """The kernel of positions alone, which pictures of one size share: the last one is kept, 5 MB for 320 x 320."""
    with torch.inference_mode(False), torch.no_grad():  # it may be used elsewhere than where it was built
        positions, picture = place_pixels(num_images, height, width, device)
        return build_kernel(positions / positions.new_tensor(sxy), picture, height * width % 4 > 0)


def check_images(images: torch.Tensor) -> None:
    if not isinstance(images, torch.Tensor) or images.dtype != torch.uint8:
        kind = images.dtype if isinstance(images, torch.Tensor) else type(images).__name__
        raise TypeError(
            f"the images of the dense CRF are {kind}; give a uint8 tensor of gray levels 0..255, in which "
            "bilateral_srgb is measured: (image * 255).round().to(torch.uint8)"
        )
    if images.ndim not in (3, 4) or images.shape[-3] != 3 or 0 in images.shape:
        raise ValueError(f"the images of the dense CRF are {tuple(images.shape)}; give (3, H, W) or (B, 3, H, W)")


def check_probabilities(probabilities: torch.Tensor, image_shape: tuple[int, ...]) -> None:
    shape, leading = tuple(probabilities.shape), image_shape[:-3]
    wanted = "x".join(map(str, [*leading, "...", "labels", *image_shape[-2:]]))
    if len(shape) < len(leading) + 3 or shape[: len(leading)] != leading or shape[-2:] != image_shape[-2:]:
        raise ValueError(
            f"the probabilities are {'x'.join(map(str, shape))}, the images {'x'.join(map(str, image_shape))}; give "
            f"probabilities of {wanted}"
        )
    if shape[-3] < 2:
        raise ValueError(
            f"the probabilities have {shape[-3]} label; a CRF weighs two or more: torch.stack([1 - p, p], dim=-3)"
        )
    if not probabilities.is_floating_point():
        raise TypeError(f"the probabilities are {probabilities.dtype}; give floating point numbers in [0, 1]")
    low, high = (float(limit) for limit in probabilities.aminmax()) if probabilities.numel() else (0, 0)
    if not (low >= 0 and high <= 1):  # so that NaN is refused too
        raise ValueError(f"the probabilities go from {low} to {high}; give numbers in [0, 1], not logits")
