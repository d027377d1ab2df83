"""Masks over photos with a legend, and what the systems' own plots (`models/<family>/plotting_<family>.py`) share."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from .processing.images import ImageSource, load_image
from .processing.masks import read_masks
from .processing.placement import CenteredPlacement

# RGB, told apart on photos and by color-blind readers (Wong, Nature Methods 2011, brightened)
COLORS = ((0, 150, 255), (255, 96, 0), (0, 200, 130), (255, 90, 200), (255, 220, 0), (130, 90, 255), (0, 220, 230))


def overlay(
    image: ImageSource, masks, labels: str | Sequence[str] | None = None, alpha: float = 0.45, colors=COLORS
) -> Image.Image:
    """Lays masks over a photo: a tint and an outline in a color per mask, and a legend below.

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
    masks, index = read_masks(masks, "masks")
    masks = [masks[number].cpu().numpy() for number in index]
    labels = [labels] if isinstance(labels, str) else labels
    if labels is not None and len(labels) != len(masks):
        raise ValueError(f"{len(labels)} labels for {len(masks)} masks; give one text per mask")
    for number, mask in enumerate(masks):
        if mask.shape != image.size[::-1]:
            raise ValueError(
                f"mask {number} has the shape {mask.shape}; the image is {image.size[::-1]} (height, width)"
            )
    pixels = np.asarray(image).astype(np.float32)  # (H, W, 3)
    chosen = [colors[index % len(colors)] for index in range(len(masks))]
    for mask, color in zip(masks, chosen, strict=True):
        pixels[mask] = (1 - alpha) * pixels[mask] + alpha * np.array(color, np.float32)
    thickness = max(1, round(min(image.size) / 180))
    for mask, color in zip(masks, chosen, strict=True):
        pixels[outline(mask, thickness)] = color
    painted = Image.fromarray(pixels.round().astype(np.uint8))
    if labels is None:
        return painted
    entries = [label if mask.any() else f"{label} (nothing found)" for label, mask in zip(labels, masks, strict=True)]
    return _with_legend(painted, entries, chosen)


def outline(mask: np.ndarray, thickness: int) -> np.ndarray:
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


def map_on_image(one: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """The part of a map that lies on the image, where the image was centered in the network's input.

    Args:
        one: (h, w) float, over the whole network input.
        size: (height, width) of the image.

    Returns: float, of the image's aspect, at eight times the map's resolution.
    """
    fine = F.interpolate(one[None, None], scale_factor=8, mode="bilinear", align_corners=False)[0, 0]  # -> (8h, 8w)
    return CenteredPlacement.fit(size, tuple(fine.shape)).crop(fine).numpy()


def frame_box(axis, box: np.ndarray, color, width: float, style: str = "-") -> None:
    """Draws the outline of a box on a photo.

    Args:
        axis: of matplotlib, on which `imshow` has drawn the photo.
        box: (4,) xyxy in pixels of the photo, x2 and y2 outside the box.
        color, width, style: of the line, as matplotlib names them; width in points.
    """
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = box - 0.5  # imshow puts the center of the first pixel at 0
    axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=width, linestyle=style))


def as_fraction(color: tuple[int, int, int]) -> tuple[float, ...]:
    """RGB of 0..255, as Pillow takes it -> 0..1, as matplotlib takes it."""
    return tuple(channel / 255 for channel in color)


def draw_word_weights(axis, words: Sequence[str], explanation, row: int) -> None:
    """
    How much each module listened to each word, in numbers and shades, and in front of it how much the module counted.

    Args:
        axis: of matplotlib.
        words: the words of the expression, as the tokenizer split them.
        explanation: of N expressions: `modules`, `module_weights` (N, S) and `word_attentions` (N, S, T).
        row: which expression.

    Raises ValueError where there are fewer weights than words.
    """
    weights = explanation.word_attentions[row].detach().float().cpu().numpy()  # (S, T)
    if not words or weights.shape[1] < len(words):
        raise ValueError(f"{weights.shape[1]} weights for {len(words)} words; ask the model for output_attentions=True")
    weights = weights[:, : len(words)]
    counts = explanation.module_weights[row].detach().float().cpu().tolist()
    names = [f"{name}\n{count:.2f}" for name, count in zip(explanation.modules, counts, strict=True)]
    axis.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(words)), words, rotation=35, ha="right")
    axis.set_yticks(range(len(weights)), names)
    for (line, column), weight in np.ndenumerate(weights):
        axis.text(column, line, f"{weight:.2f}", ha="center", va="center", color="white" if weight > 0.5 else "black")
    axis.set_title("weight of each word, and of the module")
