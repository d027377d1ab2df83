"""What the trainings of RMI and LSTM-CNN share, which answer at every pixel: processor, first weights, evaluation."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from transformers import AutoModel, PreTrainedModel, set_seed
from transformers.utils import logging

from ..data import ReferringRows, ReferringSegmentationCollator
from ..evaluation.evaluators import referring_evaluators
from .arguments import RefSegTrainingArguments
from .initial_weights import load_backbone_weights, load_embeddings, load_processor, load_whole_model
from .recipe import Recipe
from .task import TrainingTask
from .word_naming import WordNaming, name_words, named_parameters

logger = logging.get_logger(__name__)

# What the papers take from a pretrained network: its classifier is the projection of the visual feature.
PRETRAINED_PARTS = ("backbone", "visual_projection")


@dataclass
class NamingStages:
    """
    `stages`: what happens before the training.

    Args:
        naming: learn what the words for things and attributes look like, see `hf_refseg.training.word_naming`.
    """

    naming: WordNaming | None = None


def build_processor(recipe: Recipe, processor_class: type, sentences: Iterable[str]) -> Any:
    """The processor of `weights.all`, or a new one with the words of the sentences or of `processor.vocabulary`."""
    if recipe.weights.all is not None:
        return load_processor(recipe.weights.all, sentences, recipe.processor, recipe.processor)
    tokenizer = recipe.processor.build_tokenizer(processor_class, sentences, max_length=recipe.config().max_length)
    logger.info(f"the vocabulary has {len(tokenizer)} words")
    image_processor_class = processor_class.default_image_processor
    image_processor = image_processor_class(**recipe.processor.image_options(image_processor_class))
    return processor_class(image_processor, tokenizer)


def build_model(recipe: Recipe, tokenizer) -> tuple[PreTrainedModel, set[str]]:
    """The model with the weights that it starts from, and the names of the parameters that are not random."""
    weights = recipe.weights
    if weights.all is not None:
        model = load_whole_model(weights.all, recipe.system.model_type, recipe.model)
        return model, {name for name, _ in model.named_parameters()}
    model, pretrained = AutoModel.from_config(recipe.config(vocab_size=len(tokenizer))), set()
    if weights.backbone is not None:
        pretrained = load_backbone_weights(model, weights.backbone, PRETRAINED_PARTS)
    if weights.embeddings is not None:
        load_embeddings(model, tokenizer, weights.embeddings)
    return model, pretrained


def build_task(recipe: Recipe, args: RefSegTrainingArguments, processor_class: type) -> TrainingTask:
    """The parts of a training with a new model, or with that of `weights.all`."""
    rows = recipe.data.train_rows()
    processor = build_processor(recipe, processor_class, rows.vocabulary_texts())
    set_seed(args.seed)  # the same initial weights whatever was read before
    model, pretrained = build_model(recipe, processor.tokenizer)
    return assemble(recipe, args, rows, processor, model, pretrained)


def assemble(
    recipe: Recipe,
    args: RefSegTrainingArguments,
    rows: ReferringRows,
    processor,
    model: PreTrainedModel,
    pretrained: set[str],
) -> TrainingTask:
    """The parts of a training of a model that is there already; `pretrained` as of [`TrainingTask`]."""
    data, evaluation, naming, stages = recipe.data, recipe.evaluation, recipe.stages.naming, []
    if naming is not None:
        if data.streaming:
            raise ValueError("stages.naming picks rows at random, which a stream can't: leave it or data.streaming out")
        options = {"seed": args.seed, "channels_last": args.channels_last, "device": args.device}
        options["num_workers"] = args.dataloader_num_workers
        stages = [partial(name_words, model, processor, rows, naming, **options)]
        pretrained = pretrained | named_parameters(model)
    return TrainingTask(
        model=model,
        processor=processor,
        train_rows=rows,
        collator=ReferringSegmentationCollator(processor, data.flip_probability, data.sentence, seed=args.seed),
        eval_rows=data.eval_rows(),
        evaluators=referring_evaluators(processor, evaluation.protocol, evaluation.interpolation, labels=True),
        pretrained=pretrained,
        stages=stages,
    )
