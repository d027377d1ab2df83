"""The image processors of all systems: one base, and the two ways to place an image in the network's input."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as tvF
from transformers.image_processing_backends import TorchvisionBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs, Unpack

from ..saving import Code, SavesItsCode
from .images import image_list, load_image
from .masks import read_masks
from .placement import CenteredPlacement, CornerPlacement, Placement
from .resizing import check_interpolation, opencv_resize

# Settings of transformers' image processors by which no image is prepared here, and what is true of every image.
FOLLOWED = {
    "do_center_crop": (None, False),
    "crop_size": (None,),
    "pad_size": (None,),
    "data_format": (None, "channels_first"),
    "do_convert_rgb": (None, True),
}


class RefSegImageProcessorKwargs(ImagesKwargs, total=False):
    r"""
    interpolation (`str`, *optional*, defaults to `"clean"`):
        How images and masks are interpolated: `"clean"` (bilinear, antialiased when shrinking) or `"paper"`
        (scikit-image 0.12/0.13 as in the originals). See `hf_refseg.processing.resizing`.
    """

    interpolation: str


class RefSegImageProcessor(SavesItsCode, TorchvisionBackend):
    """What all image processors share: reading images and masks, batches, and the way back for masks.

    With `do_rescale=False` (default) mean and std are in gray levels (0..255), in RGB order; with `do_rescale=True`
    they are in [0, 1]. Images of a batch that differ in size after processing are padded with zeros at the bottom and
    right, and `pixel_mask` says which pixels are real.

    A subclass says in `placement` where an image lies in the network's input, and in `prepare` what its pixels become.
    """

    valid_kwargs = RefSegImageProcessorKwargs
    model_input_names = ["pixel_values", "original_sizes"]
    image_mean = [0.0, 0.0, 0.0]
    image_std = [1.0, 1.0, 1.0]
    do_resize = True
    do_rescale = False
    do_normalize = True
    resample = PILImageResampling.BILINEAR  # the only one: both interpolations are bilinear
    interpolation = "clean"

    def __init__(self, **kwargs: Unpack[RefSegImageProcessorKwargs]):
        super().__init__(**kwargs)
        checked = ("interpolation", "resample", "do_pad", *FOLLOWED)
        self.check_settings({name: getattr(self, name, None) for name in checked})

    def has_code(self) -> bool:
        return getattr(self, "auto_map", None) is not None

    def name_code(self, code: Code) -> None:
        self.auto_map = dict(code.auto_map)

    @staticmethod
    def size_of_side(side: int) -> dict[str, int]:
        """The `size` that one number means, such as `size: 320` in a recipe."""
        raise NotImplementedError

    def check_settings(self, settings: Mapping[str, object]) -> None:
        """Raises ValueError for settings that this processor cannot follow."""
        check_interpolation(settings["interpolation"])
        for name, follows in FOLLOWED.items():
            if settings.get(name) not in follows:
                raise ValueError(f"{name} is {settings[name]}, which would not be followed; leave it out")
        resample = settings["resample"]
        if resample != PILImageResampling.BILINEAR:
            raise ValueError(f"resample is {resample!r}; only PILImageResampling.BILINEAR (2) is supported")

    def placement(self, original: tuple[int, int], canvas: tuple[int, int] | None = None, **settings) -> Placement:
        """Where an image lies in the network's input.

        Args:
            original: (height, width) of the image.
            canvas: (height, width) of the network's input, or of logits of its size; None: what the image alone gets.
            settings: `size`, `do_resize` and `do_pad` of one call, instead of the processor's own.

        Raises ValueError for a `size` of other keys, and where the scaled image does not fit into the canvas.
        """
        raise NotImplementedError

    def prepare(self, image: torch.Tensor, **settings) -> torch.Tensor:
        """uint8 (3, H, W) -> float32 (3, h, w), resized, padded and normalized as far as the image alone needs it."""
        raise NotImplementedError

    def preprocess(self, images, segmentation_maps=None, **kwargs: Unpack[RefSegImageProcessorKwargs]) -> BatchFeature:
        """Images (and masks) to the network's input.

        Args:
            images: one image or a list of B images, each anything that `load_image` reads.
            segmentation_maps: one mask or a list of N masks, each (H, W) at the size of its image, of bool or of 0 and
                one other value. A mask object that is given several times is resized once.

        Returns: `pixel_values (B, 3, H, W)` float32; `original_sizes (B, 2)` int64, (height, width) in pixels;
            `pixel_mask (B, H, W)` int64 only where images of the batch differ in size; with masks also
            `labels (N, H, W)` float32 in {0, 1}. They are torch tensors unless `return_tensors` says otherwise.

        Raises ValueError for what is not an image (see `load_image`) and for masks that are not (H, W).
        """
        kwargs.setdefault("return_tensors", "pt")
        return super().preprocess(images, segmentation_maps, **kwargs)

    def _preprocess_image_like_inputs(
        self, images, segmentation_maps=None, *, input_data_format=None, return_tensors="pt", device=None, **settings
    ) -> BatchFeature:
        self.check_settings(settings)
        images = image_list(images)
        if not images:
            raise ValueError("the list of images is empty; give at least one image")
        images = [load_image(image, f"images[{index}]", input_data_format) for index, image in enumerate(images)]
        tensors = [tvF.pil_to_tensor(image).to(device) for image in images]  # uint8 (3, H, W) each
        for tensor in tensors:  # which raises for a size that no memory has, before any is taken
            self.placement(tuple(tensor.shape[-2:]), **settings)
        data = self._preprocess(tensors, **settings)
        data["original_sizes"] = torch.tensor([tensor.shape[-2:] for tensor in tensors])
        if segmentation_maps is not None:
            canvas = tuple(data["pixel_values"].shape[-2:])
            data["labels"] = self._preprocess_masks(segmentation_maps, canvas, device, **settings)
        return BatchFeature(data=data, tensor_type=return_tensors)

    def _preprocess(self, images: list[torch.Tensor], **settings) -> dict[str, torch.Tensor]:
        """uint8 images (3, H, W) of any sizes -> `pixel_values (B, 3, H, W)` and, where sizes differ, `pixel_mask`."""
        ready = [self.prepare(image, **settings) for image in images]
        sizes = [tuple(image.shape[-2:]) for image in ready]
        canvas = tuple(max(side) for side in zip(*sizes, strict=True))
        data = {"pixel_values": torch.stack([pad_to(image, canvas) for image in ready])}
        if len(set(sizes)) > 1:
            ones = [torch.ones(size, dtype=torch.int64, device=ready[0].device) for size in sizes]
            data["pixel_mask"] = torch.stack([pad_to(mask, canvas) for mask in ones])
        return data

    def _preprocess_masks(self, masks, canvas: tuple[int, int], device, **settings) -> torch.Tensor:
        """Masks (H, W) at the images' sizes -> labels (N, *canvas) float32 in {0, 1}."""
        different, index = read_masks(masks)
        labels = []
        for mask in different:
            placement = self.placement(tuple(mask.shape), **settings)
            labels.append(pad_to(placement.place_mask(mask.to(device), settings["interpolation"]), canvas))
        return torch.stack(labels)[index]  # (M, H, W) -> (N, H, W)

    def normalized(
        self, image: torch.Tensor, *, do_rescale, rescale_factor, do_normalize, image_mean, image_std, **_
    ) -> torch.Tensor:
        """uint8 (3, H, W) -> float32 (3, H, W)."""
        pixels = self.rescale_and_normalize(
            image[None], do_rescale, rescale_factor, do_normalize, image_mean, image_std
        )
        return pixels[0].to(torch.float32)

    def restore_masks(
        self,
        logits: torch.Tensor,
        target_size: tuple[int, int],
        threshold: float = 0.5,
        interpolation: str = "clean",
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask logits (N, H, W) of the network's input to masks (N, *target_size) bool of an image of `target_size`,
        and their probabilities (N, *target_size) float32; see [`Placement.restore`]."""
        return self.placement(tuple(target_size), tuple(logits.shape[-2:])).restore(logits, threshold, interpolation)


def pad_to(image: torch.Tensor, canvas: tuple[int, int]) -> torch.Tensor:
    """(..., H, W) -> (..., *canvas), zeros at the right and bottom."""
    return F.pad(image, (0, canvas[1] - image.shape[-1], 0, canvas[0] - image.shape[-2]))


class CanvasImageProcessor(RefSegImageProcessor):
    """Fits images into a canvas of `size` (`height`, `width`), centered: RMI, LSTM-CNN.

    Padding is black and added before the mean is subtracted, so the border is `-mean / std` as in the originals.
    `do_pad=False` leaves the scaled image without its border, `do_resize=False` leaves it as it is.
    """

    size = {"height": 320, "width": 320}
    do_pad = True

    @staticmethod
    def size_of_side(side: int) -> dict[str, int]:
        """The `size` of a square network input."""
        return {"height": side, "width": side}

    def placement(
        self,
        original: tuple[int, int],
        canvas: tuple[int, int] | None = None,
        size: SizeDict | None = None,
        do_resize: bool | None = None,
        do_pad: bool | None = None,
        **_,
    ) -> Placement:
        size = self.size if size is None else size
        do_resize = self.do_resize if do_resize is None else do_resize
        do_pad = self.do_pad if do_pad is None else do_pad
        if not do_resize:
            return Placement(original, canvas or original, original)
        height, width = (dict(size).get(side) for side in ("height", "width"))
        if not (height and width and min(height, width) > 0):
            raise ValueError(f"size is {dict(size)}; give it as {{'height': ..., 'width': ...}}")
        if do_pad:
            return CenteredPlacement.fit(original, canvas or (height, width))
        inner = CenteredPlacement.fit(original, (height, width)).inner
        return Placement(original, canvas or inner, inner)

    def prepare(self, image: torch.Tensor, *, interpolation: str, **settings) -> torch.Tensor:
        placement = self.placement(tuple(image.shape[-2:]), **settings)
        return self.normalized(placement.place_picture(image, interpolation), **settings)


class ShortestEdgeImageProcessor(RefSegImageProcessor):
    """Scales images until their short side has `shortest_edge` pixels, or the long one `longest_edge`: the detector.

    Images are resized as OpenCV does it; `interpolation` is about masks alone. `image_scales` says by how much each
    image was enlarged.
    """

    model_input_names = ["pixel_values", "original_sizes", "image_scales"]
    size = {"shortest_edge": 600, "longest_edge": 1000}
    default_to_square = False

    @staticmethod
    def size_of_side(side: int) -> dict[str, int]:
        """The `size` with this short side, and the paper's ratio of 600 to 1000 for the longest there may be."""
        return {"shortest_edge": side, "longest_edge": side * 5 // 3}

    def check_settings(self, settings: Mapping[str, object]) -> None:
        super().check_settings(settings)
        if settings["do_pad"] is False:
            raise ValueError("do_pad is False, but the images of a batch are always padded to one size; leave it out")

    def scale_of(self, original: tuple[int, int], size=None, do_resize: bool | None = None) -> float:
        """By how much an image of (height, width) pixels is enlarged."""
        if not (self.do_resize if do_resize is None else do_resize):
            return 1.0
        size = self.size if size is None else size
        shortest, longest = (dict(size).get(edge) for edge in ("shortest_edge", "longest_edge"))
        if not (shortest and longest and min(shortest, longest) > 0):
            raise ValueError(f"size is {dict(size)}; give it as {{'shortest_edge': ..., 'longest_edge': ...}}")
        scale = shortest / min(original)
        if round(scale * max(original)) > longest:
            scale = longest / max(original)
        return scale

    def placement(
        self,
        original: tuple[int, int],
        canvas: tuple[int, int] | None = None,
        size: SizeDict | None = None,
        do_resize: bool | None = None,
        **_,
    ) -> CornerPlacement:
        scale = self.scale_of(original, size, do_resize)
        inner = tuple(max(round(side * scale), 1) for side in original)
        return CornerPlacement(original, canvas or inner, inner)

    def prepare(
        self, image: torch.Tensor, *, size: SizeDict | None = None, do_resize: bool | None = None, **settings
    ) -> torch.Tensor:
        # the mean goes first, as in the original, so that rounding falls alike
        return opencv_resize(self.normalized(image, **settings), self.scale_of(image.shape[-2:], size, do_resize))

    def _preprocess(self, images: list[torch.Tensor], **settings) -> dict[str, torch.Tensor]:
        scales = [self.scale_of(image.shape[-2:], settings["size"], settings["do_resize"]) for image in images]
        return super()._preprocess(images, **settings) | {"image_scales": torch.tensor(scales)}
