"""Crops for the first stage of Hu et al. (ECCV 2016): is this box what the expression refers to?"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from ...data.row_draws import RowDraws

POSITIVE_IOU = 0.7
TRIES = 50


class CropCollator(RowDraws):
    """Turns rows into crops with an expression each, one that shows the referent and one that shows none of it.

    The original takes both from EdgeBoxes proposals: the referent's box and those of IoU >= 0.7 with it against those
    that do not touch it, as many of each. Here boxes are drawn at random under the same two conditions, from (seed,
    epoch, ref_id) alone, so that a resumed run sees the same crops. A referent that fills its image has no second crop.

    Args:
        processor: of the region stage; crops fill its square input, whatever their aspect.
        seed: another seed, other boxes.

    Returns (on call):
        The processor's batch, with `labels (N,)` float in {0, 1}, `crop_boxes (N, 4)` xyxy pixels, x2 and y2
        outside, and `original_sizes (N, 2)` of the whole images.
    """

    def __init__(self, processor, seed: int = 0):
        super().__init__(seed)
        self.processor = processor

    def __call__(self, rows: Sequence[dict]):
        size = self.processor.image_processor.size
        crops, texts, boxes, sizes, labels = [], [], [], [], []
        for row in rows:
            rng = self.draws_of(row)
            sentence = row["sentences"][int(rng.integers(len(row["sentences"])))]["sent"]
            for box, label in zip(draw_boxes(row, rng), (1.0, 0.0), strict=False):
                crops.append(row["image"].crop(box).resize((size["width"], size["height"]), Image.Resampling.BILINEAR))
                texts.append(sentence)
                boxes.append(box)
                sizes.append((row["height"], row["width"]))
                labels.append(label)
        batch = self.processor(images=crops, text=texts, allow_unknown=True, return_tensors="pt")
        batch["crop_boxes"] = torch.tensor(boxes, dtype=torch.float32)
        batch["original_sizes"] = torch.tensor(sizes)
        batch["labels"] = torch.tensor(labels)
        return batch


def draw_boxes(row: dict, rng: np.random.Generator) -> list[list[int]]:
    """A box of IoU >= 0.7 with the referent's, and, where one was found in `TRIES` draws, one that does not touch it.

    Boxes are [x1, y1, x2, y2] in whole pixels, x2 and y2 outside.

    Raises:
        ValueError: a row without box; the region classifier learns from referents only.
    """
    if not row["boxes"]:
        raise ValueError(f"{row['source']} ref_id={row['ref_id']} has no target, so no region to learn from")
    width, height = row["width"], row["height"]
    corners = np.array(row["boxes"])
    x1, y1, x2, y2 = [*corners[:, :2].min(0), *corners[:, 2:].max(0)]  # several referents: the box around them
    referent = [int(x1), int(y1), min(int(np.ceil(x2)), width), min(int(np.ceil(y2)), height)]
    referent[2:] = [max(referent[0] + 1, referent[2]), max(referent[1] + 1, referent[3])]
    positive = referent
    for _ in range(TRIES):
        reach = 0.15 * np.array([x2 - x1, y2 - y1, x2 - x1, y2 - y1])
        moved = np.round(referent + rng.uniform(-reach, reach)).astype(int).tolist()
        moved = [max(moved[0], 0), max(moved[1], 0), min(moved[2], width), min(moved[3], height)]
        if moved[0] < moved[2] and moved[1] < moved[3] and iou(moved, referent) >= POSITIVE_IOU:
            positive = moved
            break
    for _ in range(TRIES):
        xs, ys = np.sort(rng.integers(0, width, 2)).tolist(), np.sort(rng.integers(0, height, 2)).tolist()
        negative = [xs[0], ys[0], xs[1] + 1, ys[1] + 1]
        if min(xs[1] - xs[0], ys[1] - ys[0]) >= 8 and iou(negative, referent) == 0:
            return [positive, negative]
    return [positive]


def iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Intersection over union of two boxes [x1, y1, x2, y2]."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    shared = max(across, 0) * max(down, 0)
    return shared / (sum(areas) - shared)
