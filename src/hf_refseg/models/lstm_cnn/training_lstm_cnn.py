"""What a training of LSTM-CNN is made of: Hu et al.'s three stages (ECCV 2016), and the R+LSTM and D+LSTM baselines."""

from dataclasses import dataclass

from transformers import set_seed

from ...training.arguments import RefSegTrainingArguments
from ...training.dense import NamingStages, assemble, build_task
from ...training.initial_weights import find_weights, require_same_config
from ...training.recipe import Recipe
from ...training.sections import (
    EvaluationSection,
    ProcessorSection,
    RecipeKeys,
    SentenceDataSection,
    WordModelWeights,
)
from ...training.task import TrainingTask
from .modeling_lstm_cnn import LstmCnnForReferringSegmentation
from .processing_lstm_cnn import LstmCnnProcessor
from .training_crops import CropCollator


@dataclass
class LstmCnnWeights(WordModelWeights):
    """
    `weights` of LSTM-CNN.

    Args:
        previous_stage: folder of the stage before, whose weights and vocabulary this stage takes over (Hu et al.).
    """

    previous_stage: str | None = None

    def __post_init__(self):
        super().__post_init__()
        for name in ("backbone", "embeddings"):
            if self.previous_stage is not None and getattr(self, name) is not None:
                raise ValueError(
                    f"weights.previous_stage already gives the {name}: leave out weights.{name} (--weights.{name} null)"
                )


_CONV_KERNELS = (r"(backbone\..*|visual_projection|visual_fusion|language_fusion|classifier)\.weight",)

KEYS = RecipeKeys(
    data=SentenceDataSection,
    processor=ProcessorSection,
    weights=LstmCnnWeights,
    evaluation=EvaluationSection,
    stages=NamingStages,
    parameter_scopes={
        "backbone": (r"backbone\..*",),
        # Hu et al., region stage: the whole of VGG up to fc8, which is the projection here.
        "backbone_and_projection": (r"backbone\..*", r"visual_projection\..*"),
        # Hu et al., low- and high-resolution stage: the 13 convolutions; fc6 to fc8 are trained.
        "vgg_convolutions": (r"backbone\.stages\..*",),
        # Liu et al.: variables whose name contains "DW".
        "conv_kernels": _CONV_KERNELS,
        "conv_biases": (r"(backbone\..*|visual_projection|visual_fusion|classifier)\.bias",),
        # Hu et al.: variables named "weights" or "Matrix": also the LSTM's matrix and the deconvolution, not the
        # embedding.
        "weights": (*_CONV_KERNELS, r"word_lstm\.weight_(ih|hh)", r"deconvolution\.weight"),
    },
    derived={"vocab_size": "the vocabulary"},
)


def build(recipe: Recipe, args: RefSegTrainingArguments) -> TrainingTask:
    """The parts of a training of LSTM-CNN.

    Raises:
        ValueError: a key that the region classifier does not read.
    """
    is_first = recipe.weights.previous_stage is None
    task = build_task(recipe, args, LstmCnnProcessor) if is_first else next_stage(recipe, args)
    if task.model.config.stage == "region":
        unread = {"evaluation": ("protocol", "interpolation"), "data": ("flip_probability", "sentence")}
        recipe.require_unsaid(unread, "the region classifier draws no masks, and learns from crops")
        task.collator, task.evaluators = CropCollator(task.processor, seed=args.seed), None
    return task


def next_stage(recipe: Recipe, args: RefSegTrainingArguments) -> TrainingTask:
    """The parts of a stage that takes over the weights and the vocabulary of the stage before."""
    previous = recipe.weights.previous_stage
    recipe.processor.require_unsaid(f"weights.previous_stage: {previous}")
    folder = find_weights("previous_stage", previous, recipe.system.model_type)
    image_processor_class = LstmCnnProcessor.default_image_processor
    image_processor = image_processor_class(**recipe.processor.image_options(image_processor_class))
    processor = LstmCnnProcessor(image_processor, LstmCnnProcessor.from_pretrained(folder).tokenizer)
    set_seed(args.seed)
    model = LstmCnnForReferringSegmentation.from_previous_stage(folder, recipe.config().stage)
    require_same_config(recipe.model, model.config, previous)
    pretrained = {name for name, _ in model.named_parameters()}
    return assemble(recipe, args, recipe.data.train_rows(), processor, model, pretrained)
