"""One way in for masks: whatever a user has becomes bool tensors, each different mask once; their sizes and boxes."""

import numpy as np
import torch

from ..mask_values import foreground


def read_masks(masks, name: str = "segmentation_maps") -> tuple[list[torch.Tensor], list[int]]:
    """Reads one mask or many, and a mask that is given several times, as for several sentences of one row, only once.

    Args:
        masks: one mask (H, W) or a list of N, or an array (N, H, W); numpy, torch, PIL or whatever numpy reads; bool,
            or 0 and one other value, which is the foreground.
        name: what error messages call the list.

    Returns: the M <= N different masks, (H, W) bool tensors each, and for each of the N which of the M it is.

    Raises ValueError for a mask that is not (H, W), or holds values of no mask.
    """
    if isinstance(masks, (np.ndarray, torch.Tensor)):
        masks = list(masks) if masks.ndim == 3 else [masks]
    elif not isinstance(masks, (list, tuple)):
        masks = [masks]
    different, index, position_of = [], [], {}
    for number, mask in enumerate(masks):
        if id(mask) not in position_of:
            position_of[id(mask)] = len(different)
            different.append(read_mask(mask, f"{name}[{number}]"))
        index.append(position_of[id(mask)])
    return different, index


def read_mask(mask, name: str) -> torch.Tensor:
    """One mask (numpy, torch or PIL; bool, or 0 and one other value) -> (H, W) bool tensor.

    Raises ValueError, which calls the mask by its `name`, for what is not (H, W) or no mask, see `foreground`.
    """
    if type(mask) is dict:  # those of a data set's rows are arrays when numpy asks
        raise ValueError(
            f"{name} is a dict; expected an array (H, W) at the size of its image (hf_refseg.data.decode_mask makes "
            "one of COCO's run lengths)"
        )
    return torch.from_numpy(np.array(foreground(mask, name)))  # a copy: arrays may be read-only


def check_mask_sizes(masks: list[torch.Tensor], sizes: list[list[int]]) -> None:
    """Raises ValueError where one of N masks (H, W) is not of the (height, width) of its image."""
    for index, (mask, size) in enumerate(zip(masks, sizes, strict=True)):
        if list(mask.shape) != size:
            raise ValueError(
                f"segmentation_maps[{index}] is {mask.shape[0]} x {mask.shape[1]} pixels (height x width), its image "
                f"{size[0]} x {size[1]}; give masks at the size of the upright image"
            )


def mask_box(mask: torch.Tensor) -> list[float] | None:
    """The tight box of a mask (H, W): [x0, y0, x1, y1] in pixels, x1 and y1 exclusive; None for an empty mask."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]  # (H, W) -> (R,), (C,)
    if not len(rows):
        return None
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]
