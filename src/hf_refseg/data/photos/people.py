"""What is known of the people in photos: masks do not tell men from women, sentences do."""

import re
from collections.abc import Iterable, Sequence

from ..expressions.things import Verdict
from .lexicon import ALSO_SAID, CANNOT_BE, PEOPLE

# A sentence that begins with one of these says nothing of who it is.
NEUTRAL = frozenset("person one people rider player biker cyclist skater surfer skier driver somebody someone".split())


def said_kind(sentence: str) -> str | None:
    """What the first word for a person in a sentence says: "man" for "left guy behind the girl"; None if nothing."""
    for word in re.findall(r"[a-z]+", sentence.lower()):
        if word in NEUTRAL:
            return None
        kind = ALSO_SAID.get(word, word)
        if kind in PEOPLE:
            return kind
    return None


def people_verdicts(said: Iterable[str | None]) -> dict[str, Verdict]:
    """Whether a person is a man, woman, ..., of whom sentences said this. None for what nobody said or excluded."""
    kinds = {kind for kind in said if kind is not None}
    excluded = frozenset().union(*(CANNOT_BE[kind] for kind in kinds))
    if kinds & excluded:
        return dict.fromkeys(PEOPLE)
    return {kind: True if kind in kinds else False if kind in excluded else None for kind in PEOPLE}


def kind_in_captions(captions: Sequence[str]) -> str | None:
    """The word for the only person of a photo that at least two captions share, and no caption contradicts."""
    kinds = [kind for kind in map(said_kind, captions) if kind is not None]
    return kinds[0] if len(kinds) >= 2 and len(set(kinds)) == 1 else None
