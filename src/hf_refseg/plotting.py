"""Pictures of what the models found: masks over photos with a legend, and RMI's map after every word."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from .processing.images import ImageSource, load_image
from .processing.resizing import Letterbox

# distinct on photos and for colour-blind readers (Wong, Nature Methods 2011, brightened); RGB
COLORS = ((0, 150, 255), (255, 96, 0), (0, 200, 130), (255, 90, 200), (255, 220, 0), (130, 90, 255), (0, 220, 230))


def overlay(
    image: ImageSource, masks, labels: str | Sequence[str] | None = None, alpha: float = 0.45, colors=COLORS
) -> Image.Image:
    """Lays masks over a photo: a tint and an outline in a colour per mask, and a legend below.

    Args:
        image: anything that `load_image` reads.
        masks: one mask or a sequence of them, each (H, W) at the image's size, non-zero = inside: array, tensor or PIL.
        labels: one text per mask, for the legend; None: no legend. An empty mask is listed as "nothing found".
        alpha: strength of the tint, 0 to 1; the outline is always opaque.
        colors: RGB of 0..255, repeated where there are more masks.

    Returns: an RGB image as wide as the photo; with labels higher, by the legend.

    Raises ValueError where a mask is not of the image's size, or the numbers of labels and masks differ.
    """
    image = load_image(image)
    masks = [masks] if isinstance(masks, Image.Image) or getattr(masks, "ndim", 0) == 2 else list(masks)
    labels = [labels] if isinstance(labels, str) else labels
    if labels is not None and len(labels) != len(masks):
        raise ValueError(f"{len(labels)} labels for {len(masks)} masks; give one text per mask")
    masks = [_as_bool(mask, index, image.size) for index, mask in enumerate(masks)]
    pixels = np.asarray(image).astype(np.float32)  # (H, W, 3)
    chosen = [colors[index % len(colors)] for index in range(len(masks))]
    for mask, color in zip(masks, chosen, strict=True):
        pixels[mask] = (1 - alpha) * pixels[mask] + alpha * np.array(color, np.float32)
    thickness = max(1, round(min(image.size) / 180))
    for mask, color in zip(masks, chosen, strict=True):
        pixels[_outline(mask, thickness)] = color
    painted = Image.fromarray(pixels.round().astype(np.uint8))
    if labels is None:
        return painted
    entries = [label if mask.any() else f"{label} (nothing found)" for label, mask in zip(labels, masks, strict=True)]
    return _with_legend(painted, entries, chosen)


def _as_bool(mask, index: int, size: tuple[int, int]) -> np.ndarray:
    mask = mask.detach().cpu().numpy() if isinstance(mask, torch.Tensor) else np.asarray(mask)
    if mask.shape != size[::-1]:
        raise ValueError(f"mask {index} has the shape {mask.shape}; the image is {size[::-1]} (height, width)")
    return mask != 0


def _outline(mask: np.ndarray, thickness: int) -> np.ndarray:
    """The pixels of a mask within `thickness` of its border (the image's own border does not count)."""
    side = 2 * thickness + 1
    outside = torch.from_numpy(~mask)[None].float()  # (1, H, W)
    # a square is widened along one axis, then the other: Pillow's MaxFilter takes 13 s for a photo of 12 megapixels
    outside = F.max_pool2d(outside, (side, 1), stride=1, padding=(thickness, 0))
    outside = F.max_pool2d(outside, (1, side), stride=1, padding=(0, thickness))
    return (outside[0] > 0).numpy() & mask


def _with_legend(image: Image.Image, entries: Sequence[str], colors) -> Image.Image:
    size = max(12, round(image.width / 40))
    font = ImageFont.load_default(size)
    margin, text_left = size // 2, 2 * size
    lines = [_wrap(entry, font, image.width - text_left - margin) for entry in entries]
    row = round(1.4 * size)
    height = row * sum(map(len, lines)) + 2 * margin
    canvas = Image.new("RGB", (image.width, image.height + height), "white")
    canvas.paste(image)
    draw = ImageDraw.Draw(canvas)
    top = image.height + margin
    for wrapped, color in zip(lines, colors, strict=True):
        draw.rounded_rectangle((margin, top + size // 5, margin + size, top + size // 5 + size), size // 5, fill=color)
        for line in wrapped:
            draw.text((text_left, top), line, fill="black", font=font)
            top += row
    return canvas


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def plot_word_maps(image: ImageSource, words: Sequence[str], attentions, mask=None, columns: int = 5):
    """Draws the photo, RMI's map after every word, and the final mask in one figure (Liu et al. 2017, figure 5).

    Args:
        image: anything that `load_image` reads.
        words: the W words of one expression, as the tokenizer split them.
        attentions: T >= W maps (h, w) on the feature grid, as the model returns them for one expression; maps in front
            of the last W belong to padding and are left out.
        mask: (H, W) at the image's size, or None.
        columns: panels per row.

    Returns: a `matplotlib.figure.Figure`. All maps share one colour scale; the letterbox is cut off.

    Raises ValueError where there are fewer maps than words.
    """
    from matplotlib.figure import Figure

    image = load_image(image)
    maps = [torch.as_tensor(one).detach().float().cpu() for one in attentions]
    if not words or len(maps) < len(words):
        raise ValueError(f"{len(maps)} maps for {len(words)} words; ask the model for output_attentions=True")
    maps = [_map_on_image(one, image.size[::-1]) for one in maps[-len(words) :]]
    low, high = min(float(one.min()) for one in maps), max(float(one.max()) for one in maps)
    panels = 1 + len(words) + (mask is not None)
    columns = min(columns, panels)
    rows = -(-panels // columns)
    width = 2.6
    panel_height = width * image.height / image.width + 0.35  # inches, with room for a title
    figure = Figure(figsize=(width * columns + 0.6, panel_height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    axes[0].imshow(image)
    axes[0].set_title("photo")
    grey = np.asarray(image.convert("L"))
    extent = (-0.5, image.width - 0.5, image.height - 0.5, -0.5)
    for axis, word, one in zip(axes[1:], words, maps, strict=False):
        axis.imshow(grey, cmap="gray", vmin=0, vmax=255)
        drawn = axis.imshow(
            one, cmap="inferno", vmin=low, vmax=high, alpha=0.65, extent=extent, interpolation="bilinear"
        )
        axis.set_title(word)
    if mask is not None:
        axes[1 + len(words)].imshow(overlay(image, mask))
        axes[1 + len(words)].set_title("mask")
    figure.colorbar(drawn, ax=axes.tolist(), fraction=0.02, label="mean state after the word")
    return figure


def _map_on_image(one: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """A map (h, w) of the whole network input -> its part on the image of `size` (height, width), letterbox cut off."""
    fine = F.interpolate(one[None, None], scale_factor=8, mode="bilinear", align_corners=False)[0, 0]  # (8h, 8w)
    return Letterbox.fit(size, tuple(fine.shape)).crop(fine).numpy()


MODULE_COLORS = {"subject": COLORS[0], "location": COLORS[1], "relationship": COLORS[2]}


def plot_modules(
    image: ImageSource,
    words: Sequence[str],
    attentions,
    row: int = 0,
    image_index: int = 0,
    modules: Sequence[str] = tuple(MODULE_COLORS),
    mask=None,
):
    """Draws what MAttNet's modules listened to and looked at, for one expression (Yu et al. 2018, figures 4 to 6).

    Left the photo with all regions, the chosen one, the neighbour that the relationship module chose beside it, and the
    mask; in the middle the cells of the region at which the subject module looked; right how much each module listened
    to each word, and in front of it how much the module counted.

    Args:
        image: anything that `load_image` reads.
        words: the words of the expression, as the tokenizer split them.
        attentions: a `MAttNetAttentions`.
        row, image_index: which expression, and its image.
        modules: names of the model's modules, `model.config.modules`.
        mask: (H, W) at the image's size, or None.

    Returns: a `matplotlib.figure.Figure`.

    Raises ValueError where there are fewer weights than words, or not as many modules as names.
    """
    from matplotlib.figure import Figure

    image = load_image(image)
    weights = attentions.word_attentions[row].detach().float().cpu().numpy()  # (S, T)
    if not words or weights.shape[1] < len(words):
        raise ValueError(f"{weights.shape[1]} weights for {len(words)} words; ask the model for output_attentions=True")
    if len(weights) != len(modules):
        raise ValueError(f"{len(weights)} modules, but the names {list(modules)}; give modules=model.config.modules")
    boxes = attentions.region_boxes[image_index].detach().float().cpu().numpy()  # (R, 4)
    chosen = int(attentions.chosen[row])
    neighbour = -1 if attentions.neighbours is None else int(attentions.neighbours[row])
    figure = Figure(figsize=(12, 4), layout="constrained")
    photo, region, table = figure.subplots(1, 3, width_ratios=(1.2, 0.8, 1.4))
    photo.imshow(image if mask is None else overlay(image, mask))
    for number, box in enumerate(boxes):
        if box[2] > box[0] and number not in (chosen, neighbour):
            _frame(photo, box, "white", 0.8)
    if neighbour >= 0:
        _frame(photo, boxes[neighbour], _fraction(MODULE_COLORS["relationship"]), 2, "--")
    _frame(photo, boxes[chosen], _fraction(MODULE_COLORS["subject"]), 2.5)
    photo.set_title("chosen (line), neighbour (dashed)")
    x1, y1, x2, y2 = (int(round(float(side))) for side in boxes[chosen])
    crop = image.crop((x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)))
    region.imshow(np.asarray(crop.convert("L")), cmap="gray", vmin=0, vmax=255)
    if attentions.grid_attention is not None:
        grid = attentions.grid_attention[row].detach().float().cpu().numpy()
        extent = (-0.5, crop.width - 0.5, crop.height - 0.5, -0.5)
        region.imshow(grid, cmap="inferno", alpha=0.55, extent=extent, interpolation="bilinear")
    region.set_title("where the subject module looks")
    for axis in (photo, region):
        axis.axis("off")
    counts = attentions.module_weights[row].detach().float().cpu().tolist()
    table.imshow(weights[:, : len(words)], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    table.set_xticks(range(len(words)), words, rotation=35, ha="right")
    table.set_yticks(
        range(len(modules)), [f"{name}\n{weight:.2f}" for name, weight in zip(modules, counts, strict=True)]
    )
    for (line, column), weight in np.ndenumerate(weights[:, : len(words)]):
        table.text(column, line, f"{weight:.2f}", ha="center", va="center", color="white" if weight > 0.5 else "black")
    table.set_title("weight of each word, and of the module")
    return figure


def _frame(axis, box: np.ndarray, color, width: float, style: str = "-") -> None:
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = box - 0.5
    axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=width, linestyle=style))


def _fraction(color: tuple[int, int, int]) -> tuple[float, ...]:
    return tuple(channel / 255 for channel in color)
