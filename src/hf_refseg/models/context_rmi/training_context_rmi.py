"""What a training of RMI with context is made of: RMI's parts."""

from dataclasses import replace

from ...training.arguments import RefSegTrainingArguments
from ...training.dense import build_task
from ...training.recipe import Recipe
from ...training.task import TrainingTask
from ..rmi import training_rmi
from .processing_context_rmi import ContextRmiProcessor

# RMI's other scopes are about what its original decays.
_SCOPES = ("backbone", "backbone_and_projection")
KEYS = replace(training_rmi.KEYS, parameter_scopes={name: training_rmi.KEYS.parameter_scopes[name] for name in _SCOPES})


def build(recipe: Recipe, args: RefSegTrainingArguments) -> TrainingTask:
    """The parts of a training of RMI with context."""
    return build_task(recipe, args, ContextRmiProcessor)
