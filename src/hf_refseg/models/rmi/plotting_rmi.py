"""The picture of what RMI's words did (Liu et al. 2017, figure 5)."""

from collections.abc import Sequence

import numpy as np

from ...plotting import map_on_image, overlay
from ...processing.images import ImageSource, load_image
from .outputs_rmi import RmiExplanation

PANELS_PER_ROW = 5


def plot_explanation(image: ImageSource, words: Sequence[str], explanation: RmiExplanation, row: int = 0, mask=None):
    """Draws the photo, RMI's map after every word, and the final mask in one figure (Liu et al. 2017, figure 5).

    Args:
        image: anything that `load_image` reads.
        words: the W words of one expression, as the tokenizer split them.
        explanation: of N expressions. Of its T maps those in front of the last W belong to padding and are left out.
        row: which expression.
        mask: (H, W) at the image's size, or None.

    Returns: a `matplotlib.figure.Figure`. All maps share one color scale; the letterbox is cut off.

    Raises ValueError where there are fewer maps than words.
    """
    from matplotlib.figure import Figure

    image = load_image(image)
    maps = list(explanation.word_maps[:, row].detach().float().cpu())  # (T, N, h, w) -> T x (h, w)
    if not words or len(maps) < len(words):
        raise ValueError(f"{len(maps)} maps for {len(words)} words; ask the model for output_attentions=True")
    maps = [map_on_image(one, image.size[::-1]) for one in maps[-len(words) :]]
    low, high = min(float(one.min()) for one in maps), max(float(one.max()) for one in maps)
    panels = 1 + len(words) + (mask is not None)
    columns = min(PANELS_PER_ROW, panels)
    rows = -(-panels // columns)
    width = 2.6
    panel_height = width * image.height / image.width + 0.35  # inches, with room for a title
    figure = Figure(figsize=(width * columns + 0.6, panel_height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    axes[0].imshow(image)
    axes[0].set_title("photo")
    gray = np.asarray(image.convert("L"))
    extent = (-0.5, image.width - 0.5, image.height - 0.5, -0.5)
    for axis, word, one in zip(axes[1:], words, maps, strict=False):
        axis.imshow(gray, cmap="gray", vmin=0, vmax=255)
        drawn = axis.imshow(
            one, cmap="inferno", vmin=low, vmax=high, alpha=0.65, extent=extent, interpolation="bilinear"
        )
        axis.set_title(word)
    if mask is not None:
        axes[1 + len(words)].imshow(overlay(image, mask))
        axes[1 + len(words)].set_title("mask")
    figure.colorbar(drawn, ax=axes.tolist(), fraction=0.02, label="mean state after the word")
    return figure


__all__ = ["plot_explanation"]
