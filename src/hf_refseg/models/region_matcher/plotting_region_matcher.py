"""The picture of why the region matcher chose a region."""

from collections.abc import Sequence

import numpy as np

from ...plotting import COLORS, as_fraction, draw_word_weights, frame_box, overlay
from ...processing.images import ImageSource, load_image
from .outputs_region_matcher import RegionMatcherExplanation

SHOWN = 8  # regions whose scores are drawn, the likeliest ones


def plot_explanation(
    image: ImageSource, words: Sequence[str], explanation: RegionMatcherExplanation, row: int = 0, mask=None
):
    """Draws why a region was chosen, for one expression.

    Left the photo with all regions, the likeliest ones numbered, the answer framed, and the mask. In the middle how
    likely these and "none of them" are, and how surely each is of the kind that the words name. Right how much each
    module listened to each word, and in front of it how much the module counted.

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
    probabilities = explanation.probabilities[row].detach().float().cpu().numpy()  # (R,)
    kind = explanation.kind[row].detach().float().cpu().numpy()
    answers = explanation.answers[row].cpu().numpy()
    likeliest = [number for number in np.argsort(-probabilities)[:SHOWN] if boxes[number, 2] > boxes[number, 0]]
    figure = Figure(figsize=(13, 4), layout="constrained")
    photo, bars, table = figure.subplots(1, 3, width_ratios=(1.2, 0.9, 1.4))
    photo.imshow(image if mask is None else overlay(image, mask))
    for number, box in enumerate(boxes):
        if box[2] > box[0]:
            frame_box(
                photo, box, as_fraction(COLORS[0]) if answers[number] else "white", 2.5 if answers[number] else 0.6
            )
    for place, number in enumerate(likeliest):
        photo.text(boxes[number, 0] + 2, boxes[number, 1] + 2, place + 1, color="white", va="top", fontsize=8)
    photo.set_title("the answer (framed)" if answers.any() else "nothing like it")
    photo.axis("off")
    names = [*(str(place + 1) for place in range(len(likeliest))), "none"]
    places = np.arange(len(names))
    bars.barh(places, [*probabilities[likeliest], float(explanation.nothing[row])], 0.5, color=as_fraction(COLORS[0]))
    bars.plot(kind[likeliest], places[:-1], "|", color="black", markersize=12)
    bars.set_yticks(places, names)
    bars.invert_yaxis()
    bars.set_xlim(0, 1)
    bars.set_title("probability (bar), of the kind (line)")
    draw_word_weights(table, words, explanation, row)
    return figure


__all__ = ["plot_explanation"]
