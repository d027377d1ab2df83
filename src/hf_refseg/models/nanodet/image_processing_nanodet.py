"""Image processor of NanoDet: photos of any size to 512 pixels, ImageNet's means, and masks pasted back into photos."""

import torch
from transformers.image_utils import SizeDict

from ...processing.processor import image_sizes
from ..mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor


class NanoDetImageProcessor(MaskRcnnImageProcessor):
    """Scales images until their long side has 512 pixels, whatever their shape, and normalizes them (RGB).

    `size` has the keys `shortest_edge` and `longest_edge`, which are equal: the second one alone counts then. Images of
    a batch that then differ in size are padded with zeros at the right and bottom; `pixel_mask` says which pixels are
    real. `interpolation` says how images are resized and masks are pasted into the photo: `"clean"` or `"paper"`, see
    `hf_refseg.processing.resizing` and `hf_refseg.processing.mask_pasting`.
    """

    size = {"shortest_edge": 512, "longest_edge": 512}
    image_mean = [123.675, 116.28, 103.53]
    image_std = [58.395, 57.12, 57.375]

    @staticmethod
    def size_of_side(side: int) -> dict[str, int]:
        """The `size` with this long side."""
        return {"shortest_edge": side, "longest_edge": side}

    def prepare(
        self,
        image: torch.Tensor,
        *,
        interpolation: str,
        size: SizeDict | None = None,
        do_resize: bool | None = None,
        **settings,
    ) -> torch.Tensor:
        # antialiased, unlike OpenCV's resize of Mask R-CNN: the photos of a phone shrink to an eighth
        placement = self.placement(tuple(image.shape[-2:]), size=size, do_resize=do_resize)
        return self.normalized(placement.place_picture(image, interpolation), **settings)

    def post_process_object_detection(
        self, outputs, threshold: float = 0.5, target_sizes: torch.Tensor | list[tuple[int, int]] | None = None
    ) -> list[dict[str, torch.Tensor]]:
        """The boxes that were found in each image, the surest first, in the form of transformers' detectors.

        Args:
            outputs: a `NanoDetOutput`.
            threshold: least score of what is returned; the model has already applied its own.
            target_sizes: (B, 2) height and width of the photos; None: the `original_sizes` of the outputs, from which
                they may not differ.

        Returns: per image a dict of `scores` (R,), `labels` (R,) and `boxes` (R, 4) xyxy in pixels of the photo.

        Raises ValueError for sizes that are not those of the outputs.
        """
        results = []
        for image in range(len(image_sizes(outputs, target_sizes))):
            rows = (outputs.image_index == image) & (outputs.scores >= threshold)
            columns = {"scores": outputs.scores, "labels": outputs.class_labels, "boxes": outputs.pred_boxes}
            results.append({name: values[rows] for name, values in columns.items()})
        return results


__all__ = ["NanoDetImageProcessor"]
