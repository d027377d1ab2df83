"""Image processor of the detector: the 600/1000 resize and Caffe's means, and masks pasted back into photos."""

import torch
from transformers.image_processing_utils import BatchFeature
from transformers.processing_utils import Unpack

from ...layers.image_geometry import exclusive_to_inclusive, inclusive_to_exclusive
from ...processing.image_processing import RefSegImageProcessorKwargs, ShortestEdgeImageProcessor, pad_to
from ...processing.mask_pasting import paste_masks
from ...processing.processor import image_sizes
from ...processing.resizing import check_interpolation, opencv_resize


class MaskRcnnImageProcessor(ShortestEdgeImageProcessor):
    """Scales images until their short side has 600 pixels, or the long one 1000, and subtracts Caffe's means (RGB).

    Images that then differ in size are padded with zeros at the right and bottom; `pixel_mask` says which pixels are
    real. `size` has the keys `shortest_edge` and `longest_edge`. `interpolation` says how masks are pasted into the
    photo: `"clean"` or `"paper"`, see `hf_refseg.processing.mask_pasting`.
    """

    size = {"shortest_edge": 600, "longest_edge": 1000}
    image_mean = [122.7717, 115.9465, 102.9801]
    image_std = [1.0, 1.0, 1.0]

    def preprocess(
        self, images, segmentation_maps=None, annotations=None, **kwargs: Unpack[RefSegImageProcessorKwargs]
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
        features = super().preprocess(images, segmentation_maps, **kwargs)
        if annotations is not None:
            size, do_resize = kwargs.get("size"), kwargs.get("do_resize")
            scales = [self.scale_of(original, size, do_resize) for original in features["original_sizes"].tolist()]
            canvas = tuple(features["pixel_values"].shape[-2:])
            features["labels"] = annotation_labels(annotations, features["original_sizes"], scales, canvas)
        return features

    def post_process_instance_segmentation(
        self,
        outputs,
        target_sizes: torch.Tensor | list[tuple[int, int]] | None = None,
        threshold: float = 0.0,
        mask_threshold: float = 0.5,
        interpolation: str | None = None,
    ) -> list[dict]:
        """What was found in each image, the surest first.

        Args:
            outputs: a `MaskRcnnOutput`.
            target_sizes: (B, 2) height and width of the photos; None: the `original_sizes` of the outputs, from which
                they may not differ.
            threshold: least score of what is returned; the model has already applied its own.
            mask_threshold: probability above which a pixel belongs to the thing; `"paper"` has its own.
            interpolation: `"clean"` or `"paper"`; None is the processor's own. See `hf_refseg.processing.mask_pasting`.

        Returns: per image a dict of `segmentation` (R, H, W) bool and `segments_info`, R dicts of `id` (row of
            `segmentation`), `label_id`, `score` and `box` [x1, y1, x2, y2] in pixels, x2 and y2 outside the box.

        Raises ValueError for an unknown interpolation, sizes that are not those of the outputs, and outputs without
            masks.
        """
        if outputs.mask_probabilities is None:
            raise ValueError(
                "these are the outputs of a detector without a mask head: use post_process_object_detection for its "
                "boxes"
            )
        interpolation = self.interpolation if interpolation is None else interpolation
        check_interpolation(interpolation)
        sizes = image_sizes(outputs, target_sizes)
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
            masks = paste_masks(outputs.mask_probabilities[rows], boxes, size, mask_threshold, interpolation)
            columns = (outputs.class_labels[rows].tolist(), outputs.scores[rows].tolist(), boxes.tolist())
            info = [
                {"id": row, "label_id": label, "score": score, "box": box}
                for row, (label, score, box) in enumerate(zip(*columns, strict=True))
            ]
            results.append({"segmentation": masks, "segments_info": info})
        return results


def annotation_labels(annotations, sizes: torch.Tensor, scales: list[float], canvas: tuple[int, int]) -> list[dict]:
    """Per image the true boxes, masks and categories in the network's input; `annotations` as of `preprocess`."""
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
                f"{tuple(masks.shape)}; its image of {size[0]} x {size[1]} pixels needs as many of each, and masks at "
                "its size"
            )
        # scaled with the second corner inside the box, as the original does
        corners = exclusive_to_inclusive(boxes) * scale
        if len(boxes):
            masks = opencv_resize(masks.float(), scale) >= 0.5  # (G, H, W) -> (G, h, w)
            masks = pad_to(masks, canvas)  # (G, h, w) -> (G, *canvas)
        else:
            masks = torch.zeros(0, *canvas, dtype=torch.bool)
        labels.append({"boxes": inclusive_to_exclusive(corners), "masks": masks, "class_labels": class_labels})
    return labels


__all__ = ["MaskRcnnImageProcessor"]
