"""The picture of what MAttNet's modules listened to and looked at (Yu et al. 2018, figures 4 to 6)."""

from collections.abc import Sequence

import numpy as np

from ...plotting import COLORS, as_fraction, draw_word_weights, frame_box, overlay
from ...processing.images import ImageSource, load_image
from .outputs_mattnet import MAttNetExplanation

MODULE_COLORS = {"subject": COLORS[0], "location": COLORS[1], "relationship": COLORS[2]}


def plot_explanation(
    image: ImageSource,
    words: Sequence[str],
    explanation: MAttNetExplanation,
    row: int = 0,
    mask=None,
):
    """Draws what MAttNet's modules listened to and looked at, for one expression (Yu et al. 2018, figures 4 to 6).

    Left the photo with all regions, the chosen one, the neighbor that the relationship module chose beside it, and the
    mask; in the middle the cells of the region at which the subject module looked; right how much each module listened
    to each word, and in front of it how much the module counted.

    Args:
        image: anything that `load_image` reads.
        words: the words of the expression, as the tokenizer split them.
        explanation: of N expressions.
        row: which expression.
        mask: (H, W) at the image's size, or None.

    Returns: a `matplotlib.figure.Figure`.

    Raises ValueError where there are fewer weights than words.
    """
    from matplotlib.figure import Figure

    image = load_image(image)
    boxes = explanation.region_boxes[row].detach().float().cpu().numpy()  # (R, 4)
    chosen = int(explanation.chosen[row])
    neighbor = -1 if explanation.neighbors is None else int(explanation.neighbors[row])
    figure = Figure(figsize=(12, 4), layout="constrained")
    photo, region, table = figure.subplots(1, 3, width_ratios=(1.2, 0.8, 1.4))
    photo.imshow(image if mask is None else overlay(image, mask))
    for number, box in enumerate(boxes):
        if box[2] > box[0] and number not in (chosen, neighbor):
            frame_box(photo, box, "white", 0.8)
    if neighbor >= 0:
        frame_box(photo, boxes[neighbor], as_fraction(MODULE_COLORS["relationship"]), 2, "--")
    frame_box(photo, boxes[chosen], as_fraction(MODULE_COLORS["subject"]), 2.5)
    photo.set_title("chosen (line), neighbor (dashed)")
    x1, y1, x2, y2 = (int(round(float(side))) for side in boxes[chosen])
    crop = image.crop((x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)))
    region.imshow(np.asarray(crop.convert("L")), cmap="gray", vmin=0, vmax=255)
    if explanation.grid_attention is not None:
        grid = explanation.grid_attention[row].detach().float().cpu().numpy()
        extent = (-0.5, crop.width - 0.5, crop.height - 0.5, -0.5)
        region.imshow(grid, cmap="inferno", alpha=0.55, extent=extent, interpolation="bilinear")
    region.set_title("where the subject module looks")
    for axis in (photo, region):
        axis.axis("off")
    draw_word_weights(table, words, explanation, row)
    return figure


__all__ = ["plot_explanation"]
