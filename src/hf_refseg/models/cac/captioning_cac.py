"""What CAC's captioner calls the regions of a photo, in words."""

import torch

from ...processing.images import ImageSource
from .modeling_cac import CacForReferringSegmentation
from .processing_cac import CacProcessor


@torch.no_grad()
def caption_regions(
    model: CacForReferringSegmentation,
    processor: CacProcessor,
    image: ImageSource,
    boxes=None,
    masks=None,
    num_beams: int = 3,
) -> list[dict]:
    """
    A referring expression for each region.

    Args:
        image: anything that `load_image` reads.
        boxes: (R, 4) xyxy in pixels of the photo, x2 and y2 outside the box; None: those of the masks.
        masks: (R, H, W) bool at the photo's size; None: the boxes are filled.
        num_beams: captions that are kept while one is made; 1 says the likeliest word each time.

    Returns:
        R dicts of `caption`, its `probability`, and `box` [x1, y1, x2, y2].

    Raises:
        ValueError: a model without a captioner, neither boxes nor masks, or regions that do not fit the photo.
    """
    inputs = processor(images=image).to(model.device)
    regions = {"region_boxes": boxes, "region_masks": masks}
    given = {name: [values] for name, values in regions.items() if values is not None}
    features = model.get_image_features(**inputs, **given)
    captions = model.generate_caption(image_features=features, num_beams=num_beams)
    texts = processor.batch_decode(captions.sequences, skip_special_tokens=True)
    probabilities = captions.log_probs.sum(1).exp().tolist()
    columns = zip(texts, probabilities, features.regions.boxes.tolist(), strict=True)
    return [{"caption": text, "probability": probability, "box": box} for text, probability, box in columns]


__all__ = ["caption_regions"]
