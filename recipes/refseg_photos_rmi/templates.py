"""Expressions made from instance masks: "the dog", "leftmost cup", "red car", "man next to the elephant".

Every expression names exactly one instance among those *visible* in the photo or crop it is made for, so templates are
written anew for each view. A category that is not there (nor anything like it) gives an expression with an empty mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from PIL import Image

from hf_refseg.data.coco_categories import NOUNS

from .categories import absent_categories

# Share of the view below which an instance is not named: smaller ones are neither seen by the network nor by people.
MIN_AREA = 0.003
# How clearly an extreme must stand out, as a share of the view (position) or of the runner-up's area (size).
POSITION_MARGIN = 0.08
SIZE_RATIO = 1.7
# All words of the expressions below but the nouns, for a vocabulary.
TEMPLATE_WORDS = (
    "the on in at of to left right far leftmost rightmost top bottom upper lower middle center big large larger "
    "largest small smaller smallest front closest us background behind back next near wearing man woman "
    "red orange yellow green blue purple pink brown white gray black"
)


@dataclass
class Scene:
    """The labeled instances of one view.

    Args:
        categories: n COCO category names.
        masks: (n, H, W) bool.
        crowd: (n,) bool; a crowd region stands for several instances, it is never named but its category is present.
        pixels: (H, W, 3) uint8 RGB, for color words; None leaves them out.
        person_word: what to call a person who is alone in the photo ("man" where the captions say so), or None.
    """

    categories: Sequence[str]
    masks: np.ndarray
    crowd: np.ndarray
    pixels: np.ndarray | None = None
    person_word: str | None = None
    areas: np.ndarray = field(init=False)
    boxes: np.ndarray = field(init=False)

    def __post_init__(self):
        self.areas = self.masks.sum((1, 2)) / np.prod(self.masks.shape[1:])
        self.boxes = np.array([_relative_box(mask) for mask in self.masks]).reshape(-1, 4)

    @property
    def centers(self) -> np.ndarray:
        """(n, 2) x and y of the box centers, in [0, 1]."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    @cached_property
    def colors(self) -> list[str | None]:
        """The main color of each instance, from every fourth row and column."""
        if self.pixels is None:
            return [None] * len(self.masks)
        return [main_color(self.pixels[::4, ::4][mask[::4, ::4]]) for mask in self.masks]


def template_expressions(scene: Scene, rng: np.random.Generator, count: int) -> list[tuple[str, int]]:
    """`count` (expression, index of the instance) pairs; fewer, or none, where nothing can be named.

    Categories are drawn evenly, so that a crowd of people does not drown the one dog, but twice as often where there
    are several to tell apart; then an instance of the category, then one of the ways to tell it from the others.
    """
    nameable = [i for i in range(len(scene.categories)) if not scene.crowd[i] and scene.areas[i] >= MIN_AREA]
    options = {index: phrases for index in nameable if (phrases := _phrases(scene, index))}
    by_category: dict[str, list[int]] = {}
    for index in options:
        by_category.setdefault(scene.categories[index], []).append(index)
    pool = [name for name, indices in sorted(by_category.items()) for _ in range(2 if len(indices) > 1 else 1)]
    expressions = []
    for _ in range(count if pool else 0):
        category = str(rng.choice(pool))
        index = int(rng.choice(by_category[category]))
        phrase = str(rng.choice(options[index]))
        expressions.append((_with_noun(phrase, _noun(scene, index, rng), rng), index))
    return expressions


def absent_expressions(present: set[str], rng: np.random.Generator, count: int) -> list[str]:
    """`count` expressions about COCO categories of which neither they nor a look-alike is in `present`.

    Half of them are the bare name, the other half say a place or a color too: neither may conjure up the object.
    """
    phrases = ["{}"] * 5 + ["{} on the left", "{} on the right", "{} in the middle", "red {}", "white {}"]
    categories = rng.choice(absent_categories(present), size=count)
    return [_with_noun(str(rng.choice(phrases)), str(rng.choice(NOUNS[str(name)])), rng) for name in categories]


def _phrases(scene: Scene, index: int) -> list[str]:
    """Phrases, with {} for the noun, that are true of the instance and of no other of its category."""
    same = [i for i, category in enumerate(scene.categories) if category == scene.categories[index]]
    if any(scene.crowd[i] for i in same):
        return []
    # Nobody counts the specks in the background when speaking of what stands in front of them.
    others = [i for i in same if i != index and not scene.areas[i] < min(MIN_AREA, 0.1 * scene.areas[index])]
    others = np.array(others, dtype=int)
    phrases = _place_phrases(scene, index, others) + _size_phrases(scene, index, others)
    if not len(others):
        phrases += ["{}"] * (2 + len(phrases))
    return phrases + _color_phrases(scene, index, others) + _relation_phrases(scene, index, others)


def _place_phrases(scene: Scene, index: int, others: np.ndarray) -> list[str]:
    x, y = scene.centers[index]
    if not len(others):
        horizontal = "left" if x < 0.35 else "right" if x > 0.65 else ""
        vertical = "top" if y < 0.3 else "bottom" if y > 0.7 else ""
        if horizontal and vertical:
            return ["{} on the " + horizontal, f"{{}} in the {vertical} {horizontal}"]
        if horizontal:
            return ["{} on the " + horizontal]
        if vertical:
            return ["{} at the " + vertical]
        return ["{} in the middle", "{} in the center"]
    xs, ys = scene.centers[others].T
    phrases = []
    if x < xs.min() - POSITION_MARGIN:
        phrases += ["{} on the left", "left {}", "leftmost {}", "{} on the far left"]
    if x > xs.max() + POSITION_MARGIN:
        phrases += ["{} on the right", "right {}", "rightmost {}", "{} on the far right"]
    if y < ys.min() - POSITION_MARGIN:
        phrases += ["{} at the top", "top {}", "upper {}"]
    if y > ys.max() + POSITION_MARGIN:
        phrases += ["{} at the bottom", "bottom {}", "lower {}"]
    if len(others) == 2 and xs.min() + POSITION_MARGIN < x < xs.max() - POSITION_MARGIN:
        phrases += ["{} in the middle", "middle {}", "{} in the center"]
    return phrases


def _size_phrases(scene: Scene, index: int, others: np.ndarray) -> list[str]:
    if not len(others):
        return []
    area, areas = scene.areas[index], scene.areas[others]
    bottom, bottoms = scene.boxes[index, 3], scene.boxes[others, 3]
    phrases = []
    if area > SIZE_RATIO * areas.max():
        phrases += ["big {}", "larger {}" if len(others) == 1 else "largest {}"]
        # On a photo taken at eye level, what is larger and reaches lower down is nearer.
        if bottom > bottoms.max():
            phrases += ["{} in front", "closest {}", "{} closest to us"]
    if area * SIZE_RATIO < areas.min():
        phrases += ["small {}", "smaller {}" if len(others) == 1 else "smallest {}"]
        if bottom < bottoms.min():
            phrases += ["{} in the background", "{} behind", "{} in the back"]
    return phrases


def _color_phrases(scene: Scene, index: int, others: np.ndarray) -> list[str]:
    color = scene.colors[index]
    if color is None or any(scene.colors[i] == color for i in others):
        return []
    if scene.categories[index] == "person":
        return ["{} in " + color, "{} wearing " + color]
    return [color + " {}"]


def _relation_phrases(scene: Scene, index: int, others: np.ndarray) -> list[str]:
    """ "X next to the Y" for a Y that is alone in its category, touches X and touches no other X."""
    phrases = []
    for landmark, category in enumerate(scene.categories):
        alone = sum(other == category for other in scene.categories) == 1 and not scene.crowd[landmark]
        if landmark == index or not alone or scene.areas[landmark] < MIN_AREA:
            continue
        noun = NOUNS[category][0]
        near = _gap(scene.boxes[index], scene.boxes[landmark]) < 0.03
        if near and all(_gap(scene.boxes[i], scene.boxes[landmark]) > 0.1 for i in others):
            phrases += [f"{{}} next to the {noun}", f"{{}} near the {noun}"]
    return phrases


def main_color(pixels: np.ndarray) -> str | None:
    """The color word of at least half of the pixels (n, 3) uint8 RGB, or None where no color has such a majority."""
    if not len(pixels):
        return None
    hsv = np.asarray(Image.fromarray(pixels.reshape(1, -1, 3)).convert("HSV"))[0].astype(int)
    hue, saturation, value = hsv[:, 0] * 360 / 255, hsv[:, 1] / 255, hsv[:, 2] / 255
    gray = saturation < 0.18
    names = np.array(["red", "orange", "yellow", "green", "blue", "purple", "pink", "red"])
    words = names[np.digitize(hue, [18, 42, 70, 165, 260, 295, 340])]
    words = np.where((words == "orange") & (value < 0.65), "brown", words)
    words = np.where(gray, np.where(value > 0.72, "white", "gray"), words)
    words = np.where(value < 0.22, "black", words)
    found, counts = np.unique(words, return_counts=True)
    return str(found[counts.argmax()]) if counts.max() >= 0.5 * len(words) else None


def _noun(scene: Scene, index: int, rng: np.random.Generator) -> str:
    category = scene.categories[index]
    alone = sum(other == category for other in scene.categories) == 1
    if category == "person" and scene.person_word and alone and rng.random() < 0.8:
        return scene.person_word
    # Masks do not tell men from women; where the place does tell who is meant, either word is understood.
    if category == "person" and rng.random() < 0.4:
        return str(rng.choice(["man", "woman"]))
    # The category's own name is what most people say.
    return NOUNS[category][0] if rng.random() < 0.5 else str(rng.choice(NOUNS[category]))


def _with_noun(phrase: str, noun: str, rng: np.random.Generator) -> str:
    article = "the " if rng.random() < 0.5 else ""
    return article + phrase.format(noun)


def _relative_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    if not len(rows):
        return 0.0, 0.0, 0.0, 0.0
    height, width = mask.shape
    return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height


def _gap(box: np.ndarray, other: np.ndarray) -> float:
    """Distance between two boxes along the axis where they are farther apart; negative where they overlap."""
    return float(np.maximum(box[:2] - other[2:], other[:2] - box[2:]).max())
