"""Which image each expression refers to: one image and many expressions, as many of both, or a list per image."""

from collections.abc import Iterable

import torch


def pair(text: str | list[str] | list[list[str]], num_images: int | None) -> tuple[list[str], torch.Tensor | None]:
    """Flattens the expressions and says which image each refers to: N strings and (N,) int64; None where there are no
    images and the text is not nested.

    Raises ValueError printing both numbers where they do not fit, TypeError for what is not text.
    """
    if isinstance(text, bytes) or not isinstance(text, Iterable):
        raise TypeError(f"text is a {type(text).__name__}; give an expression or a list of them")
    rows = [text] if isinstance(text, str) else list(text)
    nested = [isinstance(row, (list, tuple)) for row in rows]
    expressions = [expression for row in rows for expression in (row if isinstance(row, (list, tuple)) else [row])]
    for index, expression in enumerate(expressions):
        if not isinstance(expression, str):
            raise TypeError(f"expression {index} is a {type(expression).__name__}; expressions are strings")
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
        "or one list of expressions per image"
    )
