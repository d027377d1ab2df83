"""Drawn scenes from a seed, with expressions that are true of one thing, so that an answer can be checked."""

from functools import lru_cache

import numpy as np
from choices import Choice, choices
from PIL import Image
from segmenting import Answer, segment, split_expressions

from hf_refseg.data import RefShapes
from hf_refseg.data.schema import decode_mask

REFERENCES = 6
# What a visitor reads, and the dialect of RefShapes; "grefcoco" is left out, since no system here was trained on it.
DIALECTS = [
    ("place and look", "refcoco"),
    ("look alone", "refcocoplus"),
    ("long, with relations", "refcocog"),
    ("phrases, several things", "phrasecut"),
]


def systems() -> list[tuple[str, str]]:
    """Label and name of the checkpoints that were trained on drawn shapes."""
    return [(one.name, one.name) for one in choices() if one.on_shapes]


@lru_cache(maxsize=32)
def rows(seed: int, dialect: str) -> list[dict]:
    """The references of a scene of the test split, which no training has seen."""
    return RefShapes(split="test", dialect=dialect, seed=seed, num_samples=1).scene(0, REFERENCES)


def expressions(seed: int, dialect: str) -> list[str]:
    """One per reference."""
    return [row["sentences"][0]["sent"] for row in rows(seed, dialect)]


def ask(seed: int, dialect: str, expression: str, choice: Choice) -> tuple[Answer, str]:
    """The answer about the scene, and a sentence that says how right it is, where that is known."""
    scene = rows(seed, dialect)
    answer = segment(choice, scene[0]["image"], split_expressions(expression))
    for row in scene:
        if row["sentences"][0]["sent"] == expression:
            truth, mask = decode_mask(row["mask"]), answer.findings[0].mask
            mask = np.zeros_like(truth) if mask is None else mask
            return answer, f"IoU with what is meant: <b>{(truth & mask).sum() / max((truth | mask).sum(), 1):.2f}</b>."
    return answer, ""


def any_scene() -> tuple[Image.Image, str]:
    """A scene of a seed that nobody chose, and what is said of one thing in it."""
    seed = int(np.random.default_rng().integers(10_000))
    return rows(seed, "refcoco")[0]["image"], expressions(seed, "refcoco")[0]
