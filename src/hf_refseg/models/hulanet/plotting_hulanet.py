"""The picture of HULANet's module maps, and of how they are combined (Wu et al. 2020, figure 5)."""

from collections.abc import Sequence

import numpy as np

from ...plotting import COLORS, as_fraction, overlay
from ...processing.images import ImageSource, load_image
from .outputs_hulanet import HulaNetExplanation
from .phrase_modules import COMBINED_NAMES

MODULE_COLORS = {"category": COLORS[0], "attribute": COLORS[1], "relationship": COLORS[2]}
LISTED = 3  # categories and attributes that are named below a map


def plot_explanation(
    image: ImageSource, words: Sequence[str], explanation: HulaNetExplanation, row: int = 0, mask=None
):
    """Draws what each module found over the photo, how much each of the ten channels counts, and the answer.

    Below the map of a module stand the categories, or attributes, it listens to most. Modules without anything to read
    in the phrase are left out. All maps are on one scale, from 0 to 1.

    Args:
        image: anything that `load_image` reads.
        words: the words of the phrase, as the tokenizer split them.
        explanation: of N phrases.
        row: which phrase.
        mask: (H, W) at the image's size, or None.

    Returns: a `matplotlib.figure.Figure`.

    Raises ValueError where there are no words.
    """
    from matplotlib.figure import Figure

    if not words:
        raise ValueError("there are no words; give the words of the phrase that the explanation is about")
    image = load_image(image)
    panels = map_panels(explanation, row)
    columns = 2 + len(panels) + (mask is not None)
    width = 2.6
    height = width * image.height / image.width + 1.2  # inches, with room for titles and what is listed
    figure = Figure(figsize=(width * columns + 0.8, height), layout="constrained")
    figure.suptitle(" ".join(words))
    axes = figure.subplots(1, columns)
    for axis in axes:
        axis.set(xticks=[], yticks=[], frame_on=False)
    axes[0].imshow(image)
    axes[0].set_title("photo")
    gray = np.asarray(image.convert("L"))
    cells = explanation.grid_sizes[row].tolist()
    for axis, (title, maps, listed) in zip(axes[1 : 1 + len(panels)], panels, strict=True):
        values = maps[row, : cells[0], : cells[1]].detach().float().cpu().numpy()  # (h, w)
        axis.imshow(gray, cmap="gray", vmin=0, vmax=255)
        extent = (-0.5, image.width - 0.5, image.height - 0.5, -0.5)
        drawn = axis.imshow(values, cmap="inferno", vmin=0, vmax=1, alpha=0.65, extent=extent)
        axis.set(title=title, xlabel=listed)
    figure.colorbar(drawn, ax=axes[1 : 1 + len(panels)].tolist(), fraction=0.02, label="probability")
    if mask is not None:
        axes[-2].imshow(overlay(image, mask))
        axes[-2].set_title("mask")
    _draw_weights(axes[-1], explanation.weights[row].detach().float().cpu().tolist())
    return figure


def map_panels(explanation: HulaNetExplanation, row: int) -> list[tuple]:
    """Title, maps (N, h, w) and what is written below, of every map that says something of the phrase `row`."""
    category, attribute, relationship = explanation.present[row].tolist()
    names, kinds = explanation.categories, explanation.attributes
    panels = []
    if category:
        listed = strongest(explanation.category_attention[row], names)
        panels.append(("category", explanation.category_maps, listed))
    if attribute:
        panels.append(("attribute", explanation.attribute_maps, strongest(explanation.attribute_attention[row], kinds)))
    if relationship:
        panels.append(("object of the relation", explanation.object_maps, ""))
        panels.append(("relationship", explanation.relationship_maps, ""))
    return [*panels, ("combined", explanation.combined_maps, "")]


def strongest(attention, names: Sequence[str]) -> str:
    """The names that are listened to most, one per line; numbers where there are no names."""
    best = attention.topk(min(LISTED, len(attention)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return "\n".join(f"{names[index] if names else index} {value:.2f}" for index, value in pairs)


def _draw_weights(axis, weights: Sequence[float]) -> None:
    """The weight of each of the ten channels, named by the first letters of the modules in it."""
    letters = {"c": "category", "a": "attribute", "r": "relationship"}
    colors = [as_fraction(MODULE_COLORS[letters[name]]) if name in letters else "0.6" for name in COMBINED_NAMES]
    bars = axis.barh(range(len(weights)), weights, color=colors)
    axis.bar_label(bars, [f"{weight:.2f}" if weight else "" for weight in weights], padding=2)
    axis.set_yticks(range(len(weights)), COMBINED_NAMES)
    axis.invert_yaxis()
    axis.set(xlim=(0, 1.2 * max(weights)), title="weights of the channels")


__all__ = ["plot_explanation"]
