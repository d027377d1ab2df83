"""What an expression means: the things of a scene that it is true of.

An expression is usable only where no thing is a None, so each is clearly true of its referents and clearly false of
everything else.
"""

from collections.abc import Sequence

from .places import RANKS, REGIONS, Rank
from .things import Expression, Phrase, Thing, Verdict, any_of, both, denied

Referents = frozenset[int] | None
# "left of the dog" speaks of one dog that can be told; "on a horse", "with umbrella" of whichever it is.
INDEFINITE = frozenset({"on", "with", "wearing"})


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
    """Of each of these things, whether a phrase is true of it; None of a rank, which is one among all of a kind."""
    if phrase.location in RANKS:
        return dict.fromkeys(indices)
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
    if landmark is None or len(landmark) != 1:  # "left of two dogs" may mean either of them, or both
        return None
    (landmark,) = landmark
    return {i: i != landmark and scene[i].related(predicate, scene[landmark]) for i in indices}


def _ranked(verdicts: dict[int, Verdict], scene: Sequence[Thing], rank: Rank) -> int | None:
    order = sorted(verdicts, key=lambda i: rank.key(scene[i]))
    if not rank.fewest <= len(order) <= rank.most:
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
