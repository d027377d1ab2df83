"""What a training of RMI (Liu et al., ICCV 2017) is made of."""

from ...training.arguments import RefSegTrainingArguments
from ...training.dense import NamingStages, build_task
from ...training.recipe import Recipe
from ...training.sections import (
    EvaluationSection,
    ProcessorSection,
    RecipeKeys,
    SentenceDataSection,
    WordModelWeights,
)
from ...training.task import TrainingTask
from .processing_rmi import RmiProcessor

KEYS = RecipeKeys(
    data=SentenceDataSection,
    processor=ProcessorSection,
    weights=WordModelWeights,
    evaluation=EvaluationSection,
    stages=NamingStages,
    parameter_scopes={
        "backbone": (r"backbone\..*",),
        "backbone_and_projection": (r"backbone\..*", r"visual_projection\..*"),
        # The original decays the trained variables whose name contains "DW": convolution kernels, and not the gates of
        # the multimodal LSTM, which are 1x1 convolutions only in our writing. It takes their biases two times as far.
        "conv_kernels": (r"(backbone\..*|visual_projection|classifier)\.weight",),
        "conv_biases": (r"(backbone\..*|visual_projection|classifier)\.bias",),
    },
    derived={"vocab_size": "the vocabulary"},
)


def build(recipe: Recipe, args: RefSegTrainingArguments) -> TrainingTask:
    """The parts of a training of RMI."""
    return build_task(recipe, args, RmiProcessor)
