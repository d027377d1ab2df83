"""What a training is made of: the seam between the one trainer and the families."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..data import ReferringRows
from ..evaluation.evaluators import Evaluators


@dataclass
class TrainingTask:
    """
    The parts of a training; `build(recipe, args)` of `models/<family>/training_<family>.py` makes them.

    Args:
        model: with the weights that it starts from.
        processor: saved with the model.
        train_rows: what the collator takes, with a length or as a stream.
        collator: rows -> inputs of the model, targets included; has `set_epoch`.
        eval_rows: rows to evaluate.
        evaluators: what is measured; None where a training has nothing to measure.
        pretrained: names of the parameters that do not start at random, or that a stage trains.
        stages: what happens before the training, in this order; a resumed training is past them.
    """

    model: Any
    processor: Any
    train_rows: ReferringRows | Sequence[dict]
    collator: Callable[[Sequence[dict]], Any]
    eval_rows: ReferringRows
    evaluators: Evaluators | None
    pretrained: set[str] = field(default_factory=set)
    stages: list[Callable[[], Any]] = field(default_factory=list)
