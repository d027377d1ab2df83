"""The held-out photos before and after, side by side."""

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm
from transformers import PreTrainedModel

from ..data import ReferringRows, ReferringSegmentationCollator
from ..data.schema import decode_mask
from ..evaluation.contact_sheet import as_picture, draw_case
from ..metrics.counts import mask_counts

MOST_PAIRS = 6
PANEL = 3.0  # inches

Answers = list[list[np.ndarray]]  # per row and sentence a mask (H, W) bool


@torch.no_grad()
def predict(model: PreTrainedModel, processor, rows: ReferringRows) -> Answers:
    """The masks of a model for every sentence of the rows that [`draw_before_after`] shows."""
    collator = ReferringSegmentationCollator(processor, sentence="all", labels=False)
    answers = []
    model.eval()
    for index in tqdm(shown_rows(rows), "photos of the picture", leave=False):
        inputs = collator([rows[index]]).to(model.device)
        found = processor.post_process_referring_segmentation(model(**inputs), target_sizes=inputs["original_sizes"])
        answers.append([result["mask"].cpu().numpy() for result in found])
    return answers


def shown_rows(rows: ReferringRows) -> list[int]:
    """Numbers of up to six rows, spread evenly."""
    return np.linspace(0, len(rows) - 1, min(MOST_PAIRS, len(rows))).round().astype(int).tolist()


def draw_before_after(rows: ReferringRows, before: Answers, after: Answers) -> Image.Image:
    """
    Pairs of panels: each photo with the target and what was painted, before and after, and the IoU of both.

    Args:
        before, after: of [`predict`], with the same rows.
    """
    from matplotlib.figure import Figure

    numbers = shown_rows(rows)
    lines = -(-len(numbers) // 2)
    shown = [rows[number] for number in numbers]
    tallest = max(row["height"] / row["width"] for row in shown)
    figure = Figure(figsize=(4 * PANEL, (PANEL * min(tallest, 2) + 0.6) * lines + 0.4), layout="constrained")
    axes = figure.subplots(lines, 4, squeeze=False)
    for axis in axes.ravel():
        axis.axis("off")
    for place, row in enumerate(shown):
        sentence = place % len(row["sentences"])
        text = row["sentences"][sentence]["sent"]
        target = decode_mask(row["mask"])
        for side, (when, answers) in enumerate((("before", before), ("after", after))):
            axis, mask = axes[place // 2, 2 * (place % 2) + side], answers[place][sentence]
            intersection, union = mask_counts(mask, target)[:2]
            title = f"{when}: IoU {intersection / union if union else 1:.2f}"
            draw_case(axis, row["image"], target, mask, title, text, 2)
    return as_picture(figure)
