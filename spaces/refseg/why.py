"""Why a system answered so: what its paper draws, panel by panel, so that it reads on a phone too."""

from collections.abc import Callable
from html import escape

import numpy as np
from page import data_uri, marked
from panels import heat, on_cells, panel, word_table
from PIL import Image
from segmenting import Answer, Finding
from why_regions import draw_regions

from hf_refseg.models.cac.spatial_filters import part_of_map
from hf_refseg.models.hulanet.phrase_modules import COMBINED_NAMES
from hf_refseg.models.hulanet.plotting_hulanet import map_panels
from hf_refseg.plotting import map_on_image


def why(answer: Answer) -> str:
    """One section per expression with a mask; the first one is open."""
    sections = [
        f'<details class="why"{" open" if not finding.row else ""}><summary>{marked(finding)}</summary>'
        f"{explain(answer, finding)}</details>"
        for finding in answer.findings
        if finding.row is not None
    ]
    if answer.explanation is None:
        return f'<p class="empty">{escape(answer.choice.name)} keeps nothing that could be drawn.</p>'
    return "".join(sections) or '<p class="empty">There is nothing to explain.</p>'


def explain(answer: Answer, finding: Finding) -> str:
    draw = EXPLAINED.get(answer.choice.system.family, draw_figure)
    return draw(answer, finding)


def draw_words(answer: Answer, finding: Finding) -> str:
    """RMI: the map after every word, which is the mean state of the multimodal LSTM."""
    maps = answer.explanation.word_maps[-len(finding.words) :, finding.row].float().cpu()  # (T, N, h, w) -> (W, h, w)
    maps = [map_on_image(one, answer.photo.size[::-1]) for one in maps]
    low, high = min(one.min() for one in maps), max(one.max() for one in maps)
    panels = []
    for number, one in enumerate(maps):
        read = " ".join(escape(word) for word in finding.words[:number])
        title = f"{read} <b>{escape(finding.words[number])}</b>"
        panels.append(
            panel(heat(answer.photo, (one - low) / max(high - low, 1e-6)), title, f"Map after word {number + 1}")
        )
    intro = "It reads word by word. After each word, bright is where it looks."
    return f'<p>{intro}</p><div class="panels steps">{"".join(panels)}</div>'


def draw_modules(answer: Answer, finding: Finding) -> str:
    """MAttNet: which words each module listens to, how much it counts, and where the subject module looks."""
    explanation, row = answer.explanation, finding.row
    panels = []
    if explanation.grid_attention is not None:
        x1, y1, x2, y2 = (round(float(side)) for side in explanation.region_boxes[row, explanation.chosen[row]])
        crop = answer.photo.crop((x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)))
        grid = explanation.grid_attention[row].float().cpu().numpy()
        panels.append(panel(heat(crop, grid / grid.max()), "where the subject module looks", "Region that was chosen"))
    intro = "Each module scores every region by the words it listens to; their sum decides."
    return f'<p>{intro}</p>{word_table(explanation, finding)}<div class="panels">{"".join(panels)}</div>'


def draw_responses(answer: Answer, finding: Finding) -> str:
    """CAC: what each of its filters adds to the response, and the response."""
    explanation, row = answer.explanation, finding.row
    cell = float(explanation.cell_sizes[row])
    shares = (explanation.weights[row, :, None, None] * explanation.responses[row]).float().cpu().numpy()  # (F, h, w)
    fused = explanation.fused_response[row].sigmoid().float().cpu().numpy()  # (h, w)
    limit = max(float(np.abs(shares).max()), 1e-6)
    weights = explanation.weights[row].tolist()
    rows, columns = (
        min(-(-side // cell), have) for side, have in zip(answer.photo.size[::-1], fused.shape, strict=True)
    )

    def spread(values: np.ndarray) -> np.ndarray:
        return on_cells(values, cell, answer.photo.size)

    panels = []
    for name, share, weight in zip(explanation.filters, shares, weights, strict=True):
        mine = np.zeros_like(share, bool)  # a filter reads one part of the map
        top, bottom, left, right = part_of_map(name, int(rows), int(columns))
        mine[top:bottom, left:right] = True
        picture = heat(answer.photo, spread(0.5 + share / (2 * limit)), "RdBu_r", spread(mine.astype(np.float32)))
        panels.append(panel(picture, f"<b>{escape(name)}</b> weighs {weight:+z.2f}", f"Response of the {name} filter"))
    panels.append(panel(heat(answer.photo, spread(fused)), "<b>all together</b>", "Response of all filters"))
    intro = (
        "Seven filters made of the words, each for its part of the picture: red speaks for a place, blue against it."
    )
    return f'<p>{intro}</p><div class="panels">{"".join(panels)}</div>'


def draw_maps(answer: Answer, finding: Finding) -> str:
    """HULANet: the maps of the modules that the phrase has words for, and how they were combined."""
    explanation, row = answer.explanation, finding.row
    height, width = explanation.grid_sizes[row].tolist()
    panels = []
    for title, maps, listed in map_panels(explanation, row):
        values = maps[row, :height, :width].float().cpu().numpy()  # (N, h, w) -> (h, w)
        said = f"<b>{escape(title)}</b>" + (f"<small>{escape(listed)}</small>" if listed else "")
        panels.append(panel(heat(answer.photo, values), said, f"Map of the {title}"))
    weights = explanation.weights[row].tolist()
    used = sorted(zip(weights, COMBINED_NAMES, strict=True), reverse=True)
    said = ", ".join(f"{name} {weight:.2f}" for weight, name in used if weight >= 0.01)
    intro = "Each module finds what its words name; c, a and r are the maps of category, attribute and relationship."
    return f'<p>{intro} Their weights: {escape(said)}.</p><div class="panels">{"".join(panels)}</div>'


def draw_figure(answer: Answer, finding: Finding) -> str:
    """Any other system: the figure of its paper."""
    if not answer.choice.system.has("plotting"):
        return '<p class="empty">This system draws nothing.</p>'
    plot = answer.choice.system.module("plotting").plot_explanation
    figure = plot(answer.photo, finding.words, answer.explanation, row=finding.row, mask=finding.mask)
    figure.set_dpi(100)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    alt = escape(f"How {answer.choice.name} read “{finding.expression}”")
    return f'<div class="scroll"><img class="figure" src="{data_uri(picture)}" alt="{alt}"></div>'


EXPLAINED: dict[str, Callable[[Answer, Finding], str]] = {
    "rmi": draw_words,
    "context_rmi": draw_words,
    "mattnet": draw_modules,
    "cac": draw_responses,
    "hulanet": draw_maps,
    "region_matcher": draw_regions,
}
