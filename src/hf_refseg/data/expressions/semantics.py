"""What an expression means: its logical form and the objects of a scene it is true of.

Every test answers True, False or None, None being "people could disagree" (a square a little left of and well above a
star) or "nobody knows" (the color of a region that was labeled as a crowd). An expression is usable only where no
object is a None, so each is clearly true of its referents and clearly false of everything else. Coordinates are
fractions of the image's sides, x to the right, y down.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

Verdict = bool | None
Referents = frozenset[int] | None


@dataclass(frozen=True, slots=True)
class Phrase:
    """One noun phrase. None: the phrase does not mention it.

    Args:
        clothes: the color of what a person wears.
        relations: (predicate, what the other thing is) pairs.
        without: what it is not: things that this phrase is true of are excluded.
        number: 1 "the circle", n "the n circles", 0 "circles" (two or more).
    """

    category: str | None = None
    color: str | None = None
    size: str | None = None
    pattern: str | None = None
    clothes: str | None = None
    location: str | None = None
    relations: tuple[tuple[str, "Phrase"], ...] = ()
    without: "Phrase | None" = None
    number: int = 1


@dataclass(frozen=True, slots=True)
class Expression:
    """The union of its phrases, or everything except what `excluded` means."""

    phrases: tuple[Phrase, ...] = ()
    excluded: Phrase | None = None


@dataclass(frozen=True, slots=True)
class Thing:
    """What can be seen of an object. Subclasses say what it is like.

    Args:
        x0, y0, x1, y1: the box of its mask; nan for something that may be anywhere.
    """

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

    def fits(self, phrase: Phrase) -> Verdict:
        """Whether it is what the phrase names, whatever the phrase says of its place and of other things."""
        raise NotImplementedError

    def related(self, predicate: str, other: "Thing") -> Verdict:
        """Whether it stands in a relation to another thing of its scene."""
        return SPATIAL[predicate](self, other)

    def overlooked(self, phrase: Phrase) -> bool:
        """Whether nobody counts it among the things that the phrase names: a speck beside something large."""
        return False


def clearly(value: float, yes_above: float, no_below: float) -> Verdict:
    return True if value >= yes_above else False if value <= no_below else None


def both(first: Verdict, second: Verdict) -> Verdict:
    if first is False or second is False:
        return False
    return True if first and second else None


def denied(verdict: Verdict) -> Verdict:
    return None if verdict is None else not verdict


def any_of(verdicts: Sequence[Verdict]) -> Verdict:
    if True in verdicts:
        return True
    return None if None in verdicts else False


# ---- Places in the picture ----


# Within 0.36 of a border of the picture is clearly "on the left"; past the center, clearly not.
def _on_side(thing: Thing, side: str) -> Verdict:
    distance = {"left": thing.x, "right": 1 - thing.x, "top": thing.y, "bottom": 1 - thing.y}[side]
    return clearly(-distance, -0.36, -0.54)


def _in_middle(thing: Thing) -> Verdict:
    return clearly(-max(abs(thing.x - 0.5), abs(thing.y - 0.5)), -0.12, -0.25)


def _in_corner(thing: Thing, vertical: str, horizontal: str) -> Verdict:
    return both(_on_side(thing, vertical), _on_side(thing, horizontal))


REGIONS: dict[str, Callable[[Thing], Verdict]] = {
    **{side: partial(_on_side, side=side) for side in ("left", "right", "top", "bottom")},
    **{
        f"{vertical} {horizontal}": partial(_in_corner, vertical=vertical, horizontal=horizontal)
        for vertical in ("top", "bottom")
        for horizontal in ("left", "right")
    },
    "middle": _in_middle,
}


# ---- Ranks among the things that share the rest of the description ----


@dataclass(frozen=True, slots=True)
class Rank:
    """
    A place in an order, such as "second from left".

    Args:
        key: the order, smallest first.
        rank: the place, from 0.
        precedes: whether the first of two things comes clearly before the second.
        fewest: how many things there must be for the words to make sense.
    """

    key: Callable[[Thing], float]
    rank: int
    precedes: Callable[[Thing, Thing], bool]
    fewest: int


RANK_MARGIN = 0.07
FROM_SIDE: dict[str, Callable[[Thing], float]] = {
    "left": lambda thing: thing.x,
    "right": lambda thing: -thing.x,
    "top": lambda thing: thing.y,
    "bottom": lambda thing: -thing.y,
}


def by_position(side: str, rank: int) -> Rank:
    """Rank along an axis by the centers. "The leftmost" makes sense among two or more, "the second" among three."""
    key = FROM_SIDE[side]
    return Rank(key, rank, lambda a, b: key(b) - key(a) >= RANK_MARGIN, rank + 2)


RANKS: dict[str, Rank] = {
    "leftmost": by_position("left", 0),
    "rightmost": by_position("right", 0),
    "topmost": by_position("top", 0),
    "bottommost": by_position("bottom", 0),
    "second from left": by_position("left", 1),
    "second from right": by_position("right", 1),
}


# ---- Relations ----


def _beyond(along: float, across: float, gap: float) -> Verdict:
    """Is something clearly beyond a landmark in a direction: `along` and `across` it between the centers, `gap` between
    the facing edges."""
    across = abs(across)
    if gap > 0 and across <= 0.6 * along:
        return True
    # On the other side, or beside the landmark and level with it, is clearly not there.
    return False if along <= 0 or (gap <= 0 and along <= 0.5 * across) else None


def gap_between(thing: Thing, other: Thing) -> float:
    """The distance between two boxes; 0 where they overlap."""
    gap_x = max(thing.x0 - other.x1, other.x0 - thing.x1, 0.0)
    gap_y = max(thing.y0 - other.y1, other.y0 - thing.y1, 0.0)
    return (gap_x**2 + gap_y**2) ** 0.5


def _next_to(thing: Thing, landmark: Thing) -> Verdict:
    return clearly(-gap_between(thing, landmark), -0.10, -0.22)


SPATIAL: dict[str, Callable[[Thing, Thing], Verdict]] = {
    "left of": lambda a, b: _beyond(b.x - a.x, b.y - a.y, b.x0 - a.x1),
    "right of": lambda a, b: _beyond(a.x - b.x, b.y - a.y, a.x0 - b.x1),
    "above": lambda a, b: _beyond(b.y - a.y, b.x - a.x, b.y0 - a.y1),
    "below": lambda a, b: _beyond(a.y - b.y, b.x - a.x, a.y0 - b.y1),
    "next to": _next_to,
}
# "left of the dog" speaks of one dog that can be told; "on a horse", "with umbrella" of whichever it is.
INDEFINITE = frozenset({"on", "with", "of", "wearing"})


# ---- Phrases and expressions ----


def matching(phrase: Phrase, scene: Sequence[Thing]) -> list[int]:
    """Indices of the things that clearly are what the phrase names, whatever it says of places and relations."""
    return [i for i, thing in enumerate(scene) if thing.fits(phrase)]


def denoted(phrase: Phrase, scene: Sequence[Thing]) -> Referents:
    """The things that a phrase refers to, whatever its number, or None if people could disagree."""
    verdicts = {i: verdict for i, thing in enumerate(scene) if (verdict := thing.fits(phrase)) is not False}
    seen = {i: verdict for i, verdict in verdicts.items() if not scene[i].overlooked(phrase)}
    if phrase.location in RANKS:
        ranked = _ranked(seen, scene, RANKS[phrase.location])
        if ranked is None:
            return None
        seen = {ranked: True}
    elif phrase.location is not None:
        seen = {i: both(verdict, REGIONS[phrase.location](scene[i])) for i, verdict in seen.items()}
    for predicate, other in phrase.relations:
        related = _related(predicate, other, scene, seen)
        if related is None:
            return None
        seen = {i: both(verdict, related[i]) for i, verdict in seen.items()}
    if phrase.without is not None:
        excluded = _truth(phrase.without, scene, seen)
        seen = {i: both(verdict, denied(excluded[i])) for i, verdict in seen.items()}
    if None in seen.values():
        return None
    return frozenset(i for i, verdict in seen.items() if verdict)


def _truth(phrase: Phrase, scene: Sequence[Thing], indices: Sequence[int]) -> dict[int, Verdict]:
    """Of each of these things, whether a phrase without a rank is true of it."""
    verdicts = {i: scene[i].fits(phrase) for i in indices}
    if phrase.location is not None:
        verdicts = {i: both(verdict, REGIONS[phrase.location](scene[i])) for i, verdict in verdicts.items()}
    for predicate, other in phrase.relations:
        related = _related(predicate, other, scene, indices)
        verdicts = {i: None if related is None else both(verdict, related[i]) for i, verdict in verdicts.items()}
    return verdicts


def _related(
    predicate: str, other: Phrase, scene: Sequence[Thing], indices: Sequence[int]
) -> dict[int, Verdict] | None:
    """Of each of these things, whether it stands in the relation; None if the other thing can't be told."""
    if predicate in INDEFINITE:
        fit = _truth(other, scene, range(len(scene)))
        return {
            i: any_of([both(fits, scene[i].related(predicate, scene[j])) for j, fits in fit.items() if j != i])
            for i in indices
        }
    landmark = referents(Expression((other,)), scene)
    if not landmark:
        return None
    (landmark,) = landmark
    return {i: i != landmark and scene[i].related(predicate, scene[landmark]) for i in indices}


def _ranked(verdicts: dict[int, Verdict], scene: Sequence[Thing], rank: Rank) -> int | None:
    order = sorted(verdicts, key=lambda i: rank.key(scene[i]))
    if len(order) < rank.fewest:
        return None
    # What may or may not count has to come after the one that is meant.
    if any(verdicts[i] is None for i in order[: rank.rank + 1]):
        return None
    for place in range(rank.rank + 1):
        if not all(rank.precedes(scene[order[place]], scene[i]) for i in order[place + 1 :]):
            return None
    return order[rank.rank]


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
