"""Where things are: regions of the picture, ranks among others, relations to another thing.

Coordinates are fractions of the picture's sides, x to the right, y down.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .things import Thing, Verdict, both, clearly

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
        fewest, most: how many things there must and may be for the words to make sense.
    """

    key: Callable[[Thing], float]
    rank: int
    precedes: Callable[[Thing, Thing], bool]
    fewest: int
    most: float = math.inf


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


# "The left one" is further left by more than anyone would argue about, with all of it.
CLEAR_MARGIN, EDGE_SLACK = 0.12, 0.02
DEPTH_RATIO, SIZE_RATIO, FOOT_MARGIN = 2.0, 2.0, 0.03
EDGES = {"left": ("x0", "x1", 1), "right": ("x0", "x1", -1), "top": ("y0", "y1", 1), "bottom": ("y0", "y1", -1)}


def clear_of_others(side: str) -> Rank:
    """The first from a side by its whole box."""
    near, far, sign = EDGES[side]

    def precedes(a: Thing, b: Thing) -> bool:
        ahead = [sign * (getattr(b, edge) - getattr(a, edge)) for edge in (near, far)]
        return sum(ahead) / 2 >= CLEAR_MARGIN and min(ahead) >= -EDGE_SLACK

    return Rank(FROM_SIDE[side], 0, precedes, 2)


def _in_front(a: Thing, b: Thing) -> bool:
    """In a photo taken at eye level, what is larger and reaches lower down is nearer."""
    return a.extent >= DEPTH_RATIO * b.extent and a.y1 >= b.y1 + FOOT_MARGIN


RANKS: dict[str, Rank] = {
    **{f"{side} one": clear_of_others(side) for side in FROM_SIDE},
    "middle one": Rank(FROM_SIDE["left"], 1, by_position("left", 0).precedes, 3, 3),
    "third from left": by_position("left", 2),
    "third from right": by_position("right", 2),
    "front one": Rank(lambda thing: -thing.extent, 0, _in_front, 2),
    "back one": Rank(lambda thing: thing.extent, 0, lambda a, b: _in_front(b, a), 2),
    "biggest": Rank(lambda thing: -thing.extent, 0, lambda a, b: a.extent >= SIZE_RATIO * b.extent, 2),
    "smallest": Rank(lambda thing: thing.extent, 0, lambda a, b: SIZE_RATIO * a.extent <= b.extent, 2),
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
