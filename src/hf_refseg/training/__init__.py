"""Training: transformers' Trainer with the papers' optimisation, exact evaluation and whole checkpoints."""

from .arguments import RefSegTrainingArguments
from .trainer import ReferringSegmentationTrainer

__all__ = ["RefSegTrainingArguments", "ReferringSegmentationTrainer"]
