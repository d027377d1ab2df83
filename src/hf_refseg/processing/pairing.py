"""Which image each expression refers to: one image and many expressions, as many of both, or a list per image."""

import reprlib
from collections.abc import Iterable, Mapping, Set

import torch

LONGEST_EXPRESSION = 100_000  # in characters; words of ten times as many take seconds and half a gigabyte


def pair(text: str | list[str] | list[list[str]], num_images: int | None) -> tuple[list[str], torch.Tensor | None]:
    """Flattens the expressions and says which image each refers to: N strings and (N,) int64; None where there are no
    images and the text is not nested. A single string is asked of every image.

    Raises ValueError printing both numbers where they do not fit, TypeError for what is not text or has no order.
    """
    rows = [text] * (num_images or 1) if isinstance(text, str) else list_of_texts(text)
    nested = [isinstance(row, (list, tuple)) for row in rows]
    expressions = [expression for row in rows for expression in (row if isinstance(row, (list, tuple)) else [row])]
    for index, expression in enumerate(expressions):
        check_expression(expression, index)
    if not expressions:
        raise ValueError("the list of expressions is empty; give at least one")
    if any(nested):
        if not all(nested):
            raise ValueError("text mixes strings and lists of strings; give one list per image, or only strings")
        if num_images not in (None, len(rows)):
            raise ValueError(f"{num_images} images but {len(rows)} lists of expressions; give one list per image")
        return expressions, torch.tensor([image for image, row in enumerate(rows) for _ in row])
    if num_images == 1:
        return expressions, torch.zeros(len(expressions), dtype=torch.long)
    if num_images is None:
        return expressions, None
    if num_images == len(expressions):
        return expressions, torch.arange(len(expressions))
    raise ValueError(
        f"{num_images} images but {len(expressions)} expressions; give one image, as many expressions as images, "
        "one list of expressions per image, or a single string for all images"
    )


def list_of_texts(text) -> list:
    """What is not a single string, as a list; raises TypeError for what is not text or has no order."""
    if isinstance(text, (bytes, Set, Mapping)) or not isinstance(text, Iterable):
        order = ", which has no order" if isinstance(text, Set) else ""
        raise TypeError(f"text is a {type(text).__name__}{order}; give an expression or a list of them")
    return list(text)


def check_expression(expression: str, index: int) -> None:
    """Raises TypeError for what is not text, ValueError for text that no file can hold, or of the length of a book."""
    if not isinstance(expression, str):
        raise TypeError(f"expression {index} is a {type(expression).__name__}; expressions are strings")
    if len(expression) > LONGEST_EXPRESSION:
        raise ValueError(
            f"expression {index}, {quoted(expression)}, has {len(expression):,} characters; {LONGEST_EXPRESSION:,} are "
            "the most"
        )
    try:
        expression.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"expression {index}, {quoted(expression)}, holds half of a character ({error.reason}): it was read in "
            "another encoding than it was written in"
        ) from error


def quoted(expression: str) -> str:
    """An expression as messages show it: in quotes, and only its ends where it is long."""
    shorten = reprlib.Repr()
    shorten.maxstring = 120
    return shorten.repr(expression)
