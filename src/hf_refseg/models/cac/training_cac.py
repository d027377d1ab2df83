"""What a training of CAC (Chen et al., BMVC 2019) is made of."""

from dataclasses import dataclass
from typing import Any

from transformers import AutoModel, PreTrainedConfig, set_seed

from ...data import ReferringRows, ReferringSegmentationCollator
from ...data.objects import check_categories
from ...evaluation.evaluators import ComprehensionEvaluator, in_place_of_images, referring_evaluators
from ...training.arguments import RefSegTrainingArguments
from ...training.initial_weights import (
    find_weights,
    load_detector,
    load_embeddings,
    load_exactly,
    load_processor,
    load_whole_model,
)
from ...training.recipe import Recipe
from ...training.sections import (
    EvaluationSection,
    NoSection,
    RecipeKeys,
    SentenceDataSection,
    VocabularySection,
    WeightsSection,
    section_keys,
)
from ...training.task import TrainingTask
from ..mask_rcnn.configuration_mask_rcnn import MaskRcnnConfig
from .configuration_cac import CacConfig
from .modeling_cac import CacForReferringSegmentation
from .processing_cac import CacProcessor


@dataclass
class CacWeights(WeightsSection):
    """
    `weights` of CAC.

    Args:
        detector: folder, or shipped name, of the trained detector whose feature map the words learn to modulate.
        embeddings: name or file of word vectors that the embeddings start from, e.g. `"glove-wiki-gigaword-50"`.
        previous_stage: folder of the stage before (response, then captioner, then all together), whose weights and
            vocabulary this stage takes over; a captioner that it lacks starts at random.
    """

    detector: str | None = None
    embeddings: str | None = None
    previous_stage: str | None = None

    def __post_init__(self):
        super().__post_init__()
        for name in ("detector", "embeddings"):
            if self.previous_stage is not None and getattr(self, name) is not None:
                raise ValueError(
                    f"weights.previous_stage already gives the {name}: leave out weights.{name} (--weights.{name} null)"
                )


KEYS = RecipeKeys(
    data=SentenceDataSection,
    processor=VocabularySection,
    weights=CacWeights,
    evaluation=EvaluationSection,
    stages=NoSection,
    parameter_scopes={
        # All but biases, the LSTMs' matrices too.
        "kernels": (r".*\.weight(_[ih]h_l0)?",),
        # What the pretrained detector does not have; the captioner learns at the detector's rate.
        "words_and_filters": (r"(language|spatial_filters)\..*",),
        # conv1 and layer1 of the ResNet.
        "stem_and_first_stage": (r"detector\.backbone\.stem\..*", r"detector\.backbone\.stages\.0\..*"),
        "all_but_captioner": (r"(?!captioner\.).*",),
    },
    derived={"vocab_size": "the vocabulary"},
)


def build(recipe: Recipe, args: RefSegTrainingArguments) -> TrainingTask:
    """The parts of a training of CAC.

    Raises:
        ValueError: no detector.
    """
    rows, weights = recipe.data.train_rows(), recipe.weights
    if weights.all is not None:
        processor = load_processor(weights.all, rows.vocabulary_texts(), recipe.processor)
        model = load_whole_model(weights.all, recipe.system.model_type, recipe.model)
        pretrained = {name for name, _ in model.named_parameters()}
    elif weights.previous_stage is not None:
        processor, model, pretrained = next_stage(recipe, args)
    else:
        processor, model, pretrained = new_model(recipe, args, rows)
    labels = {name: label for label, name in enumerate(processor.categories)}
    protocol, interpolation = recipe.evaluation.protocol, recipe.evaluation.interpolation
    eval_rows = recipe.data.eval_rows().with_instances()
    check_categories(eval_rows, labels)
    comprehension = ComprehensionEvaluator(labels, protocol)
    return TrainingTask(
        model=model,
        processor=processor,
        train_rows=rows,
        collator=ReferringSegmentationCollator(
            processor, recipe.data.flip_probability, recipe.data.sentence, seed=args.seed
        ),
        eval_rows=eval_rows,
        evaluators=referring_evaluators(
            processor, protocol, interpolation, others=[comprehension], share=encode_images_once
        ),
        pretrained=pretrained,
    )


def encode_images_once(model: CacForReferringSegmentation, inputs: dict) -> dict:
    """The inputs with the images' features, for proposals and for the annotated objects alike."""
    return in_place_of_images(inputs, image_features=model.get_image_features(**inputs))


def new_model(
    recipe: Recipe, args: RefSegTrainingArguments, rows: ReferringRows
) -> tuple[CacProcessor, CacForReferringSegmentation, set[str]]:
    """A processor and a model that start from the detector of `weights.detector`, and the names of its parameters."""
    weights = recipe.weights
    detector, image_processor = load_detector(
        weights.detector, "CAC modulates the feature map of", MaskRcnnConfig.model_type
    )
    max_length = recipe.model.get("max_length", CacConfig.max_length)
    tokenizer = recipe.processor.build_tokenizer(CacProcessor, rows.vocabulary_texts(), max_length=max_length)
    names = detector.config.id2label
    categories = [names[label] for label in range(len(names))]
    processor = CacProcessor(image_processor, tokenizer, categories=categories)
    set_seed(args.seed)  # the same initial weights whatever was read before
    detector_config = trained_detector_config(detector.config, recipe.model.get("detector_config", {}))
    config = recipe.config(detector_config=detector_config, vocab_size=len(tokenizer))
    model = AutoModel.from_config(config)
    own = model.detector.state_dict()
    trained = {name: tensor for name, tensor in detector.state_dict().items() if name in own or not is_counter(name)}
    load_exactly(model.detector, trained, f"weights.detector: {weights.detector}")
    if weights.embeddings is not None:
        load_embeddings(model, tokenizer, weights.embeddings)
    return processor, model, {name for name, _ in model.named_parameters() if name.startswith("detector.")}


def trained_detector_config(config: MaskRcnnConfig, changes: dict[str, Any]) -> MaskRcnnConfig:
    """
    The configuration of the trained detector, whose normalizations are stored and no longer trained, as in the paper.

    Args:
        changes: `model.detector_config` of the recipe: how the detector proposes and samples regions.

    Raises:
        ValueError: a key that is no such field of the detector.
    """
    fixed = {"backbone_config", "freeze_batch_norm", *section_keys(PreTrainedConfig)}
    wrong = sorted(changes.keys() - (set(section_keys(MaskRcnnConfig)) - fixed))
    if wrong:
        raise ValueError(
            f"model.detector_config can't change {', '.join(wrong)}: the detector is trained already, and only how it "
            "proposes and samples regions can be chosen, e.g. model.detector_config.roi_batch_size"
        )
    values = {**config.to_dict(), **changes, "freeze_batch_norm": True}
    if "freeze_batch_norm" in values["backbone_config"]:
        values["backbone_config"]["freeze_batch_norm"] = True
    return MaskRcnnConfig.from_dict(values)


def is_counter(name: str) -> bool:
    """Whether a tensor counts the batches of a normalization, which one that is frozen does not."""
    return name.endswith("num_batches_tracked")


def next_stage(
    recipe: Recipe, args: RefSegTrainingArguments
) -> tuple[CacProcessor, CacForReferringSegmentation, set[str]]:
    """The processor of `weights.previous_stage`, a model with its weights, and the names of what has them."""
    name = recipe.weights.previous_stage
    recipe.processor.require_unsaid(f"weights.previous_stage: {name}")
    folder = find_weights("previous_stage", name, recipe.system.model_type)
    previous = AutoModel.from_pretrained(folder)
    processor = CacProcessor.from_pretrained(folder)
    set_seed(args.seed)
    detector_config = trained_detector_config(previous.config.detector_config, recipe.model.get("detector_config", {}))
    config = recipe.config(detector_config=detector_config, vocab_size=previous.config.vocab_size)
    model = AutoModel.from_config(config)
    own, weights = model.state_dict(), previous.state_dict()
    captioner = {name for name in own.keys() ^ weights.keys() if name.startswith("captioner.")}  # of one of the two
    weights = {name: tensor for name, tensor in weights.items() if name not in captioner}
    random = {name: own[name] for name in captioner & own.keys()}
    load_exactly(model, weights | random, f"weights.previous_stage: {name}")
    return processor, model, {name for name, _ in model.named_parameters() if name not in random}
