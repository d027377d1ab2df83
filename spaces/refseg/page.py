"""What the page shows of an answer, as HTML that needs no file on the server: pictures travel inside of it."""

import base64
import io
import json
import re
from html import escape
from urllib.parse import quote

import numpy as np
from PIL import Image
from segmenting import Answer, Finding, as_coco

from hf_refseg.plotting import COLORS, outline

NOTHING = '<p class="aside">No mask. Other words, a lower threshold or another system may find it.</p>'
LONGEST_SHOWN = 1200  # pixels; what is downloaded has the photo's size


def stage(answer: Answer, truth: str = "") -> str:
    """The photo under its masks, and a label per expression; pointing at a label leaves its mask alone.

    Args:
        truth: a sentence that stands below, as it is.
    """
    photo = answer.photo.copy()
    photo.thumbnail((LONGEST_SHOWN, LONGEST_SHOWN), Image.Resampling.LANCZOS)
    if max(photo.size) < 400:  # drawn scenes
        photo = photo.resize((4 * photo.width, 4 * photo.height), Image.Resampling.LANCZOS)
    layers, labels = [], []
    for number, finding in enumerate(answer.findings):
        found = finding.mask is not None and finding.mask.any()
        if found:
            picture = data_uri(paint(finding.mask, photo.size, COLORS[number % len(COLORS)]))
            alt = escape(f"Mask of “{finding.expression}”")
            layers.append(f'<img class="mask m{number}" src="{picture}" alt="{alt}">')
        labels.append(f"<li>{label(number, finding, found)}</li>")
    alt = "The photo" if not answer.choice.on_shapes else "The picture"
    seconds = f"{answer.seconds:.1f} s" if answer.seconds >= 0.1 else f"{1000 * answer.seconds:.0f} ms"
    return (
        f'<div class="stage"><div class="layers" style="--aspect: {photo.width / photo.height:.4f}">'
        f'<img src="{data_uri(photo, "JPEG")}" alt="{alt}">{"".join(layers)}'
        f'</div><ul class="labels" aria-label="What was found">{"".join(labels)}</ul>'
        f'<p class="aside">{truth} {escape(answer.choice.name)}, {seconds}</p>{"" if layers else NOTHING}</div>'
    )


def paint(mask: np.ndarray, size: tuple[int, int], color: tuple[int, int, int]) -> Image.Image:
    """A mask (H, W) as a transparent picture of a size (width, height): a tint, an outline, and white around it."""
    shown = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    pixels = np.zeros((*shown.shape, 4), np.uint8)
    width = max(2, round(min(size) / 200))
    pixels[outline(~shown, max(1, width // 2))] = 255  # so that blue is seen on blue
    pixels[shown] = (*color, 110)
    pixels[outline(shown, width)] = (*color, 255)
    return Image.fromarray(pixels)


def label(number: int, finding: Finding, found: bool) -> str:
    """The button of one expression, and below it what has to be said."""
    color = "#{:02x}{:02x}{:02x}".format(*COLORS[number % len(COLORS)])
    if found:
        result = f"{percent(finding.mask.mean())} of the picture, score {finding.score:.2f}"
    else:
        result = "nothing found" if finding.mask is not None else "not asked: none of its words is known"
    notes = [f"<span>{escape(note)}</span>" for note in finding.notes]
    for word, alike in finding.unknown.items():
        hint = f" Try {' or '.join(f'<b>{escape(one)}</b>' for one in alike)}." if alike else ""
        notes.append(f"<span>It does not know the word <mark>{escape(word)}</mark>.{hint}</span>")
    if finding.unread:
        notes.append(f"<span>Not read, for it is too long: {escape(' '.join(finding.unread))}</span>")
    return (
        f'<button type="button" class="label l{number}" style="--mask: {color}"><i aria-hidden="true"></i>'
        f"<strong>{marked(finding)}</strong><em>{result}</em></button>" + "".join(notes)
    )


def percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 else "under 1%"


def marked(finding: Finding) -> str:
    """The expression, with the words marked that the system does not know."""
    if not finding.unknown:
        return escape(finding.expression)
    words = "|".join(re.escape(word) for word in sorted(finding.unknown, key=len, reverse=True))
    pieces = re.split(rf"(?<!\w)({words})(?!\w)", finding.expression, flags=re.IGNORECASE)
    return "".join(mark(piece) if index % 2 else escape(piece) for index, piece in enumerate(pieces))


def mark(word: str) -> str:
    """A word that the system does not know."""
    return f'<mark title="not in its vocabulary">{escape(word)}</mark>'


def cut_outs(answer: Answer) -> str:
    """What was found without its surroundings, and everything to take home."""
    figures = []
    for number, finding in enumerate(answer.findings):
        if finding.mask is None or not finding.mask.any():
            continue
        rows, columns = finding.mask.any(1).nonzero()[0], finding.mask.any(0).nonzero()[0]
        pixels = np.dstack([np.asarray(answer.photo), 255 * finding.mask.astype(np.uint8)])  # (H, W, 3) -> (H, W, 4)
        cut = Image.fromarray(pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        name, text = file_name(number, finding.expression), escape(finding.expression)
        picture = data_uri(cut)
        figures.append(
            f'<figure><div class="checkered"><img src="{picture}" alt="Cut-out of “{text}”"></div><figcaption>{text}'
            f"<span>{download(picture, f'cut-out-{name}.png', 'Cut-out')}"
            f"{download(data_uri(Image.fromarray(finding.mask)), f'mask-{name}.png', 'Mask')}</span>"
            "</figcaption></figure>"
        )
    if not figures:
        return '<p class="empty">Nothing was found to cut out. Try other words, or a lower threshold.</p>'
    coco = "data:application/json;charset=utf-8," + quote(json.dumps(as_coco(answer)))
    return (
        f'<div class="cut-outs">{"".join(figures)}</div>'
        f'<p class="take">{download(coco, "masks-coco.json", "All masks as COCO JSON")}</p>'
    )


def download(uri: str, name: str, text: str) -> str:
    return f'<a class="download" download="{escape(name)}" href="{uri}">{text}<span aria-hidden="true"> ↓</span></a>'


def file_name(number: int, expression: str) -> str:
    """A name for a file, of letters and digits only."""
    words = re.sub(r"[^a-z0-9]+", "-", expression.lower()).strip("-")
    return f"{number + 1}-{words[:40] or 'found'}"


def data_uri(picture: Image.Image, kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": 88} if kind == "JPEG" else {"compress_level": 3}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def compared(answers: list[Answer], going_on: str = "") -> str:
    """The stages of several systems side by side, and behind them what is going on."""
    stages = "".join(f"<section>{stage(answer)}</section>" for answer in answers)
    return f'<div class="compared">{stages}</div><p class="going-on" role="status">{escape(going_on)}</p>'
