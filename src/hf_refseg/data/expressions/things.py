"""Logical forms of expressions, and the things that they are about.

Every test of a thing answers True, False or None, None being "people could disagree" (a square a little left of and
well above a star) or "nobody knows" (the color of a region that was labeled as a crowd).
"""

from collections.abc import Sequence
from dataclasses import dataclass

Verdict = bool | None


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

    @property
    def extent(self) -> float:
        """How much of the picture it covers."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def fits(self, phrase: Phrase) -> Verdict:
        """Whether it is what the phrase names, whatever the phrase says of its place and of other things."""
        raise NotImplementedError

    def related(self, predicate: str, other: "Thing") -> Verdict:
        """Whether it stands in a relation to another thing of its scene; of places, `places.SPATIAL`."""
        raise NotImplementedError

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
