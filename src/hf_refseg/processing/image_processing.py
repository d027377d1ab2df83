"""The image processor of every system that reads letterboxed images: RMI, LSTM-CNN."""

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as tvF
from transformers.image_processing_backends import TorchvisionBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs, Unpack

from .images import image_list, load_image
from .resizing import Placement, check_interpolation, resize_and_crop, skimage_resize


class RefSegImageProcessorKwargs(ImagesKwargs, total=False):
    r"""
    interpolation (`str`, *optional*, defaults to `"clean"`):
        How images and masks are interpolated: `"clean"` (bilinear, antialiased when shrinking) or `"paper"`
        (scikit-image 0.12/0.13 as in the originals). See `hf_refseg.processing.resizing`.
    """

    interpolation: str


class RefSegImageProcessor(TorchvisionBackend):
    """Letterboxes images to `size`, normalises them, and takes masks back to the images' own sizes.

    With `do_rescale=False` (default) mean and std are in grey levels (0..255), in RGB order; with `do_rescale=True`
    they are in [0, 1]. Padding is black and added before the mean is subtracted, so the border is `-mean / std` as in
    the originals. `do_pad=False` leaves the scaled image without its letterbox, `do_resize=False` leaves it as it is;
    images of a batch that then differ in size are padded with zeros at the bottom and right, and `pixel_mask` says
    which pixels are real.
    """

    valid_kwargs = RefSegImageProcessorKwargs
    model_input_names = ["pixel_values", "original_sizes"]
    size = {"height": 320, "width": 320}
    image_mean = [0.0, 0.0, 0.0]
    image_std = [1.0, 1.0, 1.0]
    do_resize = True
    do_pad = True
    do_rescale = False
    do_normalize = True
    resample = PILImageResampling.BILINEAR  # the only one: both interpolations are bilinear
    interpolation = "clean"

    def __init__(self, **kwargs: Unpack[RefSegImageProcessorKwargs]):
        super().__init__(**kwargs)
        check_interpolation(self.interpolation)
        self._check_resample(self.resample)

    @staticmethod
    def size_of_side(side: int) -> dict[str, int]:
        """The `size` of a square network input."""
        return {"height": side, "width": side}

    @staticmethod
    def _check_resample(resample) -> None:
        if resample != PILImageResampling.BILINEAR:
            raise ValueError(f"resample is {resample!r}; only PILImageResampling.BILINEAR (2) is supported")

    def preprocess(self, images, segmentation_maps=None, **kwargs: Unpack[RefSegImageProcessorKwargs]) -> BatchFeature:
        """Images (and masks) to the network's input.

        Args:
            images: one image or a list of B images, each anything that `load_image` reads.
            segmentation_maps: one mask or a list of N masks, each (H, W) at the size of its image; non-zero is
                foreground.

        Returns: `pixel_values (B, 3, H, W)` float32; `original_sizes (B, 2)` int64, (height, width) in pixels;
            `pixel_mask (B, H, W)` int64 only where images of the batch differ in size; with masks also
            `labels (N, H, W)` float32 in {0, 1}. They are torch tensors unless `return_tensors` says otherwise.

        Raises ValueError for what is not an image (see `load_image`) and for masks that are not (H, W).
        """
        kwargs.setdefault("return_tensors", "pt")
        return super().preprocess(images, segmentation_maps, **kwargs)

    def _preprocess_image_like_inputs(
        self, images, segmentation_maps=None, *, input_data_format=None, return_tensors="pt", device=None, **kwargs
    ) -> BatchFeature:
        check_interpolation(kwargs["interpolation"])
        self._check_resample(kwargs["resample"])
        images = image_list(images)
        if not images:
            raise ValueError("the list of images is empty; give at least one image")
        images = [load_image(image, f"images[{index}]", input_data_format) for index, image in enumerate(images)]
        tensors = [tvF.pil_to_tensor(image).to(device) for image in images]  # uint8 (3, H, W) each
        data = self._preprocess(tensors, **kwargs)
        data["original_sizes"] = torch.tensor([tensor.shape[-2:] for tensor in tensors])
        if segmentation_maps is not None:
            canvas = tuple(data["pixel_values"].shape[-2:])
            data["labels"] = self._preprocess_masks(segmentation_maps, canvas, device=device, **kwargs)
        return BatchFeature(data=data, tensor_type=return_tensors)

    def _preprocess(
        self, images, do_rescale, rescale_factor, do_normalize, image_mean, image_std, interpolation, **kwargs
    ) -> dict[str, torch.Tensor]:
        """uint8 images (3, H, W) of any sizes -> `pixel_values (B, 3, H, W)` and, where sizes differ, `pixel_mask`."""
        framed = []
        for image in images:
            box = self.letterbox(image.shape[-2:], **kwargs)
            if box.inner != box.original:
                image = self.resize_image(image, box.inner, interpolation)
            framed.append(box.pad(image))
        batch = self.batch(framed)
        pixels = self.rescale_and_normalize(
            batch["pixel_values"], do_rescale, rescale_factor, do_normalize, image_mean, image_std
        )
        batch["pixel_values"] = pixels.to(torch.float32)
        if "pixel_mask" in batch:
            batch["pixel_values"] = batch["pixel_values"] * batch["pixel_mask"][:, None]
        return batch

    @staticmethod
    def batch(images: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Images (3, H, W) of any sizes -> `pixel_values (B, 3, H, W)`, zeros at the right and bottom of smaller ones,
        and, where sizes differ, `pixel_mask (B, H, W)`."""
        sizes = [image.shape[-2:] for image in images]
        height, width = (max(side) for side in zip(*sizes, strict=True))
        borders = [(0, width - w, 0, height - h) for h, w in sizes]
        data = {"pixel_values": torch.stack([F.pad(image, by) for image, by in zip(images, borders, strict=True)])}
        if len(set(sizes)) > 1:
            ones = [torch.ones(size, dtype=torch.int64, device=images[0].device) for size in sizes]
            data["pixel_mask"] = torch.stack([F.pad(mask, by) for mask, by in zip(ones, borders, strict=True)])
        return data

    def _preprocess_masks(self, masks, canvas: tuple[int, int], interpolation, device, **kwargs) -> torch.Tensor:
        """Masks (H, W) at the images' sizes -> labels (N, *canvas) float32 in {0, 1}."""
        labels = []
        for index, mask in enumerate(mask_list(masks)):
            mask = torch.as_tensor(mask_array(mask, f"segmentation_maps[{index}]"), device=device)
            box = self.letterbox(mask.shape, **kwargs)
            mask = mask.to(torch.float32)
            if box.inner != box.original:
                mask = self.resize_mask(mask, box.inner, interpolation)
            mask = box.pad((mask > 0).to(torch.float32))
            labels.append(F.pad(mask, (0, canvas[1] - mask.shape[1], 0, canvas[0] - mask.shape[0])))
        return torch.stack(labels)

    def letterbox(
        self,
        original: tuple[int, int],
        size: SizeDict | None = None,
        do_resize: bool | None = None,
        do_pad: bool | None = None,
        **_,
    ) -> Placement:
        """Where an image of size `original` (height, width) ends up in the network's input."""
        size = SizeDict(**dict(self.size)) if size is None else size
        do_resize = self.do_resize if do_resize is None else do_resize
        do_pad = self.do_pad if do_pad is None else do_pad
        original = tuple(original)
        if not do_resize:
            return Placement(original, original, original, 0, 0)
        if not (size.height and size.width):
            raise ValueError(f"size is {dict(size)}; give it as {{'height': ..., 'width': ...}}")
        box = Placement.fit(original, (size.height, size.width))
        return box if do_pad else Placement(original, box.inner, box.inner, 0, 0)

    @staticmethod
    def resize_image(image: torch.Tensor, size: tuple[int, int], interpolation: str) -> torch.Tensor:
        """uint8 (3, H, W) -> uint8 (3, *size)."""
        if interpolation == "clean":
            return tvF.resize(image, list(size), antialias=True)
        # times the reciprocal, as scikit-image converts: a division rounds some ties the other way
        return (skimage_resize(image.to(torch.float64) * (1 / 255), size) * 255).round().to(torch.uint8)

    @staticmethod
    def resize_mask(mask: torch.Tensor, size: tuple[int, int], interpolation: str) -> torch.Tensor:
        """float (H, W) in {0, 1} -> (*size); the foreground is where the result is above 0.

        `clean`: pixels covered to at least a half. `paper`: every pixel touched, so that masks grow by up to a pixel.
        """
        if interpolation == "clean":
            return (tvF.resize(mask[None], list(size), antialias=True)[0] >= 0.5).to(mask.dtype)
        return skimage_resize(mask, size)

    def placement(self, original: tuple[int, int], canvas: tuple[int, int]) -> Placement:
        """Where an image of size `original` lies in logits of size `canvas`, which one call may have chosen itself."""
        return Placement.fit(original, canvas) if self.do_resize and self.do_pad else self.letterbox(original)

    def restore_masks(
        self, logits: torch.Tensor, target_size: tuple[int, int], threshold: float = 0.5, interpolation: str = "clean"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask logits of one image back to its size: the inverse of the letterbox.

        Args:
            logits: (N, H, W) at the network's input size.
            target_size: (height, width) of the image.
            threshold: the probability above which a pixel is foreground; the paper's interpolation only knows 0.5.
            interpolation: `clean`: sigmoid, cut the padding off, bilinear to the image's size, `> threshold`.
                `paper`: `logits >= 1e-9`, scale to cover the image, cut the centre out, every value above 0 counts
                (the originals' evaluation: masks are slightly larger).

        Returns: masks (N, *target_size) bool and probabilities (N, *target_size) float32, these always `clean`.

        Raises ValueError for an unknown interpolation, and where `paper` is asked for another threshold or without a
        letterbox.
        """
        check_interpolation(interpolation)
        target_size = tuple(target_size)
        box = self.placement(target_size, tuple(logits.shape[-2:]))
        probabilities = box.crop(logits.float().sigmoid())  # (N, H, W) -> (N, *inner)
        if box.inner != target_size:
            probabilities = tvF.resize(probabilities, list(target_size), antialias=True)  # -> (N, *target_size)
        if interpolation == "clean":
            return probabilities > threshold, probabilities
        if threshold != 0.5:
            raise ValueError(
                f"interpolation='paper' cuts at logit 1e-9; threshold {threshold} needs interpolation='clean'"
            )
        if not (self.do_resize and self.do_pad):
            raise ValueError("interpolation='paper' needs do_resize and do_pad; without them use 'clean'")
        return resize_and_crop((logits >= 1e-9).to(torch.float32), target_size) > 0, probabilities


def mask_list(masks) -> list:
    """One mask (H, W) or many, as a list; an array of 3 dimensions is a batch."""
    if isinstance(masks, (np.ndarray, torch.Tensor)):
        return list(masks) if masks.ndim == 3 else [masks]
    return list(masks) if isinstance(masks, (list, tuple)) else [masks]


def mask_array(mask, name: str) -> torch.Tensor:
    """One mask (numpy, torch or PIL; bool or numbers, non-zero = foreground) -> (H, W) bool tensor."""
    mask = mask.detach() if isinstance(mask, torch.Tensor) else torch.from_numpy(np.array(mask))
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(f"{name} has the shape {tuple(mask.shape)}; expected one mask (H, W) at the size of its image")
    return mask != 0
