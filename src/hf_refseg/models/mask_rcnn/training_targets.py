"""
What the detector is trained on: sampled anchors and regions, their targets, and the five losses.

Ren et al. 2015 (Sec. 3.1) and He et al. 2017 (Sec. 3), with the samples and reductions of MAttNet's and CAC's code.
Boxes have both corners inside (see boxes.py) and lie in pixels of the network's input.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ...layers.nearest_resize import nearest_pixels
from .boxes import encode_boxes, overlaps
from .configuration_mask_rcnn import MaskRcnnConfig

RPN_BETA = 1 / 9  # where the smooth L1 loss of the proposals turns linear: sigma 3 of the original is 1 / sigma^2


def pick(candidates: torch.Tensor, number: int) -> torch.Tensor:
    """At most `number` of the indices (R,), drawn without replacement."""
    if len(candidates) <= number:
        return candidates
    return candidates[torch.randperm(len(candidates), device=candidates.device)[:number]]


def proposal_losses(
    config: MaskRcnnConfig,
    anchors: torch.Tensor,
    logits: torch.Tensor,
    deltas: torch.Tensor,
    boxes: torch.Tensor,
    input_size: tuple[int, int],
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Classification and box loss of the anchors of one image.

    Only anchors that lie within the image take part. Positive are those that overlap a box by `rpn_positive_iou`, and
    for every box the best there is.

    Args:
        anchors: (N, 4); logits: (N, 2), background and object; deltas: (N, 4).
        boxes: (G, 4), the true ones.
        input_size: (H, W) of the image.
    """
    height, width = input_size
    inside = (anchors[:, :2] >= 0).all(1) & (anchors[:, 2] < width) & (anchors[:, 3] < height)
    state = torch.full((len(anchors),), -1, device=anchors.device)  # -1 unused, 0 negative, 1 positive
    rows = inside.nonzero()[:, 0]
    if len(boxes):
        iou = overlaps(anchors[rows], boxes)  # (N', G)
        best, of_box = iou.max(1)
        state[rows[best < config.rpn_negative_iou]] = 0
        most = iou.max(0).values if len(rows) else iou.new_zeros(len(boxes))
        state[rows[((iou == most) & (most > 0)).any(1)]] = 1
        state[rows[best >= config.rpn_positive_iou]] = 1
    else:
        state[rows] = 0
    positive = pick((state == 1).nonzero()[:, 0], int(config.rpn_batch_size * config.rpn_positive_fraction))
    negative = pick((state == 0).nonzero()[:, 0], config.rpn_batch_size - len(positive))
    sampled = torch.cat([positive, negative])
    if not len(sampled):  # no anchor fits into so small an image; its proposals come from the deltas all the same
        nothing = logits.float().sum() * 0
        return nothing, nothing
    target = (torch.arange(len(sampled), device=sampled.device) < len(positive)).long()
    class_loss = F.cross_entropy(logits[sampled].float(), target)
    if not len(positive):
        return class_loss, deltas.float().sum() * 0
    matched = boxes[of_box[torch.searchsorted(rows, positive)]]  # (positive, 4)
    target = encode_boxes(anchors[positive], matched)
    box_loss = F.smooth_l1_loss(deltas[positive].float(), target, beta=RPN_BETA, reduction="sum") / len(sampled)
    return class_loss, box_loss


@dataclass
class SampledRegions:
    """
    The regions of one image on which the head is trained, the positive ones first.

    Args:
        boxes: (R, 4).
        class_labels: (R,), 0 the background, k + 1 for category k.
        targets: (P, 4), the true boxes of the P positive ones.
        instances: (P,), which true object each of them is.
    """

    boxes: torch.Tensor
    class_labels: torch.Tensor
    targets: torch.Tensor
    instances: torch.Tensor


@torch.no_grad()
def sample_regions(
    config: MaskRcnnConfig, proposals: torch.Tensor, boxes: torch.Tensor, class_labels: torch.Tensor
) -> SampledRegions:
    """
    Draw `roi_batch_size` proposals of one image, at most `roi_positive_fraction` of them positive.

    Args:
        proposals: (P, 4); boxes: (G, 4), the true ones; class_labels: (G,) their categories.
    """
    number = config.roi_batch_size

    def split(proposals: torch.Tensor):
        best, of_box = overlaps(proposals, boxes).max(1)
        return (best >= config.roi_positive_iou).nonzero()[:, 0], of_box

    if not len(boxes):
        chosen = pick(torch.arange(len(proposals), device=proposals.device), number)
        nothing = chosen[:0]
        return SampledRegions(proposals[chosen], torch.zeros_like(chosen), boxes, nothing)
    if config.add_ground_truth:
        proposals = torch.cat([boxes, proposals])
    positive, of_box = split(proposals)
    if not len(positive):  # as the original does
        proposals = torch.cat([boxes, proposals])
        positive, of_box = split(proposals)
    is_positive = torch.zeros(len(proposals), dtype=torch.bool, device=proposals.device).index_fill(0, positive, True)
    background = (~is_positive).nonzero()[:, 0]
    positive = pick(positive, int(number * config.roi_positive_fraction))
    wanted = number - len(positive)
    if 0 < len(background) < wanted:  # some of them twice, so that every image weighs alike
        background = background[torch.randint(len(background), (wanted,), device=background.device)]
    background = pick(background, wanted)
    labels = torch.cat([class_labels[of_box[positive]] + 1, torch.zeros_like(background)])
    return SampledRegions(
        proposals[torch.cat([positive, background])], labels, boxes[of_box[positive]], of_box[positive]
    )


def detection_losses(
    config: MaskRcnnConfig,
    samples: list[SampledRegions],
    logits: torch.Tensor,
    deltas: torch.Tensor,
    masks: list[torch.Tensor],
    draw: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> dict[str, torch.Tensor]:
    """
    Losses of category, box and mask over the sampled regions of all images.

    Args:
        logits: (R, K + 1); deltas: (R, K + 1, 4), of the samples one after the other.
        masks: per image (G, H, W) bool, at the size of the network's input.
        draw: mask logits (P, M, M) of the regions at rows (P,) for their categories (P,).
    """
    class_labels = torch.cat([sample.class_labels for sample in samples])
    losses = {"class": F.cross_entropy(logits.float(), class_labels)}
    starts = torch.tensor([0, *(len(sample.boxes) for sample in samples)]).cumsum(0).tolist()
    rows = torch.cat(
        [
            torch.arange(start, start + len(sample.targets), device=logits.device)
            for start, sample in zip(starts[:-1], samples, strict=True)
        ]
    )
    if not len(rows):
        nothing = deltas.float().sum() * 0
        return losses | {"box": nothing, "mask": draw(rows[:0], rows[:0]).float().sum() + nothing}
    positive = [sample.boxes[: len(sample.targets)] for sample in samples]
    std = torch.tensor(config.box_std, device=deltas.device)
    target = encode_boxes(torch.cat(positive), torch.cat([sample.targets for sample in samples])) / std
    predicted = deltas[rows, class_labels[rows]].float()  # (R, K + 1, 4) -> (P, 4)
    losses["box"] = F.smooth_l1_loss(predicted, target, reduction="sum") / len(class_labels)
    mask_logits = draw(rows, class_labels[rows] - 1).float()  # (P, M, M)
    size = mask_logits.shape[-1]
    target = [
        crop_masks(of_image, sample.instances, boxes, size)
        for of_image, sample, boxes in zip(masks, samples, positive, strict=True)
    ]
    losses["mask"] = F.binary_cross_entropy_with_logits(mask_logits, torch.cat(target).to(mask_logits))
    return losses


def crop_masks(masks: torch.Tensor, instances: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    """
    The part of a true mask that lies in each box, at the size of the mask branch, by Pillow's NEAREST.

    Args:
        masks: (G, H, W) bool; instances: (P,), which of them; boxes: (P, 4).

    Returns:
        (P, size, size) bool.
    """
    low, high = boxes[:, :2].long(), boxes[:, 2:].long()
    pixels = low[:, :, None] + nearest_pixels(high - low + 1, size)  # (P, 2, size), x before y
    limits = torch.tensor(masks.shape[:0:-1], device=boxes.device)[:, None] - 1  # (G, H, W) -> W, H
    x, y = pixels.clamp(min=0).minimum(limits).unbind(1)
    return masks[instances[:, None, None], y[:, :, None], x[:, None, :]]  # -> (P, size, size)
