"""`pipeline("image-segmentation")` for the detector: a photo in, the things in it out."""

import numpy as np
from PIL import Image
from transformers import Pipeline

from ...processing.images import load_image
from .outputs_mask_rcnn import MaskRcnnOutput


class MaskRcnnPipeline(Pipeline):
    """Finds the things in a photo: `pipe("photo.jpg", threshold=0.8)`.

    Args of a call: an image, or a list of them, each anything that `load_image` reads; `threshold`, `mask_threshold`
    and `interpolation` as in `MaskRcnnImageProcessor.post_process_instance_segmentation`.

    Returns: per image a list of dicts, the surest first: `label` str; `score` float; `mask`, a `PIL.Image` of mode "L"
        at the image's size, 255 on the thing; `box` [x0, y0, x1, y1] floats in pixels.
    """

    output_class = MaskRcnnOutput

    _load_processor = False
    _load_image_processor = True
    _load_feature_extractor = False
    _load_tokenizer = False
    _load_video_processor = False

    def _sanitize_parameters(self, **options):
        unknown = set(options) - {"threshold", "mask_threshold", "interpolation"}
        if unknown:
            raise ValueError(f"unknown options {sorted(unknown)}; use threshold, mask_threshold or interpolation")
        return {}, {}, options

    def preprocess(self, image) -> dict:
        return dict(self.image_processor(load_image(image), return_tensors="pt"))

    def _forward(self, inputs: dict) -> dict:
        return self.model(**inputs)

    def postprocess(self, outputs: dict, **options) -> list[dict]:
        # on its way to the CPU transformers has made a plain ModelOutput of it, without the fields that are None
        outputs = self.output_class(**outputs)
        (found,) = self.image_processor.post_process_instance_segmentation(outputs, **options)
        return [
            {
                "label": self.model.config.id2label[thing["label_id"]],
                "score": thing["score"],
                "mask": Image.fromarray(found["segmentation"][thing["id"]].numpy().astype(np.uint8) * 255),
                "box": thing["box"],
            }
            for thing in found["segments_info"]
        ]


__all__ = ["MaskRcnnPipeline"]
