"""What every fuzz test shares: how many inputs it tries, how inputs are damaged, and what may happen to them."""

import os
import signal
from collections.abc import Callable
from contextlib import contextmanager

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

LONG = os.environ.get("HF_REFSEG_FUZZ")
REFUSALS = (ValueError, TypeError, OSError)
LONGEST_MESSAGE = 3_000
SECONDS = 20


def cases(short: int) -> settings:
    """Settings of a test: `short` inputs that are always the same, or as many new ones as HF_REFSEG_FUZZ says."""
    return settings(
        max_examples=int(LONG) if LONG else short,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def in_time():
    """Fails what takes more than `SECONDS` of the processor, however busy it is with other things."""

    def stop(*_):
        raise AssertionError(f"this input took more than {SECONDS} seconds")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def answer_or_refusal(call: Callable, *names: str):
    """
    What a call returns, or None where it refuses its input.

    Args:
        names: the message of a refusal has one of them; none: it is only not empty.
    """
    with in_time():
        try:
            return call()
        except REFUSALS as error:
            message = str(error)
            assert 0 < len(message) < LONGEST_MESSAGE, f"{type(error).__name__} of {len(message)} characters"
            assert not names or any(name in message for name in names), f"none of {names} is named: {message}"
            return None


@st.composite
def damaged(draw, data: bytes) -> bytes:
    """A file with some bytes changed, cut off, taken out or repeated."""
    content = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["change", "change", "change", "cut", "remove", "repeat"]))
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        if kind == "change" and content:
            content[at] = draw(st.sampled_from([0, 1, 2, 127, 128, 254, 255]) | st.integers(0, 255))
        elif kind == "cut":
            del content[at:]
        elif kind == "remove":
            del content[at : at + draw(st.integers(1, 40))]
        elif kind == "repeat":
            content[at:at] = content[at : at + draw(st.integers(1, 40))]
    return bytes(content)


NUMBERS = st.one_of(
    st.integers(-5, 100),
    st.sampled_from([10**6, 2**31, 2**63, 10**30, -(2**31)]),
    st.floats(),
    st.booleans(),
)
VALUES = st.recursive(
    st.one_of(st.none(), NUMBERS, st.text(max_size=8), st.binary(max_size=4)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
JSON_VALUES = st.recursive(
    st.one_of(st.none(), NUMBERS, st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def with_another_value(draw, tree, values=JSON_VALUES):
    """A copy of nested dicts and lists in which one value is another, or is missing."""
    if isinstance(tree, dict) and tree:
        key = draw(st.sampled_from(sorted(tree, key=str)))
    elif isinstance(tree, list) and tree:
        key = draw(st.integers(0, len(tree) - 1))
    else:
        return draw(values)
    copy = tree.copy()
    choice = draw(st.integers(0, 9))
    if choice == 0:
        del copy[key]
    elif choice <= 2:
        copy[key] = draw(values)
    else:
        copy[key] = draw(with_another_value(tree[key], values))
    return copy
