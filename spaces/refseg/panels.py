"""The pieces that reasons are shown in: pictures with a line below them, maps over the photo, and tables."""

from collections.abc import Sequence
from html import escape

import matplotlib
import numpy as np
import torch
from page import data_uri, mark
from PIL import Image
from segmenting import Finding

PANEL_WIDTH = 320  # pixels


def panel(picture: Image.Image, title: str, alt: str, kind: str = "panel") -> str:
    """One picture with what is written below it, as it is.

    Args:
        kind: its classes in style.css.
    """
    return (
        f'<figure class="{kind}"><img src="{data_uri(picture, "JPEG")}" alt="{escape(alt)}">'
        f"<figcaption>{title}</figcaption></figure>"
    )


def heat(
    photo: Image.Image, values: np.ndarray, colors: str = "inferno", where: np.ndarray | None = None
) -> Image.Image:
    """A map over the gray photo.

    Args:
        values: (h, w) in [0, 1], over the whole photo.
        colors: a color map of matplotlib.
        where: (h', w') in [0, 1], how much of the map is seen; None: all of it.
    """
    size = (PANEL_WIDTH, max(1, round(PANEL_WIDTH * photo.height / photo.width)))
    gray = np.asarray(photo.convert("L").resize(size), np.float32)[..., None] / 255  # (H, W, 1)
    painted = matplotlib.colormaps[colors](np.clip(resized(values, size), 0, 1))[..., :3]  # (H, W) -> (H, W, 3)
    alpha = 0.65 if where is None else 0.65 * (resized(where, size) > 0.5)[..., None]
    return Image.fromarray((255 * ((1 - alpha) * gray + alpha * painted)).round().astype(np.uint8))


def resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))


def on_cells(values: np.ndarray, cell: float, size: tuple[int, int]) -> np.ndarray:
    """The part of a map that lies on a picture of `size` (width, height), whose cells start at its top left corner."""
    height, width = values.shape
    whole = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None].float(), scale_factor=8, mode="bilinear"
    )
    rows, columns = (
        max(1, round(8 * min(side / cell, cells))) for side, cells in zip(size[::-1], (height, width), strict=True)
    )
    return whole[0, 0, :rows, :columns].numpy()


def word_table(explanation, finding: Finding) -> str:
    """How much each module listens to each word, and how much it counts.

    Args:
        explanation: of N expressions: `modules`, `module_weights` (N, S) and `word_attentions` (N, S, T).
        finding: one of them.
    """
    weights = explanation.word_attentions[finding.row].float().cpu()[:, : len(finding.words)]  # (S, T) -> (S, W)
    counts = explanation.module_weights[finding.row].float().cpu()
    words = [mark(word) if word in finding.unknown else escape(word) for word in finding.words]
    lines = [
        (f"{escape(name)}<br><small>counts {count:.0%}</small>", line)
        for name, count, line in zip(explanation.modules, (counts / counts.sum()).tolist(), weights, strict=True)
    ]
    return table("How much each module listens to each word", words, lines, "{:.2f}")


def table(caption: str, columns: Sequence[str], lines: Sequence[tuple[str, torch.Tensor]], form: str) -> str:
    """Numbers on shades: blue above zero, orange below.

    Args:
        caption: what the numbers are, as text.
        columns: W headers, as HTML.
        lines: of each line its header, as HTML, and its (W,) numbers, which are on full shade at 1 and -1.
        form: how a number is written.
    """
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    rows = "".join(
        f'<tr><th scope="row">{name}</th>'
        + "".join(
            f'<td{" class=against" if number < 0 else ""} style="--weight: {min(abs(number), 1):.2f}">'
            f"{form.format(number)}</td>"
            for number in line.tolist()
        )
        + "</tr>"
        for name, line in lines
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><h4>{escape(caption)}</h4>'
        f'<table class="weights"><tr><td></td>{head}</tr>{rows}</table></div>'
    )
