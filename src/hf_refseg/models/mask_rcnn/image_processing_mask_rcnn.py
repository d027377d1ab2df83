"""Image processor of the detector: the 600/1000 resize and Caffe's means, and masks pasted back into photos."""

import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as tvF
from transformers.image_processing_backends import TorchvisionBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling
from transformers.models.auto.image_processing_auto import AutoImageProcessor
from transformers.processing_utils import ImagesKwargs, Unpack

from ...processing.image_processing import mask_array, mask_list
from ...processing.images import image_list, load_image
from ...processing.mask_pasting import paste_masks
from ...processing.resizing import check_protocol, opencv_resize
from .configuration_mask_rcnn import MaskRcnnConfig


class MaskRcnnImageProcessorKwargs(ImagesKwargs, total=False):
    r"""
    protocol (`str`, *optional*, defaults to `"clean"`):
        How masks are pasted into the photo: `"clean"` or `"paper"`, see `hf_refseg.processing.mask_pasting`.
    """

    protocol: str


class MaskRcnnImageProcessor(TorchvisionBackend):
    """Scales images until their short side has 600 pixels, or the long one 1000, and subtracts Caffe's means (RGB).

    Images that then differ in size are padded with zeros at the right and bottom; `pixel_mask` says which pixels are
    real. `size` has the keys `shortest_edge` and `longest_edge`.
    """

    valid_kwargs = MaskRcnnImageProcessorKwargs
    model_input_names = ["pixel_values", "original_sizes", "image_scales"]
    size = {"shortest_edge": 600, "longest_edge": 1000}
    default_to_square = False
    image_mean = [122.7717, 115.9465, 102.9801]
    image_std = [1.0, 1.0, 1.0]
    do_resize = True
    do_pad = True
    do_rescale = False
    do_normalize = True
    resample = PILImageResampling.BILINEAR  # the only one
    protocol = "clean"

    def __init__(self, **kwargs: Unpack[MaskRcnnImageProcessorKwargs]):
        super().__init__(**kwargs)
        check_protocol(self.protocol)
        if self.resample != PILImageResampling.BILINEAR:
            raise ValueError(f"resample is {self.resample!r}; only PILImageResampling.BILINEAR (2) is supported")

    @staticmethod
    def size_of_side(side: int) -> dict[str, int]:
        """The `size` with this short side, and the paper's ratio of 600 to 1000 for the longest there may be."""
        return {"shortest_edge": side, "longest_edge": side * 5 // 3}

    def preprocess(
        self, images, segmentation_maps=None, annotations=None, **kwargs: Unpack[MaskRcnnImageProcessorKwargs]
    ) -> BatchFeature:
        """Images (and what is in them) to the network's input.

        Args:
            images: one image or a list of B images, each anything that `load_image` reads.
            segmentation_maps: one mask or a list of N masks, each (H, W) at the size of its image; non-zero is
                foreground.
            annotations: to train the detector, per image a dict of `boxes` (G, 4) xyxy in pixels of the image, x2 and
                y2 outside the box, `masks` (G, H, W) at its size, and `class_labels` (G,).

        Returns: `pixel_values (B, 3, H, W)` float32; `original_sizes (B, 2)` int64, (height, width) in pixels;
            `image_scales (B,)` float32, by which each image was enlarged; `pixel_mask (B, H, W)` int64 only where
            images of the batch differ in size; with masks also `labels (N, H, W)` float32 in {0, 1}; with annotations
            `labels`, per image the dict that the detector's forward takes.

        Raises ValueError for what is not an image (see `load_image`) and for masks and annotations that do not fit.
        """
        kwargs.setdefault("return_tensors", "pt")
        return super().preprocess(images, segmentation_maps, annotations, **kwargs)

    def _preprocess_image_like_inputs(
        self,
        images,
        segmentation_maps=None,
        annotations=None,
        *,
        input_data_format=None,
        return_tensors="pt",
        device=None,
        **kwargs,
    ) -> BatchFeature:
        check_protocol(kwargs["protocol"])
        images = image_list(images)
        if not images:
            raise ValueError("the list of images is empty; give at least one image")
        images = [load_image(image, f"images[{index}]", input_data_format) for index, image in enumerate(images)]
        tensors = [tvF.pil_to_tensor(image).to(device) for image in images]  # uint8 (3, H, W) each
        scales = [self.scale_of(tensor.shape[-2:], kwargs["size"], kwargs["do_resize"]) for tensor in tensors]
        data = self._preprocess(tensors, scales, **kwargs)
        data["original_sizes"] = torch.tensor([tensor.shape[-2:] for tensor in tensors])
        data["image_scales"] = torch.tensor(scales)
        canvas = tuple(data["pixel_values"].shape[-2:])
        if segmentation_maps is not None:
            data["labels"] = self._preprocess_masks(segmentation_maps, canvas, device=device, **kwargs)
        features = BatchFeature(data=data, tensor_type=return_tensors)
        if annotations is not None:
            features["labels"] = self._preprocess_annotations(annotations, data["original_sizes"], scales, canvas)
        return features

    def _preprocess(
        self, images, scales, do_rescale, rescale_factor, do_normalize, image_mean, image_std, **kwargs
    ) -> dict[str, torch.Tensor]:
        """uint8 images (3, H, W) of any sizes -> `pixel_values (B, 3, H, W)` and, where sizes differ, `pixel_mask`."""
        ready = []
        for image, scale in zip(images, scales, strict=True):
            # the mean goes first, as in the original, so that rounding falls alike
            pixels = self.rescale_and_normalize(
                image[None], do_rescale, rescale_factor, do_normalize, image_mean, image_std
            )[0].to(torch.float32)
            ready.append(opencv_resize(pixels, scale))
        sizes = [image.shape[-2:] for image in ready]
        height, width = (max(side) for side in zip(*sizes, strict=True))
        pad = [(0, width - w, 0, height - h) for h, w in sizes]
        data = {
            "pixel_values": torch.stack([F.pad(image, border) for image, border in zip(ready, pad, strict=True)])
        }
        if len(set(sizes)) > 1:
            ones = [torch.ones(size, dtype=torch.int64, device=ready[0].device) for size in sizes]
            data["pixel_mask"] = torch.stack([F.pad(mask, border) for mask, border in zip(ones, pad, strict=True)])
        return data

    def scale_of(self, original: tuple[int, int], size=None, do_resize: bool | None = None) -> float:
        """By how much an image of (height, width) pixels is enlarged."""
        if not (self.do_resize if do_resize is None else do_resize):
            return 1.0
        size = dict(self.size) if size is None else size
        shortest, longest = size["shortest_edge"], size["longest_edge"]
        if not (shortest and longest):
            raise ValueError(f"size is {dict(size)}; give it as {{'shortest_edge': ..., 'longest_edge': ...}}")
        scale = shortest / min(original)
        if round(scale * max(original)) > longest:
            scale = longest / max(original)
        return scale

    def _preprocess_masks(self, masks, canvas: tuple[int, int], device, **kwargs) -> torch.Tensor:
        """Masks (H, W) at the images' sizes -> labels (N, *canvas) float32 in {0, 1}."""
        labels = []
        for index, mask in enumerate(mask_list(masks)):
            mask = mask_array(mask, f"segmentation_maps[{index}]").to(device)
            scale = self.scale_of(tuple(mask.shape), kwargs["size"], kwargs["do_resize"])
            mask = (opencv_resize(mask[None].float(), scale)[0] >= 0.5).float()
            labels.append(F.pad(mask, (0, canvas[1] - mask.shape[1], 0, canvas[0] - mask.shape[0])))
        return torch.stack(labels)

    def _preprocess_annotations(self, annotations, sizes, scales, canvas: tuple[int, int]) -> list[dict]:
        """Per image the true boxes, masks and categories in the network's input."""
        if len(annotations) != len(scales):
            raise ValueError(f"{len(annotations)} annotations for {len(scales)} images; give one dict per image")
        labels = []
        for index, (of_image, size, scale) in enumerate(zip(annotations, sizes.tolist(), scales, strict=True)):
            boxes = torch.as_tensor(of_image["boxes"], dtype=torch.float32).reshape(-1, 4)
            class_labels = torch.as_tensor(of_image["class_labels"], dtype=torch.long)
            masks = torch.as_tensor(of_image["masks"])
            if tuple(masks.shape) != (len(boxes), *size) or len(class_labels) != len(boxes):
                raise ValueError(
                    f"annotations[{index}] has {len(boxes)} boxes, {len(class_labels)} class_labels and masks of "
                    f"{tuple(masks.shape)}; its image of {size[0]} x {size[1]} pixels needs as many of each, and masks "
                    "at its size"
                )
            # scaled with the second corner inside the box, as the original does
            inside = torch.cat([boxes[:, :2], boxes[:, 2:] - 1], dim=1) * scale
            boxes = torch.cat([inside[:, :2], inside[:, 2:] + 1], dim=1)
            if len(boxes):
                masks = opencv_resize(masks.float(), scale) >= 0.5  # (G, H, W)
                masks = F.pad(masks, (0, canvas[1] - masks.shape[2], 0, canvas[0] - masks.shape[1]))
            else:
                masks = masks.new_zeros((0, *canvas), dtype=torch.bool)
            labels.append({"boxes": boxes, "masks": masks, "class_labels": class_labels})
        return labels

    def post_process_instance_segmentation(
        self,
        outputs,
        target_sizes: torch.Tensor | list[tuple[int, int]],
        threshold: float = 0.0,
        mask_threshold: float = 0.5,
        protocol: str | None = None,
    ) -> list[dict]:
        """What was found in each image, the surest first.

        Args:
            outputs: a `MaskRcnnOutput`.
            target_sizes: (B, 2) height and width of the original images, as in `original_sizes`.
            threshold: least score of what is returned; the model has already applied its own.
            mask_threshold: probability above which a pixel belongs to the thing; the paper protocol only knows its own.
            protocol: `"clean"` or `"paper"`; None is the processor's own. See `hf_refseg.processing.mask_pasting`.

        Returns: per image a dict of `segmentation` (R, H, W) bool and `segments_info`, R dicts of `id` (row of
            `segmentation`), `label_id`, `score` and `box` [x1, y1, x2, y2] in pixels, x2 and y2 outside the box.

        Raises ValueError for an unknown protocol, or sizes of another number of images than the detections name.
        """
        protocol = self.protocol if protocol is None else protocol
        check_protocol(protocol)
        sizes = target_sizes.tolist() if isinstance(target_sizes, torch.Tensor) else [list(size) for size in target_sizes]
        images = outputs.image_index
        if len(images) and int(images.max()) >= len(sizes):
            raise ValueError(
                f"there are detections in image {int(images.max())}, but target_sizes has only {len(sizes)} rows; give "
                "one (height, width) per image of the batch"
            )
        results = []
        for image, size in enumerate(sizes):
            rows = ((images == image) & (outputs.scores >= threshold)).nonzero()[:, 0]
            rows = rows[outputs.scores[rows].argsort(descending=True, stable=True)]
            boxes = outputs.pred_boxes[rows]
            masks = paste_masks(outputs.mask_probabilities[rows], boxes, tuple(size), mask_threshold, protocol)
            columns = (outputs.class_labels[rows].tolist(), outputs.scores[rows].tolist(), boxes.tolist())
            info = [
                {"id": row, "label_id": label, "score": score, "box": box}
                for row, (label, score, box) in enumerate(zip(*columns, strict=True))
            ]
            results.append({"segmentation": masks, "segments_info": info})
        return results


AutoImageProcessor.register(
    MaskRcnnConfig, image_processor_classes={"torchvision": MaskRcnnImageProcessor}, exist_ok=True
)

__all__ = ["MaskRcnnImageProcessor"]
