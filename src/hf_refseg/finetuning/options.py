"""What a fine-tuning is asked to do, and what it did."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..data.rows import Counts
from . import DEFAULT_BASE, DEFAULT_VECTORS

MOST_SEEDS = 1 << 32  # numpy takes no larger ones


@dataclass
class FineTuning:
    """
    What to learn, and from what.

    Args:
        photos: the folder, see `hf_refseg.data.own_photos`.
        output: the new folder of the model.
        base: shipped name, folder or Hub id of an RMI, an RMI with context, or an LSTM-CNN.
        learn: "words": only the embeddings of the words that the base does not know, so that it answers every other
            expression as before, to the bit. "network": also all of the network but its backbone, for things that
            known words name.
        vectors: name or file of the word vectors by which new words start from their neighbors.
        steps: of the training, at most; None: 200, or more where that is less than three times every photo.
        val_share: of the photos, to measure by, where the folder has no split `val`.
        license: of the card; None: that of the base's card, where it names one.
        seed: of all draws.

    Raises:
        ValueError: a number that is out of range.
    """

    photos: Path
    output: Path
    base: str = DEFAULT_BASE
    learn: Literal["words", "network"] = "words"
    vectors: str = DEFAULT_VECTORS
    steps: int | None = None
    val_share: float = 0.2
    license: str | None = None
    seed: int = 0

    def __post_init__(self):
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps is {self.steps}; give 1 or more, or leave it out")
        if not 0 < self.val_share < 1:
            raise ValueError(f"val_share is {self.val_share}; it is a share of the photos, above 0 and below 1")
        if not 0 <= self.seed < MOST_SEEDS:
            raise ValueError(f"seed is {self.seed}; give 0 to {MOST_SEEDS - 1:,}")

    @property
    def command(self) -> str:
        """The command line, without where and with what license."""
        words = ["hf-refseg", "finetune", str(self.photos)]
        for name, field in self.__dataclass_fields__.items():
            value = getattr(self, name)
            if name not in ("photos", "output", "license") and value != field.default:
                words += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join(words)


@dataclass(frozen=True)
class FineTuned:
    """
    What a fine-tuning did.

    Args:
        before, after: the metrics on the photos that were held out.
        starts: the new words, and what each started from.
        steps: those of the best model, which is the one that was kept.
        train, val: photos, things and expressions that were learned from, and measured by.
    """

    before: dict[str, Any]
    after: dict[str, Any]
    starts: dict[str, str]
    steps: int
    train: Counts
    val: Counts
