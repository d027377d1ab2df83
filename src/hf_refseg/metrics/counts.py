"""From two masks to the integers that every metric keeps of them."""

from typing import NamedTuple

import numpy as np

from ..data.run_lengths import check_rle, checked_size
from ..mask_values import foreground


class Sample(NamedTuple):
    """What is kept of one expression: integers only, so that sums are exact in any order and over any processes.

    `intersection` and `union` are pixels (None where no masks were given). `has_target` and `pred_no_target`: whether
    the target has any foreground, and whether the prediction says that nothing is meant. `box_numerator` over
    `box_denominator` is the box score by the protocol's rule (None without boxes). `correct`: whether the system picked
    the right region, where it says so.
    """

    intersection: int | None
    union: int | None
    has_target: bool = True
    pred_no_target: bool = False
    box_numerator: int | None = None
    box_denominator: int | None = None
    correct: bool | None = None


def mask_counts(pred_mask, target_mask, size: tuple[int, int] | None = None) -> Sample:
    """Reduce two masks to (intersection, union, has_target, pred_no_target).

    Args:
        pred_mask, target_mask: arrays, tensors or pictures `(H, W)` of 0 and one other value, see
            [`hf_refseg.mask_values.foreground`]; or COCO RLEs `{"size": [H, W], "counts": ...}`, which are compared
            run by run, without decoding.
        size (`tuple[int, int]`, *optional*): (height, width) to which both are resized first (nearest pixel).

    Raises:
        ValueError: if a mask is not two-dimensional or holds values of no mask (probabilities, several labels), an RLE
            does not fill its size, `size` is none of a picture, or, without `size`, if their sizes differ.
    """
    if size is not None and 0 in (size := checked_size(size, "size")):
        raise ValueError(f"size is {list(size)}; no pixel would be left to compare")
    if isinstance(pred_mask, dict) and isinstance(target_mask, dict) and size is None:
        return _rle_counts(check_rle(pred_mask), check_rle(target_mask))
    pred, target = _foreground(pred_mask, "the predicted mask"), _foreground(target_mask, "the target mask")
    if size is not None:
        pred, target = _resize_nearest(pred, size), _resize_nearest(target, size)
    _check_sizes(pred.shape, target.shape)
    # counting is several times faster than summing, and a union needs no pixels of its own
    areas = [int(np.count_nonzero(mask)) for mask in (pred, target)]
    return _sample(int(np.count_nonzero(pred & target)), *areas)


def _rle_counts(pred: dict, target: dict) -> Sample:
    from pycocotools import mask as coco_mask

    _check_sizes(pred["size"], target["size"])
    both = coco_mask.merge([pred, target], intersect=True)
    return _sample(*(int(area) for area in coco_mask.area([both, pred, target])))


def _sample(intersection: int, pred_area: int, target_area: int) -> Sample:
    union = pred_area + target_area - intersection
    return Sample(intersection, union, has_target=target_area > 0, pred_no_target=pred_area == 0)


def _check_sizes(pred, target) -> None:
    if tuple(pred) != tuple(target):
        raise ValueError(
            f"the prediction is {pred[0]} x {pred[1]} and the target {target[0]} x {target[1]}: "
            "post-process the prediction with target_sizes, so that both have the original size"
        )


def _foreground(mask, name: str) -> np.ndarray:
    """A mask (H, W) as a bool array, be it an RLE, a tensor of any device and dtype, an array or a picture."""
    if isinstance(mask, dict):
        from pycocotools import mask as coco_mask

        return coco_mask.decode(check_rle(mask)).astype(bool)
    return foreground(mask, name)


def _resize_nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pillow's own nearest pixel, as torchvision's Resize of a picture has it: its sums of floats decide some ties."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(mask).view(np.uint8))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.NEAREST)).view(bool)  # (H, W) -> size
