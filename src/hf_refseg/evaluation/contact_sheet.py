"""The best, median and worst cases of an evaluation in one picture."""

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..data.schema import decode_mask
from ..metrics import Protocol, Sample
from ..metrics.ratios import ratios
from ..plotting import overlay

CONTACT_SHEET_FILE = "contact_sheet.png"
COLORS = {"found": (0, 200, 130), "missed": (0, 150, 255), "wrong": (255, 96, 0)}  # RGB
PANEL = 3.0  # inches


def choose_cases(samples: Sequence[dict], protocol: Protocol, columns: int = 4) -> dict[str, list[tuple[dict, float]]]:
    """Up to `columns` samples of each kind with their IoU, at most one per referent: "best", "median", "worst".

    Equal IoUs are ordered by their place in the data set, so that the choice is always the same.
    """
    (ious, _) = ratios([Sample(*sample["counts"]) for sample in samples], protocol)["mIoU"]
    ranked = np.argsort(-ious, kind="stable")  # (N,) best first
    from_middle = ranked[np.argsort(np.abs(np.arange(len(ranked)) - len(ranked) // 2), kind="stable")]
    chosen = {}
    for kind, order in (("best", ranked), ("median", from_middle), ("worst", ranked[::-1])):
        of_row: dict[int, int] = {}
        for index in order:
            of_row.setdefault(samples[index]["row"], index)
            if len(of_row) == columns:
                break
        chosen[kind] = [(samples[index], float(ious[index])) for index in of_row.values()]
    return chosen


def draw_contact_sheet(samples: Sequence[dict], rows, protocol: Protocol, columns: int = 4) -> Image.Image:
    """One row of panels for each of best, median and worst: the photo with target and prediction, expression, IoU.

    Args:
        samples: records of [`hf_refseg.evaluation.run`]: `row`, `text`, `counts`, `mask`.
        rows: the data set, for photos and targets.
    """
    from matplotlib.figure import Figure

    cases = choose_cases(samples, protocol, columns)
    shown = {sample["row"]: rows[sample["row"]] for found in cases.values() for sample, _ in found}
    tallest = max(row["height"] / row["width"] for row in shown.values())
    figure = Figure(figsize=(PANEL * columns, (PANEL * min(tallest, 2) + 0.7) * len(cases) + 0.4), layout="constrained")
    axes = figure.subplots(len(cases), columns, squeeze=False)
    for axis in axes.ravel():
        axis.axis("off")
    for line, (kind, found) in zip(axes, cases.items(), strict=True):
        for axis, (sample, iou) in zip(line, found, strict=False):
            row = shown[sample["row"]]
            target, predicted = decode_mask(row["mask"]), decode_mask(sample["mask"])
            said = "" if target.any() else ", no target"
            draw_case(axis, row["image"], target, predicted, f"{kind}: IoU {iou:.2f}{said}", sample["text"], 3)
    return as_picture(figure)


def draw_case(axis, image, target: np.ndarray, predicted: np.ndarray, title: str, text: str, most_lines: int) -> None:
    """A photo with what was right, missed and wrong in it: masks (H, W) bool; below the title the expression."""
    parts = [target & predicted, target & ~predicted, predicted & ~target]
    axis.imshow(np.asarray(overlay(image, parts, colors=tuple(COLORS.values()))))
    lines = textwrap.wrap(text.replace("$", r"\$"), 34)[:most_lines]  # $ would start a formula
    axis.set_title("\n".join([title, *lines]), fontsize=9)


def as_picture(figure) -> Image.Image:
    """A figure of cases, with the legend of their colors, as RGB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patches import Patch

    patches = [Patch(color=[part / 255 for part in color], label=name) for name, color in COLORS.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
