"""From a detector's small mask in a box to a mask of the photo, in two ways.

`clean`: the probabilities are interpolated at the pixels of the box, and a pixel counts above the threshold.
`paper`: what MAttNet and CAC did with scipy's old `imresize`: each small mask is first stretched so that its least value
becomes 0 and its largest 255, rounded to 8 bits, resized by Pillow to the whole number of pixels of the box, and cut at
122: every box gets some mask, however unlikely, and the threshold is relative to the mask's own range.
"""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .resizing import check_protocol

PAPER_THRESHOLD = 122


def paste_masks(
    probabilities: torch.Tensor,
    boxes: torch.Tensor,
    size: tuple[int, int],
    threshold: float = 0.5,
    protocol: str = "clean",
) -> torch.Tensor:
    """
    Masks of a photo.

    Args:
        probabilities: (R, M, M) in [0, 1].
        boxes: (R, 4) xyxy in pixels of the photo, x2 and y2 outside the box. What reaches out of the photo is cut off.
        size: (height, width) of the photo.
        threshold: of the clean protocol; the paper's has its own.

    Returns:
        (R, height, width) bool, on the CPU for the paper protocol.

    Raises ValueError for an unknown protocol, and where the paper protocol is asked for another threshold.
    """
    check_protocol(protocol)
    if protocol == "paper":
        if threshold != 0.5:
            raise ValueError(f"the paper protocol cuts at {PAPER_THRESHOLD} of 255; threshold needs protocol='clean'")
        masks = [_paste_like_the_paper(mask, box, size) for mask, box in zip(probabilities, boxes, strict=True)]
        return torch.stack(masks) if masks else torch.zeros(0, *size, dtype=torch.bool)
    masks = torch.zeros(len(boxes), *size, dtype=torch.bool, device=probabilities.device)
    for mask, probability, box in zip(masks, probabilities.float(), boxes.tolist(), strict=True):
        rows, columns = _pixels(box[1], box[3], size[0]), _pixels(box[0], box[2], size[1])
        if len(rows) and len(columns):
            inside = interpolate_in_box(probability, box, rows.to(mask.device), columns.to(mask.device))
            mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = inside > threshold
    return masks


def paste_probabilities(probabilities: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The same without a threshold: (R, M, M) and (R, 4) -> (R, height, width) float, 0 outside the boxes."""
    pasted = torch.zeros(len(boxes), *size, device=probabilities.device)
    for whole, probability, box in zip(pasted, probabilities.float(), boxes.tolist(), strict=True):
        rows, columns = _pixels(box[1], box[3], size[0]), _pixels(box[0], box[2], size[1])
        if len(rows) and len(columns):
            inside = interpolate_in_box(probability, box, rows.to(pasted.device), columns.to(pasted.device))
            whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = inside
    return pasted


def _pixels(low: float, high: float, length: int) -> torch.Tensor:
    """The pixels of 0 .. length - 1 whose centres lie between `low` and `high`."""
    first, last = max(int(np.ceil(low - 0.5)), 0), min(int(np.ceil(high - 0.5)), length)
    return torch.arange(first, max(last, first))


def interpolate_in_box(mask: torch.Tensor, box: list[float], rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Values of a small mask (M, M) that fills `box` at the centres of pixels: (rows, columns), bilinear."""
    x1, y1, x2, y2 = box
    y = (rows + 0.5 - y1) / (y2 - y1) * 2 - 1
    x = (columns + 0.5 - x1) / (x2 - x1) * 2 - 1
    grid = torch.stack(torch.broadcast_tensors(x[None], y[:, None]), dim=-1)  # -> (rows, columns, 2)
    grid = grid[None].to(mask)
    # beyond the outermost centres of the small mask its edge goes on: a mask does not fade at the edge of its box
    return F.grid_sample(mask[None, None], grid, padding_mode="border", align_corners=False)[0, 0]


def _paste_like_the_paper(probability: torch.Tensor, box: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    height, width = size
    x1, y1, x2, y2 = (box.float() - box.new_tensor([0, 0, 1, 1])).tolist()  # both corners inside again
    x1, y1 = min(max(x1, 0.0), width - 1.0), min(max(y1, 0.0), height - 1.0)
    x2, y2 = min(max(x2, 0.0), width - 1.0), min(max(y2, 0.0), height - 1.0)
    rows, columns = int(y2 - y1 + 1), int(x2 - x1 + 1)
    mask = torch.zeros(height, width, dtype=torch.bool)
    if rows < 1 or columns < 1:
        return mask
    values = stretch_to_bytes(probability.detach().cpu().float().numpy() * 255)
    resized = np.asarray(Image.fromarray(values).resize((columns, rows), Image.Resampling.BILINEAR))
    mask[int(y1) : int(y1) + rows, int(x1) : int(x1) + columns] = torch.from_numpy(resized > PAPER_THRESHOLD)
    return mask


def stretch_to_bytes(values: np.ndarray) -> np.ndarray:
    """`scipy.misc.bytescale` of scipy <= 1.0: (M, M) float -> uint8 from 0 to 255, whatever the range was."""
    low, high = values.min(), values.max()
    span = high - low
    scaled = (values - low) * (255.0 / (span if span else 1.0))
    return (scaled.clip(0, 255) + 0.5).astype(np.uint8)
