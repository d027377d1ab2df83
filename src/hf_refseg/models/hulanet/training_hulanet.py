"""
What a training of HULANet (Wu et al., CVPR 2020) is made of: two stages, each a recipe.

The first trains the modules, each by its own map, and the classifier of attributes (`model.final_loss_weight: 0`); the
second goes on from its weights (`weights.previous_stage`) with the combined map, and leaves the classifier as it is
(`model.attribute_loss_weight: 0`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm
from transformers import AutoModel, PreTrainedConfig, set_seed

from ...data import ReferringRows
from ...data.official_files import read_json
from ...evaluation.evaluators import referring_evaluators
from ...training.arguments import RefSegTrainingArguments
from ...training.initial_weights import (
    find_weights,
    load_detector,
    load_embeddings,
    load_processor,
    require_same_config,
)
from ...training.recipe import Recipe
from ...training.sections import (
    EvaluationSection,
    NoSection,
    RecipeKeys,
    StreamedDataSection,
    VocabularySection,
    WeightsSection,
    tell_what_is_cut_off,
)
from ...training.task import TrainingTask
from ..mask_rcnn.configuration_mask_rcnn import MaskRcnnConfig
from .configuration_hulanet import HulaNetConfig
from .losses_hulanet import positive_weights
from .modeling_hulanet import HulaNetForReferringSegmentation
from .phrase_collator import PhraseCollator
from .phrase_structure import MIN_COUNT, PhraseStructure, PhraseVocabulary
from .processing_hulanet import HulaNetProcessor
from .tokenization_hulanet import phrase_tokenizer_from_sentences

COUNTED_IMAGES = 2000  # from which the frequency of attributes is taken
# What the two stages differ in; the rest of the configuration is that of the first.
LOSS_WEIGHTS = ("module_loss_weight", "final_loss_weight", "attribute_loss_weight", "positive_weight")


@dataclass
class HulaNetDataSection(StreamedDataSection):
    """
    `data` of HULANet: rows whose phrases have a structure.

    Args:
        refs_per_scene: phrases asked for in each scene of RefShapes; None: one.
        names: file of PhraseCut's names by frequency, name_att_rel_count.json; None: the names are counted in the
            training rows.
        min_name_count: how often an attribute or predicate must occur to be known.
    """

    refs_per_scene: int | None = None
    names: str | None = None
    min_name_count: int = MIN_COUNT


@dataclass
class HulaNetWeights(WeightsSection):
    """
    `weights` of HULANet.

    Args:
        detector: folder, or shipped name, of the trained detector whose categories are those of the category module.
        embeddings: name or file of word vectors that the embeddings start from, such as FastText's.
        previous_stage: folder of the first stage, whose weights and words the second takes over.
    """

    detector: str | None = None
    embeddings: str | None = None
    previous_stage: str | None = None


KEYS = RecipeKeys(
    data=HulaNetDataSection,
    processor=VocabularySection,
    weights=HulaNetWeights,
    evaluation=EvaluationSection,
    stages=NoSection,
    parameter_scopes={
        "embeddings": (r"head\.phrases\.embeddings\..*",),
        "classifier": (r"head\.attribute_classifier\..*",),
    },
    derived={
        "vocab_size": "the vocabulary",
        **dict.fromkeys(("num_attributes", "attribute_labels", "attribute_weights"), "the names of the data set"),
        **dict.fromkeys(("detector_config", "region_size"), "the detector"),
        "mask_threshold": "the search for it, hf_refseg.models.hulanet.threshold_hulanet",
    },
)


def build(recipe: Recipe, args: RefSegTrainingArguments) -> TrainingTask:
    """The parts of one stage of a training of HULANet, over a detector that stays as it is.

    Raises:
        ValueError: no detector, a previous stage beside other weights, or rows without `instances` where the classifier
            of attributes is trained.
    """
    data, weights = recipe.data, recipe.weights
    rows = data.train_rows(refs_per_scene=data.refs_per_scene)
    source = weights.all or weights.previous_stage
    if source is not None:
        if weights.detector is not None and weights.previous_stage is not None:
            raise ValueError("weights.previous_stage brings its detector: leave out weights.detector (--detector null)")
        model = load_stage(source, recipe)  # first, for it looks at what is there
        processor = load_processor(source, rows.vocabulary_texts(), recipe.processor)
    else:
        processor, model = new_model(recipe, args, rows)
    learns_attributes = "attribute" in model.config.modules and model.config.attribute_loss_weight > 0
    if learns_attributes and not rows.is_stream:
        rows = rows.with_instances()
    if "attribute" in model.config.modules and not learns_attributes:
        model.head.attribute_classifier.requires_grad_(False)
    attributes = model.config.attribute_labels if learns_attributes else None
    return TrainingTask(
        model=model,
        processor=processor,
        train_rows=rows if rows.is_stream else rows.by_image(),
        collator=PhraseCollator(processor, attributes, by_image=not rows.is_stream, seed=args.seed),
        eval_rows=data.eval_rows(),
        evaluators=referring_evaluators(
            processor, recipe.evaluation.protocol, recipe.evaluation.interpolation, labels=True
        ),
        pretrained={name for name, _ in model.named_parameters() if source or name.startswith("detector.")},
    )


def load_stage(source: str, recipe: Recipe) -> HulaNetForReferringSegmentation:
    """The model of an earlier stage, with the weights of the losses that this recipe gives."""
    folder = find_weights(
        "previous_stage" if recipe.weights.previous_stage else "all", source, recipe.system.model_type
    )
    losses = {name: getattr(recipe.config(), name) for name in LOSS_WEIGHTS}
    model = AutoModel.from_pretrained(folder, **losses)
    require_same_config(recipe.model, model.config, source)
    return model


def new_model(
    recipe: Recipe, args: RefSegTrainingArguments, rows: ReferringRows
) -> tuple[HulaNetProcessor, HulaNetForReferringSegmentation]:
    """A processor, and a model over the detector of `weights.detector`."""
    name = recipe.weights.detector
    detector, image_processor = load_detector(name, "HULANet reads the detections of", MaskRcnnConfig.model_type)
    labels = detector.config.id2label
    vocabulary = read_vocabulary(recipe.data, rows, [labels[index] for index in range(len(labels))])
    config = recipe.config()
    processor = HulaNetProcessor(
        image_processor,
        build_tokenizer(recipe, rows, vocabulary, config.max_length),
        names={name: list(getattr(vocabulary, name)) for name in ("categories", "attributes", "predicates")},
    )
    set_seed(args.seed)  # the same initial weights whatever was read before
    derived = {
        "detector_config": noisy(detector.config),
        "vocab_size": len(processor.tokenizer),
        "region_size": detector.crop_channels + detector.config.head_size,
    }
    if "attribute" in config.modules:
        derived |= attribute_options(rows, vocabulary.attributes)
    model = AutoModel.from_config(recipe.config(**derived))
    model.detector.load_state_dict(detector.state_dict())
    if recipe.weights.embeddings is not None:
        load_embeddings(model, processor.tokenizer, recipe.weights.embeddings)
    return processor, model


def noisy(config: PreTrainedConfig) -> PreTrainedConfig:
    """A detector's configuration with the thresholds of the paper, which lets many unsure detections through."""
    published = HulaNetConfig().detector_config
    for name in ("score_threshold", "nms_threshold", "max_detections"):
        setattr(config, name, getattr(published, name))
    return config


def build_tokenizer(recipe: Recipe, rows: ReferringRows, vocabulary: PhraseVocabulary, max_length: int):
    """The words of a file, or of the phrases and of the names that structures are made of."""
    words = recipe.processor
    if words.vocabulary is not None:
        return words.build_tokenizer(HulaNetProcessor, rows.vocabulary_texts(), max_length=max_length)
    names = (*vocabulary.categories, *vocabulary.attributes, *vocabulary.predicates)
    repeated = [name for name in names for _ in range(words.min_count or 1)]  # each often enough to be known
    texts = list(rows.vocabulary_texts())
    tokenizer = phrase_tokenizer_from_sentences(
        (*texts, *repeated), min_count=words.min_count or 1, max_length=max_length
    )
    tell_what_is_cut_off(tokenizer, texts)
    return tokenizer


def read_vocabulary(data: HulaNetDataSection, rows: ReferringRows, categories: Sequence[str]) -> PhraseVocabulary:
    """The detector's categories, and the attributes and predicates that occur often enough."""
    if data.names is not None:
        path = Path(data.names)
        if not path.is_file():
            raise FileNotFoundError(f"data.names: there is no file {path}; PhraseCut's is name_att_rel_count.json")
        known = PhraseVocabulary.from_counts(read_json(path, dict), data.min_name_count)
    elif rows.is_stream:
        raise ValueError(
            "a stream is not read twice: give the names of the data set as --names name_att_rel_count.json"
        )
    else:
        structures = (row.get("phrase_structure") for row in tqdm(rows.without_pictures(), "names", leave=False))
        known = PhraseVocabulary.from_structures(
            (PhraseStructure.from_row(structure) for structure in structures if structure), data.min_name_count
        )
    return PhraseVocabulary(categories, known.attributes, known.predicates)


def attribute_options(rows: ReferringRows, attributes: Sequence[str]) -> dict:
    """
    Fields of [`HulaNetConfig`] for these attributes, weighted by how rare they are among annotated things.

    An attribute that no thing has, because it is annotated by another word ("small" for "little"), is left out.
    """
    if not attributes:
        raise ValueError(
            "no attribute occurs often enough to be known: lower data.min_name_count, or do without the attribute "
            "module (--modules '[category, relationship]')"
        )
    if rows.is_stream:
        return {"num_attributes": len(attributes), "attribute_labels": list(attributes)}
    counts, number = dict.fromkeys(attributes, 0), 0
    for index in range(min(len(rows), COUNTED_IMAGES)):
        for thing in rows.instances_of(index):
            number += 1
            for name in counts.keys() & set(thing["attributes"]):
                counts[name] += 1
    counts = {name: count for name, count in counts.items() if count}
    weights = positive_weights(list(counts.values()), number)
    return {"num_attributes": len(counts), "attribute_labels": list(counts), "attribute_weights": weights}
