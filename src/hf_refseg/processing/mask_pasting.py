"""From a detector's small mask in a box to a mask of the photo, in two ways.

`clean`: the probabilities are interpolated at the pixels of the box, and a pixel counts above the threshold.
`paper`: what MAttNet and CAC did with scipy's old `imresize`: each small mask is first stretched so that its least
value becomes 0 and its largest 255, rounded to 8 bits, resized by Pillow to the whole number of pixels of the box, and
cut at 122: every box gets some mask, however unlikely, and the threshold is relative to the mask's own range.
"""

import numpy as np
import torch
from PIL import Image

from ..layers.image_geometry import exclusive_to_inclusive, paste_probabilities
from .resizing import check_interpolation

PAPER_THRESHOLD = 122
AT_ONCE = 32


def paste_masks(
    probabilities: torch.Tensor,
    boxes: torch.Tensor,
    size: tuple[int, int],
    threshold: float = 0.5,
    interpolation: str = "clean",
) -> torch.Tensor:
    """
    Masks of a photo.

    Args:
        probabilities: (R, M, M) in [0, 1].
        boxes: (R, 4) xyxy in pixels of the photo, x2 and y2 outside the box. What reaches out of the photo is cut off.
        size: (height, width) of the photo.
        threshold: of the clean interpolation; the paper's has its own.

    Returns:
        (R, height, width) bool, on the CPU for the paper's interpolation.

    Raises ValueError for an unknown interpolation, and where the paper's interpolation is asked for another threshold.
    """
    check_interpolation(interpolation)
    if interpolation == "paper":
        if threshold != 0.5:
            raise ValueError(f"interpolation='paper' cuts at {PAPER_THRESHOLD} of 255; threshold needs 'clean'")
        masks = [paste_bytes(mask, box, size) > PAPER_THRESHOLD for mask, box in zip(probabilities, boxes, strict=True)]
        return torch.stack(masks) if masks else torch.zeros(0, *size, dtype=torch.bool)
    pasted = [  # a few at a time: a photo of 12 megapixels has 48 MB of probabilities per mask
        paste_probabilities(some, some_boxes, size) > threshold
        for some, some_boxes in zip(probabilities.split(AT_ONCE), boxes.split(AT_ONCE), strict=True)
    ]
    return torch.cat(pasted)


def paste_bytes(probability: torch.Tensor, box: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """
    One mask as the paper's rule has it before it is cut at `PAPER_THRESHOLD`, on the CPU.

    Args:
        probability: (M, M); box: (4,); size: of the photo, as of `paste_masks`.

    Returns:
        (height, width) uint8, 0 outside the box.
    """
    height, width = size
    x1, y1, x2, y2 = exclusive_to_inclusive(box.float()).tolist()
    x1, y1 = min(max(x1, 0.0), width - 1.0), min(max(y1, 0.0), height - 1.0)
    x2, y2 = min(max(x2, 0.0), width - 1.0), min(max(y2, 0.0), height - 1.0)
    rows, columns = int(y2 - y1 + 1), int(x2 - x1 + 1)
    pasted = torch.zeros(height, width, dtype=torch.uint8)
    if rows < 1 or columns < 1:
        return pasted
    values = stretch_to_bytes(probability.detach().cpu().float().numpy() * 255)
    resized = np.array(Image.fromarray(values).resize((columns, rows), Image.Resampling.BILINEAR))
    pasted[int(y1) : int(y1) + rows, int(x1) : int(x1) + columns] = torch.from_numpy(resized)
    return pasted


def stretch_to_bytes(values: np.ndarray) -> np.ndarray:
    """`scipy.misc.bytescale` of scipy <= 1.0: (M, M) float -> uint8 from 0 to 255, whatever the range was."""
    low, high = values.min(), values.max()
    span = high - low
    scaled = (values - low) * (255.0 / (span if span else 1.0))
    return (scaled.clip(0, 255) + 0.5).astype(np.uint8)
