"""
Where regions lie: alone, among the others that could be meant, and two to each other.

"The second from the left" is the place of a region among those of its kind, and which these are depends on the words.
So ranks are soft: every other region counts by how likely it is one of the kind.

B images of up to R regions, N expressions. Boxes are xyxy, in shares of the photo's sides from 0 to 1.
"""

import torch

SHARPNESS = 40.0  # of "further left": two regions 2.5 % of the photo apart are in order with a probability of .73
SAME_IOU, SAME_SHARPNESS = 0.35, 20.0  # regions that overlap by more are rather of one thing
SURE, SURE_SHARPNESS = 0.5, 10.0  # probability of being of a kind from which on regions count as of it
SUREST = 0.7  # least probability of the surest region, for the words mean something
RANKED = ("center x", "center y", "lower edge", "area", "height")
PLACE_SIZE, RANK_SIZE, OFFSET_SIZE = 12, 4 * len(RANKED) + 2, 14


def relative_boxes(boxes: torch.Tensor, image_sizes: torch.Tensor) -> torch.Tensor:
    """(B, R, 4) in pixels of photos of (B, 2) height and width -> in shares of their sides, float32, within [0, 1]."""
    limits = image_sizes.flip(1).repeat(1, 2)[:, None]  # (B, 2) -> (B, 1, 4) width, height, twice
    return (boxes / limits).float().clamp(0, 1)


def places(boxes: torch.Tensor) -> torch.Tensor:
    """Corners, center, sides, area and distances to the middle and the edges: (B, R, 4) -> (B, R, 12)."""
    low, high = boxes.split(2, -1)
    center, size = (low + high) / 2, high - low
    area = size.prod(-1, keepdim=True)
    from_middle = (center - 0.5).norm(dim=-1, keepdim=True)
    shape = (size[..., :1] - size[..., 1:]) / size.sum(-1, keepdim=True).clamp(min=1e-6)
    return torch.cat([low, high, center, size, area.sqrt(), area, from_middle, shape], -1) * 2 - 1


def ranked_values(boxes: torch.Tensor) -> torch.Tensor:
    """What regions are put in order by, the values of `RANKED`: (B, R, 4) -> (B, R, 5)."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    area = ((x2 - x1) * (y2 - y1)).clamp(min=0)
    return torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, y2, area.sqrt(), y2 - y1], -1)


def orders(boxes: torch.Tensor) -> torch.Tensor:
    """How surely region j has the smaller value than region i: (B, R, 4) -> (B, 5, R, R), i before j."""
    values = ranked_values(boxes).transpose(1, 2)  # (B, R, 5) -> (B, 5, R)
    smaller = (SHARPNESS * (values[..., :, None] - values[..., None, :])).sigmoid()  # -> (B, 5, R, R)
    itself = torch.eye(boxes.shape[1], dtype=torch.bool, device=boxes.device)
    return smaller.masked_fill(itself, 0)


def numbers_beside(
    smaller: torch.Tensor, same: torch.Tensor, counted: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    How many others of the kind come before and after each region, by each value.

    Args:
        smaller: (N, 5, R, R), as of `orders`.
        same: (N, R, R) in [0, 1], how likely two regions are of one thing, as of `same_thing`.
        counted: (N, R), for how much each region counts, as of `count_things`.

    Returns:
        2 x (N, 5, R): with a smaller value, and with a larger one.
    """
    others = counted[:, None] * (1 - same)  # (N, R) -> (N, R, R), region j beside region i
    before = torch.einsum("nkij,nij->nki", smaller, others)  # -> (N, 5, R)
    return before, (others.sum(-1)[:, None] - before).clamp(min=0)


def soft_ranks(before: torch.Tensor, after: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """
    The place of each region among those of the kind.

    Args:
        before, after: (N, 5, R), as of `numbers_beside`.
        counted: (N, R), for how much each region counts, as of `count_things`.

    Returns:
        (N, R, 22): of each value how many have a smaller one and a larger one, each as 1 / (1 + number) and as a share
        of all; and how many there are.
    """
    total = before + after
    share = before / total.clamp(min=1e-3)
    numbers = torch.cat([1 / (1 + before), 1 / (1 + after), share, 1 - share], 1)  # -> (N, 20, R)
    count = torch.stack([1 / (1 + total[:, 0]), counted], 1)  # -> (N, 2, R)
    return torch.cat([numbers, count], 1).transpose(1, 2)  # -> (N, R, 22)


def same_thing(overlaps: torch.Tensor) -> torch.Tensor:
    """How likely two regions are of one thing, from their IoU: of the same shape; 1 for a region and itself."""
    return ((overlaps - SAME_IOU) * SAME_SHARPNESS).sigmoid()


def count_things(kind: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """
    For how much each region counts where things of a kind are counted: all regions of one thing together for one. Where
    the detector is sure of none of them, the likeliest are counted.

    Args:
        kind: (N, R) how likely each region is a thing of the kind.
        same: (N, R, R), as of `same_thing`.
    """
    surest = kind.amax(1, keepdim=True).clamp(min=1e-3)
    likely = (kind * (SUREST / surest).clamp(min=1)).clamp(max=1)  # (N, R)
    counted = ((likely - SURE) * SURE_SHARPNESS).sigmoid() * (kind > 0)
    return counted / torch.einsum("nij,nj->ni", same, counted).clamp(min=1)


def pair_overlaps(boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU of regions i and j, and the share of i that lies in j: (B, R, 4) -> 2 x (B, R, R)."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])  # (B, R, 4) -> (B, R, R, 2)
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)  # -> (B, R, R)
    area = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)  # (B, R, 4) -> (B, R)
    union = area[:, :, None] + area[:, None] - common
    return common / union.clamp(min=1e-6), common / area[:, :, None].clamp(min=1e-6)


def pair_offsets(boxes: torch.Tensor, overlaps: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """
    How region j lies to region i: (B, R, 4) -> (B, R, R, 14).

    From center to center, in shares of the photo and in sides of the two; edges; sizes; how much they overlap.

    Args:
        overlaps, inside: as of `pair_overlaps`.
    """
    center, size = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
    step = center[:, None] - center[:, :, None]  # (B, R, 2) -> (B, R, R, 2), from i to j
    scale = (size[:, None] + size[:, :, None]) / 2
    ratio = (size[:, None].log() - size[:, :, None].log()).clamp(-3, 3) / 2
    edges = (boxes[:, None, :, 1::2] - boxes[:, :, None, 1::2]) / scale[..., 1:]  # upper and lower ones
    shares = torch.stack([overlaps, inside, inside.transpose(1, 2)], -1)
    distance = step.norm(dim=-1, keepdim=True)
    direction = step / distance.clamp(min=1e-3)
    numbers = [step, (step / scale).clamp(-3, 3), direction, ratio, edges.clamp(-3, 3), shares, distance]
    return torch.cat(numbers, -1)


__all__ = [
    "OFFSET_SIZE", "PLACE_SIZE", "RANKED", "RANK_SIZE", "count_things", "numbers_beside", "orders", "pair_offsets",
    "pair_overlaps", "places", "relative_boxes", "same_thing", "soft_ranks",
]  # fmt: skip
