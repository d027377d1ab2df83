"""
Masks of regions for NanoDet, which has none by itself: an addition of this package, small enough for one core.

A crop of the fused pyramid says what lies where in a box, and the region's class scores say what it should be: one head
draws the masks of all categories, and those of a category that it never saw look like their neighbors. The outline
follows a crop of fine maps.

M regions of all images, R of one, K categories; C channels of the mask head, D of the stem, E of its fine maps; S cells
per side of a crop. Boxes are xyxy in pixels of the network's input, x2 and y2 outside.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from ...layers.image_geometry import exclusive_to_inclusive
from ...layers.inputs import values_are_readable
from ...layers.packed_convolution import PackedConvolution
from ...layers.roi_crop import crop_regions
from .configuration_nanodet import NanoDetConfig
from .outputs_nanodet import ImageMaps

FINE_STRIDE, FUSED_STRIDE, COARSE_STRIDE = 4, 8, 32  # of the fine maps, the fused ones, the coarsest of these
MARGIN = 1  # cells around a box that are read and not drawn, for what goes on beyond it
TURNS, LEAST_IOU = 6, 0.05  # of `best_outlines`: how often a mask is chosen again, and the least IoU that it counts on


class MaskLogits(nn.Conv2d):
    """The last layer, which starts undecided: (M, C, 2S, 2S) -> (M, 1, 2S, 2S)."""

    def initialize(self):
        init.normal_(self.weight, std=0.01)
        init.zeros_(self.bias)


class MaskHead(nn.Module):
    """Crops of regions, and masks of them."""

    def __init__(self, config: NanoDetConfig):
        super().__init__()
        trunk, size, detail = config.backbone_config, config.mask_hidden_size, config.detail_size
        self.size, self.crop_size = size, config.crop_size
        slope = trunk.negative_slope
        self.fusion = PackedConvolution(trunk.hidden_sizes[0] + 3 * trunk.pyramid_size, size, 1, slope=slope)
        self.detail = PackedConvolution(trunk.stem_size + trunk.num_channels, detail, 3, padding=1, slope=slope)
        self.category = nn.Linear(config.num_labels, size, bias=False)
        self.residuals = nn.ModuleList(
            PackedConvolution(size, size, 3, padding=dilation, dilation=dilation, slope=slope)
            for dilation in config.mask_dilations
        )
        self.upsampling = PackedConvolution(size, 2 * detail, 1)
        self.refinement = PackedConvolution(3 * detail, 2 * detail, 3, padding=1, slope=slope)
        self.mask_logits = MaskLogits(2 * detail, 1, 1)

    def crop(self, maps: ImageMaps, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        What lies in the boxes (R, 4) of one image.

        Returns:
            (R, C, S + 2, S + 2) of the fused pyramid, with a cell around the box, and (R, E, 2S, 2S) of the fine maps.
        """
        margin = (boxes[:, 2:] - boxes[:, :2]) * (MARGIN / self.crop_size)  # (R, 2)
        frames = boxes + torch.cat([-margin, margin], dim=1)
        if len(boxes) and values_are_readable(boxes):
            maps, corner = cut_window(maps, frames)
            boxes, frames = boxes - corner, frames - corner
        levels = [refine_cells(level[None], factor) for level, factor in zip(maps.pyramid[:3], (1, 2, 4), strict=True)]
        fused = self.fusion(torch.cat([maps.stage[None], *levels], dim=1))  # -> (1, C, h, w)
        fine = self.detail(maps.fine[None])  # (D + 3, H / 4, W / 4) -> (1, E, H / 4, W / 4)
        return (
            crop_boxes(fused, frames, FUSED_STRIDE, self.crop_size + 2 * MARGIN),
            crop_boxes(fine, boxes, FINE_STRIDE, 2 * self.crop_size),
        )

    def forward(self, crops: torch.Tensor, detail: torch.Tensor, class_scores: torch.Tensor) -> torch.Tensor:
        """
        What masks are drawn from.

        Args:
            crops, detail: of M regions, as of `crop`.
            class_scores: (M, K).

        Returns:
            (M, C + 4E, S, S): the head's maps, and behind them four fine cells for each of theirs.
        """
        maps = crops + self.category(class_scores.to(crops.dtype))[:, :, None, None]
        maps = F.leaky_relu(maps, self.fusion.slope)
        for residual in self.residuals:
            maps = maps + residual(maps)
        maps = without_margin(maps)  # (M, C, S + 2, S + 2) -> (M, C, S, S)
        return torch.cat([maps, pack(detail)], dim=1)  # (M, C, S, S) and (M, 4E, S, S) -> (M, C + 4E, S, S)

    def draw(self, head_maps: torch.Tensor) -> torch.Tensor:
        """Mask logits: (M, C + 4E, S, S) -> (M, 2S, 2S)."""
        maps = self.upsampling(head_maps[:, : self.size])  # (M, C, S, S) -> (M, 2E, S, S)
        maps = F.interpolate(maps, scale_factor=2, mode="bilinear")  # -> (M, 2E, 2S, 2S)
        detail = unpack(head_maps[:, self.size :])  # (M, 4E, S, S) -> (M, E, 2S, 2S)
        maps = self.refinement(torch.cat([maps, detail], dim=1))  # -> (M, 2E, 2S, 2S)
        return self.mask_logits(maps)[:, 0]  # (M, 1, 2S, 2S) -> (M, 2S, 2S)


def best_outlines(logits: torch.Tensor, odds: float) -> torch.Tensor:
    """
    Moves mask logits so that the cells above 0 make the mask with the largest expected IoU: (M, L, L) -> (M, L, L).

    Where a cell is covered with probability p, taking it into the mask adds p to the expected intersection and 1 - p to
    the expected union. So it belongs to the mask if p / (1 - p) is above the ratio of these two, the IoU (Nowozin,
    CVPR 2014): a mask that is sure ends where a half is likely, and one that is not ends further out. The largest IoU
    is found in turns, the mask for an IoU and the IoU of this mask (Dinkelbach 1967).

    Args:
        odds: how many times too large the odds of a covered cell are, `config.mask_odds`.
    """
    log_odds = logits.float() - math.log(odds)
    probabilities, iou = log_odds.sigmoid(), log_odds.new_full((len(log_odds), 1, 1), 0.5)
    for _ in range(TURNS):
        chosen = log_odds > iou.log()
        common = (probabilities * chosen).sum((1, 2), keepdim=True)  # (M, L, L) -> (M, 1, 1)
        union = torch.where(chosen, 1.0, probabilities).sum((1, 2), keepdim=True)
        iou = (common / union).clamp(min=LEAST_IOU)
    return (log_odds - iou.log()).to(logits)


def pack(detail: torch.Tensor) -> torch.Tensor:
    """`F.pixel_unshuffle(detail, 2)`, for no regions too, where that fails: (M, E, 2S, 2S) -> (M, 4E, S, S)."""
    cells = detail.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))  # (M, E, 2S, 2S) -> (M, E, S, 2, S, 2)
    return cells.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)  # -> (M, 4E, S, S)


def unpack(packed: torch.Tensor) -> torch.Tensor:
    """What `pack` did, undone: (M, 4E, S, S) -> (M, E, 2S, 2S)."""
    cells = packed.unflatten(1, (-1, 2, 2))  # (M, 4E, S, S) -> (M, E, 2, 2, S, S)
    return cells.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)  # -> (M, E, 2S, 2S)


def cut_window(maps: ImageMaps, frames: torch.Tensor) -> tuple[ImageMaps, torch.Tensor]:
    """
    The part of the maps of an image that its crops are made of: of a small thing in a large photo, a small part.

    Args:
        frames: (R, 4) of the crops, at least one.

    Returns:
        the maps, without the predictions and the coarsest level, and the place (4,) of their corner: x and y, twice.
    """
    # in cells of the coarsest level that is read: one more on each side than convolutions and interpolation look at
    cells = torch.tensor(maps.pyramid[2].shape[:0:-1], device=frames.device)  # width and height
    start = (frames[:, :2].amin(0) // COARSE_STRIDE - 1).minimum(cells - 1).clamp(min=0)
    stop = (frames[:, 2:].amax(0) // COARSE_STRIDE + 3).clamp(min=1)
    columns, rows = (slice(*bounds) for bounds in torch.stack([start, stop], 1).long().tolist())

    def cut(level: torch.Tensor, stride: int) -> torch.Tensor:
        factor = COARSE_STRIDE // stride
        return level[:, rows.start * factor : rows.stop * factor, columns.start * factor : columns.stop * factor]

    pyramid = tuple(cut(level, stride) for level, stride in zip(maps.pyramid, (8, 16, COARSE_STRIDE), strict=False))
    window = ImageMaps(cut(maps.fine, FINE_STRIDE), cut(maps.stage, FUSED_STRIDE), pyramid, ())
    return window, start.repeat(2) * COARSE_STRIDE


def refine_cells(maps: torch.Tensor, factor: int) -> torch.Tensor:
    """
    Bilinear, (1, C, h, w) -> (1, C, factor * h, factor * w), so that cell i becomes cell `factor * i`.

    Convolutions of odd size and stride s make cell i of what lies around pixel s * i, at all levels alike, where
    `F.interpolate` by itself takes cell i to be the whole of the pixels s * i to s * i + s - 1.
    """
    height, width = ((side - 1) * factor + 1 for side in maps.shape[-2:])
    maps = F.interpolate(maps, (height, width), mode="bilinear", align_corners=True)
    return F.pad(maps, (0, factor - 1, 0, factor - 1), mode="replicate")


def crop_boxes(maps: torch.Tensor, boxes: torch.Tensor, stride: int, size: int) -> torch.Tensor:
    """RoIAlign of the maps of one image: (1, C, h, w) and (R, 4) -> (R, C, size, size)."""
    image_index = torch.zeros(len(boxes), dtype=torch.long, device=boxes.device)
    boxes = boxes + (stride - 1) / 2  # RoIAlign takes cell i for the whole of its pixels, as above
    # in float32, for RoIAlign reads its boxes in the precision of the maps: bfloat16 would move them by a pixel or two
    crops = crop_regions(maps.float(), exclusive_to_inclusive(boxes), image_index, stride, size, "align")
    return crops.to(maps.dtype)


def without_margin(crops: torch.Tensor) -> torch.Tensor:
    """(M, C, S + 2, S + 2) -> (M, C, S, S)."""
    return crops[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]


__all__ = ["MaskHead", "MaskLogits", "best_outlines", "without_margin"]
