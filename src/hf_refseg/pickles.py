"""
Pickles from strangers, so that reading them neither runs anything nor fills the memory nor goes on forever.

A restricted `find_class` alone does not do that: eight bytes make Python's fast unpickler reserve gigabytes for its
memo, lists that hold each other twice are small until somebody walks through them, and so are tuples of tuples until
somebody asks for their hash.
"""

import pickle
import struct
from collections.abc import Callable, Iterable

DEEPEST = 100  # containers in containers: official files and checkpoints have fewer than twenty
# How many values a pickle may seem to hold because some are reached on several ways, beyond a number that never hurts.
MOST_SHARING, UNCHECKED = 16, 1_000_000
UNREADABLE = (  # what a file that is no pickle makes an unpickler raise
    *(pickle.UnpicklingError, struct.error, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError),
    *(OverflowError, MemoryError, ImportError, RecursionError, AssertionError, RuntimeError),
)


def check_keys(keys: Iterable) -> None:
    """Raises UnpicklingError for a key of a dict, or a member of a set, that is made of other values."""
    if any(isinstance(key, (tuple, frozenset)) for key in keys):
        raise pickle.UnpicklingError("a key in it is made of other values")


class PlainKeysUnpickler(pickle._Unpickler):
    """The unpickler in Python, whose memo takes no more memory than it has entries; keys of dicts and members of sets
    are strings, numbers or None, whose hashes are quick to make. Nothing can be made but what `find_class` allows."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str):
        raise pickle.UnpicklingError(f"it asks for {module}.{name}; only lists, dicts, numbers and strings are read")

    def load_setitem(self):
        check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self):
        check_keys(self.stack[::2])
        super().load_setitems()

    def load_dict(self):
        check_keys(self.stack[::2])
        super().load_dict()

    def load_frozenset(self):
        check_keys(self.stack)
        super().load_frozenset()

    def load_additems(self):
        check_keys(self.stack)
        super().load_additems()

    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.FROZENSET[0]] = load_frozenset
    dispatch[pickle.ADDITEMS[0]] = load_additems


def copy_plain(content, read_text: Callable[[str], str]):
    """
    A copy of nested lists, tuples and dicts, made of lists and dicts, whose texts are read in another way.

    Args:
        read_text: called with each string that is not ASCII; keys stay as they are.

    Raises:
        ValueError: they are nested deeper than any file of ours, or without end, or hold each other so often that
            walking through them would never end.
    """
    known: dict[int, tuple] = {}  # the copy of each container, and the values in it, those of its containers included
    distinct = 0

    def copy(value, depth: int):
        nonlocal distinct
        if depth > DEEPEST:
            raise ValueError(f"its lists and dicts are nested more than {DEEPEST} deep")
        copies, size = [], 1 + len(value)
        for part in value.values() if isinstance(value, dict) else value:
            if isinstance(part, (list, tuple, dict)):
                part, inside = known.get(id(part)) or copy(part, depth + 1)
                size += inside
            elif isinstance(part, str) and not part.isascii():
                part = read_text(part)
            copies.append(part)
        distinct += len(copies) + 1
        known[id(value)] = dict(zip(value, copies, strict=True)) if isinstance(value, dict) else copies, size
        return known[id(value)]

    if not isinstance(content, (list, tuple, dict)):
        return content
    made, total = copy(content, 0)
    if total > UNCHECKED + MOST_SHARING * distinct:
        raise ValueError(f"it seems to hold {total:,} values, but has only {distinct:,} and repeats them")
    return made
