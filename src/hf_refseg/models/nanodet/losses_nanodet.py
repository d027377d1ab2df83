"""
What NanoDet's mask head is trained on: true boxes, the same moved a little as a detector would have them, and the part
of the true mask that lies in each.

G true masks and R boxes of one image, M boxes of all images; masks of L x L cells. Boxes are xyxy in pixels of the
network's input, x2 and y2 outside.
"""

import torch
import torch.nn.functional as F


def move_sides(boxes: torch.Tensor, share: float) -> torch.Tensor:
    """Boxes (R, 4) whose sides have moved, each by up to `share` of the box's width or height."""
    sizes = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)  # (R, 2) -> (R, 4)
    return boxes + (2 * torch.rand_like(boxes) - 1) * share * sizes


def crop_masks(masks: torch.Tensor, instances: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    """
    The part of a true mask that lies in each box: (R, L, L) float32, how much of each cell is covered.

    Args:
        masks: (G, H, W) bool.
        instances: (R,), which of them belongs to a box.
        boxes: (R, 4).
        size: cells per side, L.
    """
    from torchvision.ops import roi_align

    boxes = torch.cat([instances[:, None].to(boxes), boxes], dim=1)  # (R, 4) -> (R, 5)
    # as many samples in a cell as it has pixels
    return roi_align(masks[:, None].float(), boxes, size, sampling_ratio=-1, aligned=True)[:, 0]


def mask_losses(
    logits: torch.Tensor, targets: torch.Tensor, positive_weight: float, dice_weight: float
) -> dict[str, torch.Tensor]:
    """
    Cross-entropy of cells, and 1 - Dice of masks (Milletari et al. 2016), which weighs small things as large ones.

    Args:
        logits, targets: (M, L, L), targets in [0, 1].
        positive_weight: of what is covered in the first one; at 1 its probabilities are as likely as they say.
        dice_weight: of the second one.
    """
    logits = logits.float()
    if not len(logits):
        nothing = logits.sum()
        return {"mask_pixels": nothing, "mask_dice": nothing}
    probabilities = logits.sigmoid()
    both = (probabilities * targets).sum((1, 2))  # (M, L, L) -> (M,)
    total = (probabilities.square() + targets.square()).sum((1, 2))
    return {
        "mask_pixels": F.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=logits.new_tensor(positive_weight)
        ),
        "mask_dice": dice_weight * (1 - (2 * both + 1) / (total + 1)).mean(),
    }


__all__ = ["crop_masks", "mask_losses", "move_sides"]
