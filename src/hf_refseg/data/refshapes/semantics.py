"""What an expression means: its logical form and the objects of a scene it is true of.

Every test answers True, False or None, None being "people could disagree" (a square a little left of and well above a
star). An expression is usable only where no object is a None, so each is clearly true of its referents and clearly
false of everything else. Coordinates are fractions of the image's side, x to the right, y down.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True, slots=True)
class Thing:
    """What can be seen of an object: its attributes and the box of its mask."""

    category: str
    color: str
    size: str
    pattern: str
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def x(self) -> float:
        return (self.x0 + self.x1) / 2

    @property
    def y(self) -> float:
        return (self.y0 + self.y1) / 2


@dataclass(frozen=True, slots=True)
class Phrase:
    """One noun phrase. None: the phrase does not mention it. number: 1 "the circle", n "the n circles", 0 "circles"
    (two or more)."""

    category: str | None = None
    color: str | None = None
    size: str | None = None
    pattern: str | None = None
    location: str | None = None
    relations: tuple[tuple[str, "Phrase"], ...] = ()
    number: int = 1


@dataclass(frozen=True, slots=True)
class Expression:
    """The union of its phrases, or everything except what `excluded` means."""

    phrases: tuple[Phrase, ...] = ()
    excluded: Phrase | None = None


Verdict = bool | None


def _clearly(value: float, yes_above: float, no_below: float) -> Verdict:
    return True if value >= yes_above else False if value <= no_below else None


def _both(first: Verdict, second: Verdict) -> Verdict:
    if first is False or second is False:
        return False
    return True if first and second else None


# Within 0.36 of a border of the picture is clearly "on the left"; past the center, clearly not.
def _on_side(thing: Thing, side: str) -> Verdict:
    distance = {"left": thing.x, "right": 1 - thing.x, "top": thing.y, "bottom": 1 - thing.y}[side]
    return _clearly(-distance, -0.36, -0.54)


def _in_middle(thing: Thing) -> Verdict:
    return _clearly(-max(abs(thing.x - 0.5), abs(thing.y - 0.5)), -0.12, -0.25)


def _in_corner(thing: Thing, vertical: str, horizontal: str) -> Verdict:
    return _both(_on_side(thing, vertical), _on_side(thing, horizontal))


REGIONS: dict[str, Callable[[Thing], Verdict]] = {
    **{side: partial(_on_side, side=side) for side in ("left", "right", "top", "bottom")},
    **{
        f"{vertical} {horizontal}": partial(_in_corner, vertical=vertical, horizontal=horizontal)
        for vertical in ("top", "bottom")
        for horizontal in ("left", "right")
    },
    "middle": _in_middle,
}

# Rank along an axis among the things that share the rest of the description: (distance from that end, rank).
ORDINALS: dict[str, tuple[Callable[[Thing], float], int]] = {
    "leftmost": (lambda thing: thing.x, 0),
    "rightmost": (lambda thing: -thing.x, 0),
    "topmost": (lambda thing: thing.y, 0),
    "bottommost": (lambda thing: -thing.y, 0),
    "second from left": (lambda thing: thing.x, 1),
    "second from right": (lambda thing: -thing.x, 1),
}
RANK_MARGIN = 0.07


def _beyond(along: float, across: float, gap: float) -> Verdict:
    """Is something clearly beyond a landmark in a direction: `along` and `across` it between the centers, `gap` between
    the facing edges."""
    across = abs(across)
    if gap > 0 and across <= 0.6 * along:
        return True
    # On the other side, or beside the landmark and level with it, is clearly not there.
    return False if along <= 0 or (gap <= 0 and along <= 0.5 * across) else None


def _next_to(thing: Thing, landmark: Thing) -> Verdict:
    gap_x = max(thing.x0 - landmark.x1, landmark.x0 - thing.x1, 0.0)
    gap_y = max(thing.y0 - landmark.y1, landmark.y0 - thing.y1, 0.0)
    return _clearly(-((gap_x**2 + gap_y**2) ** 0.5), -0.10, -0.22)


RELATIONS: dict[str, Callable[[Thing, Thing], Verdict]] = {
    "left of": lambda a, b: _beyond(b.x - a.x, b.y - a.y, b.x0 - a.x1),
    "right of": lambda a, b: _beyond(a.x - b.x, b.y - a.y, a.x0 - b.x1),
    "above": lambda a, b: _beyond(b.y - a.y, b.x - a.x, b.y0 - a.y1),
    "below": lambda a, b: _beyond(a.y - b.y, b.x - a.x, a.y0 - b.y1),
    "next to": _next_to,
    "same color as": lambda a, b: a.color == b.color,
    "same pattern as": lambda a, b: a.pattern == b.pattern,
}

Referents = frozenset[int] | None


def matching(phrase: Phrase, scene: Sequence[Thing]) -> list[int]:
    """Indices of the things that have the category, color, size and pattern that the phrase names."""
    return [
        i
        for i, thing in enumerate(scene)
        if phrase.category in (None, thing.category)
        and phrase.color in (None, thing.color)
        and phrase.size in (None, thing.size)
        and phrase.pattern in (None, thing.pattern)
    ]


def denoted(phrase: Phrase, scene: Sequence[Thing]) -> Referents:
    """The things that a phrase refers to, whatever its number, or None if people could disagree."""
    candidates = matching(phrase, scene)
    if phrase.location in ORDINALS:
        candidates = _ranked(candidates, scene, phrase.location)
        if candidates is None:
            return None
    verdicts = dict.fromkeys(candidates, True)
    if phrase.location in REGIONS:
        verdicts = {i: REGIONS[phrase.location](scene[i]) for i in candidates}
    for predicate, landmark_phrase in phrase.relations:
        landmark = referents(Expression((landmark_phrase,)), scene)
        if not landmark:
            return None
        (landmark,) = landmark
        for i in candidates:
            related = i != landmark and RELATIONS[predicate](scene[i], scene[landmark])
            verdicts[i] = _both(verdicts[i], related)
    if None in verdicts.values():
        return None
    return frozenset(i for i, verdict in verdicts.items() if verdict)


def _ranked(candidates: list[int], scene: Sequence[Thing], location: str) -> list[int] | None:
    distance, rank = ORDINALS[location]
    order = sorted(candidates, key=lambda i: distance(scene[i]))
    # "The leftmost" makes sense among two or more, "the second" among three or more.
    if len(order) < rank + 2:
        return None
    for nearer, farther in zip(order[: rank + 1], order[1 : rank + 2], strict=True):
        if distance(scene[farther]) - distance(scene[nearer]) < RANK_MARGIN:
            return None
    return [order[rank]]


def referents(expression: Expression, scene: Sequence[Thing]) -> Referents:
    """The indices of everything the expression is true of; None if that is unclear or its number is wrong.

    A lone singular phrase may mean nothing at all (a no-target expression); every other phrase must mean as many things
    as it says, and different ones.
    """
    if expression.excluded is not None:
        excluded = referents(Expression((expression.excluded,)), scene)
        return frozenset(range(len(scene))) - excluded if excluded else None
    union: set[int] = set()
    for phrase in expression.phrases:
        found = denoted(phrase, scene)
        if found is None or union & found or not _number_fits(phrase.number, len(found), len(expression.phrases) == 1):
            return None
        union |= found
    return frozenset(union)


def _number_fits(number: int, found: int, lone: bool) -> bool:
    if number == 0:
        return found >= 2
    return found == number or (lone and number == 1 and found == 0)
