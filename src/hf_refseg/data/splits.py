"""Names of splits: the one rule for all readers, for stored data sets and for streams."""

from collections.abc import Iterable

# The papers say "val", the Hub says "validation"; Roboflow, CVAT and people's own folders have the others.
SYNONYMS = (("val", "validation", "valid", "dev"), ("test", "testing"), ("train", "training"))


def spellings(split: str) -> list[str]:
    """The names under which a split may be stored: its own first, then its synonyms."""
    others = [name for names in SYNONYMS if split in names for name in names if name != split]
    return [split, *others]


def find_split(split: str, known: Iterable[str], where: str) -> str:
    """The name that `where` stores a split under: "validation" is found where "val" is asked for, and the reverse.

    Args:
        split: the name asked for.
        known: the names that are there.
        where: what has these splits, for the error.

    Raises:
        ValueError: there is no such split; the message lists those that there are.
    """
    known = list(known)
    for name in spellings(split):
        if name in known:
            return name
    raise ValueError(f"{where} has no split {split!r}; it has {known}.")
