"""The picture of what CAC's filters found, and of the response that came of it (Chen et al., BMVC 2019)."""

from collections.abc import Sequence

import numpy as np

from ...plotting import overlay
from ...processing.images import ImageSource, load_image
from .outputs_cac import CacExplanation
from .spatial_filters import part_of_map

PANELS_PER_ROW = 5


def plot_explanation(image: ImageSource, words: Sequence[str], explanation: CacExplanation, row: int = 0, mask=None):
    """Draws what each filter found and the response of all of them over the photo, for one expression.

    A filter's panel shows what it adds to the fused response, its own response times its weight: red where it speaks
    for a place, blue where it speaks against it, on one scale for all filters; a frame shows its part of the photo.

    Args:
        image: anything that `load_image` reads.
        words: the words of the expression, as the tokenizer split them.
        explanation: of N expressions.
        row: which expression.
        mask: (H, W) at the image's size, or None.

    Returns: a `matplotlib.figure.Figure`.

    Raises ValueError where there are no words.
    """
    from matplotlib.figure import Figure

    if not words:
        raise ValueError("there are no words; give the words of the expression that the explanation is about")
    image = load_image(image)
    cell = float(explanation.cell_sizes[row])
    shares = explanation.weights[row, :, None, None] * explanation.responses[row]  # (F, h, w)
    shares = shares.detach().float().cpu().numpy()
    fused = explanation.fused_response[row].detach().float().cpu().numpy()  # (h, w)
    # the last cells reach beyond the photo, and those of larger images in the batch lie outside of it
    size = tuple(-(-side // cell) for side in (image.height, image.width))
    size = tuple(int(min(cells, whole)) for cells, whole in zip(size, fused.shape, strict=True))
    limit = np.abs(shares).max() or 1.0

    panels = 2 + len(shares) + (mask is not None)
    columns = min(PANELS_PER_ROW, panels)
    rows = -(-panels // columns)
    width = 2.6
    height = width * image.height / image.width + 0.4  # inches, with room for a title
    figure = Figure(figsize=(width * columns + 3, height * rows + 0.4), layout="constrained")
    figure.suptitle(" ".join(words))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    gray = np.asarray(image.convert("L"))
    for axis in axes:
        axis.axis("off")

    def draw(axis, values, title, **colors):
        axis.imshow(gray, cmap="gray", vmin=0, vmax=255)
        extent = (-0.5, cell * size[1] - 0.5, cell * size[0] - 0.5, -0.5)
        drawn = axis.imshow(values[: size[0], : size[1]], extent=extent, alpha=0.6, interpolation="bilinear", **colors)
        axis.set(xlim=(-0.5, image.width - 0.5), ylim=(image.height - 0.5, -0.5), title=title)
        return drawn

    axes[0].imshow(image)
    axes[0].set_title("photo")
    for axis, name, share, weight in zip(
        axes[1 : 1 + len(shares)], explanation.filters, shares, explanation.weights[row].tolist(), strict=True
    ):
        signed = draw(axis, share, f"{name} ({weight:+.2f})", cmap="RdBu_r", vmin=-limit, vmax=limit)
        _frame_part(axis, part_of_map(name, *size), cell)
    last = 1 + len(shares)
    probability = draw(axes[last], 1 / (1 + np.exp(-fused)), "response", cmap="inferno", vmin=0, vmax=1)
    if mask is not None:
        axes[last + 1].imshow(overlay(image, mask))
        axes[last + 1].set_title("mask")
    figure.colorbar(signed, ax=axes.tolist(), fraction=0.02, label="share of a filter")
    figure.colorbar(probability, ax=axes.tolist(), fraction=0.02, label="sigmoid of the response")
    return figure


def _frame_part(axis, part: tuple[int, int, int, int], cell: float) -> None:
    from matplotlib.patches import Rectangle

    top, bottom, left, right = (side * cell for side in part)
    axis.add_patch(
        Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor="black", linewidth=1)
    )


__all__ = ["plot_explanation"]
