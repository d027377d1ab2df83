"""Why the region matcher answered so: the regions it chose among, how likely each is, what each module listened to."""

from html import escape

import torch
from page import percent
from panels import PANEL_WIDTH, panel, table, word_table
from PIL import Image, ImageDraw, ImageEnhance, ImageFont
from segmenting import Answer, Finding
from torchvision.ops import box_iou

from hf_refseg.plotting import COLORS

SHOWN = 5  # regions, the likeliest ones of different things
ONE_THING = 0.5  # IoU from which two regions are of one thing
WHITE, BLUE = (255, 255, 255), COLORS[0]


def draw_regions(answer: Answer, finding: Finding) -> str:
    """All regions, the likeliest ones and "none of them" in the order of their probability, and two tables."""
    explanation, row = answer.explanation, finding.row
    boxes = explanation.region_boxes[row].float().cpu()  # (R, 4)
    probabilities = explanation.probabilities[row].float().cpu()  # (R,)
    answers, nothing = explanation.answers[row].cpu(), float(explanation.nothing[row])
    shown = group_regions(boxes, probabilities)[:SHOWN]
    shown = [answer_first(thing, answers) for thing in shown]
    cards = [(nothing, none_of_them(nothing, wins=not answers.any()))]
    for number, thing in enumerate(shown, 1):
        first, own = thing[0], float(probabilities[thing[0]])
        said = [f"looks like what the words name: {float(explanation.kind[row, first]):.0%}"]
        if len(thing) > 1:
            said.append(f"with {len(thing) - 1} more on the same thing: {percent(float(probabilities[thing].sum()))}")
        title = share_bar(f"{number}{', the answer' if answers[first] else ''}", own, said)
        cards.append((own, panel(spotlight(answer.photo, boxes[first], answers[first]), title, f"Region {number}")))
    cards.sort(key=lambda card: -card[0])
    every = overview(answer.photo, boxes, answers, [thing[0] for thing in shown])
    title = f"the {len(boxes)} regions that it chose among"
    return (
        f"<p>{say_choice(answers, nothing, float(explanation.several[row]))}</p>"
        f'<div class="panels">{panel(every, title, "All regions over the photo", "panel wide")}'
        f"{''.join(card for _, card in cards)}</div>"
        f'<div class="tables">{word_table(explanation, finding)}{rating_table(explanation, row, shown)}</div>'
    )


def group_regions(boxes: torch.Tensor, probabilities: torch.Tensor) -> list[list[int]]:
    """
    Which regions are of one thing: a detector finds most things more than once.

    Args:
        boxes: (R, 4) xyxy.
        probabilities: (R,).

    Returns:
        Indices of regions per thing, the likeliest region first, and so in each thing.
    """
    overlaps, left, things = box_iou(boxes, boxes), probabilities.argsort(descending=True).tolist(), []
    while left:
        things.append([number for number in left if overlaps[left[0], number] >= ONE_THING])
        left = [number for number in left if number not in things[-1]]
    return things


def answer_first(thing: list[int], answers: torch.Tensor) -> list[int]:
    """The regions of a thing with the one that is the answer, if it has one, before the others: answers (R,) bool."""
    return sorted(thing, key=lambda number: not answers[number])


def say_choice(answers: torch.Tensor, nothing: float, several: float) -> str:
    """How the choice came about, in a sentence or two."""
    rule = "Every region that a detector found gets a probability, and so does “none of them”. "
    if not answers.any():
        return f"{rule}Here “none of them” is likelier ({nothing:.0%}) than all regions together, so there is no mask."
    if several > 0.5:
        return f"{rule}The words mean several things, so every region that is likelier than “none of them” is taken."
    return (
        f"{rule}Of the likely regions the answer is the one that the others overlap with, and that the detector is "
        "sure of; blue frames it."
    )


def none_of_them(probability: float, wins: bool) -> str:
    """The card of "none of them", which has no picture."""
    said = ["likelier than all regions together: no mask"] if wins else []
    return (
        '<figure class="panel"><div class="none" aria-hidden="true">∅</div>'
        f"<figcaption>{share_bar('none of them', probability, said)}</figcaption></figure>"
    )


def share_bar(title: str, share: float, said: list[str]) -> str:
    """A title, a probability as number and bar, and lines below."""
    lines = "".join(f"<small>{escape(line)}</small>" for line in said)
    return f'<b>{escape(title)}</b> {percent(share)}<span class="bar" style="--share: {share:.3f}"></span>{lines}'


def rating_table(explanation, row: int, shown: list[list[int]]) -> str:
    """What each module says about the regions that are shown, beside an average one of the photo."""
    weighted = (explanation.module_weights[row] * explanation.module_scores[row]).float().cpu()  # (R, S)
    told = (weighted - weighted.mean(0))[[thing[0] for thing in shown]]  # -> (shown, S)
    lines = [(escape(name), line) for name, line in zip(explanation.modules, told.mT, strict=True)]
    caption = "What each module says for (+) or against (−) a region, beside the average one"
    return table(caption, [f"region {number}" for number in range(1, len(shown) + 1)], lines, "{:+z.1f}")


def spotlight(photo: Image.Image, box: torch.Tensor, is_answer: torch.Tensor) -> Image.Image:
    """The photo, small, with everything outside of a box (4,) dark and gray."""
    photo, (place,) = shrink(photo, box[None], PANEL_WIDTH)
    picture = ImageEnhance.Brightness(photo.convert("L").convert("RGB")).enhance(0.45)
    picture.paste(photo.crop(place), place)
    frame(ImageDraw.Draw(picture), place, BLUE if is_answer else WHITE, 4)
    return picture


def overview(photo: Image.Image, boxes: torch.Tensor, answers: torch.Tensor, numbered: list[int]) -> Image.Image:
    """The photo with all regions (R, 4), those of the answer (R,) in blue, and numbers at the likeliest ones."""
    picture, places = shrink(photo, boxes, 2 * PANEL_WIDTH)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(22)
    for place in places:
        frame(draw, place, WHITE, 1)
    for index in answers.nonzero()[:, 0].tolist():
        frame(draw, places[index], BLUE, 5)
    for number, index in reversed(list(enumerate(numbered, 1))):  # the likeliest one lies on top
        x, y = places[index][0] + 6, places[index][1] + 6
        draw.rounded_rectangle((x, y, x + 28, y + 28), 8, fill=BLUE if answers[index] else WHITE)
        draw.text((x + 14, y + 14), str(number), fill="black", font=font, anchor="mm")
    return picture


def shrink(photo: Image.Image, boxes: torch.Tensor, width: int) -> tuple[Image.Image, list[tuple[int, ...]]]:
    """A photo at a width, and boxes (M, 4) of it in whole pixels there."""
    size = (width, max(1, round(width * photo.height / photo.width)))
    places = (boxes * width / photo.width).round().int().clamp(min=0)  # (M, 4)
    places = places.minimum(torch.tensor([*size, *size]))
    return photo.resize(size, Image.Resampling.LANCZOS), [tuple(place) for place in places.tolist()]


def frame(draw: ImageDraw.ImageDraw, place: tuple[int, ...], color: tuple[int, int, int], width: int) -> None:
    x1, y1, x2, y2 = place
    draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=color, width=width)
