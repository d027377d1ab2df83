"""What a training of MAttNet (Yu et al., CVPR 2018) is made of."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tqdm import tqdm
from transformers import AutoModel, set_seed

from ...data import ReferringRows
from ...data.image_references import ImageReferences
from ...data.objects import check_categories
from ...evaluation.evaluators import ComprehensionEvaluator, in_place_of_images, referring_evaluators
from ...losses import attribute_weights
from ...training.arguments import RefSegTrainingArguments
from ...training.initial_weights import load_detector, load_embeddings, load_processor, load_whole_model
from ...training.recipe import Recipe
from ...training.sections import (
    DataSection,
    EvaluationSection,
    NoSection,
    RecipeKeys,
    VocabularySection,
    WeightsSection,
)
from ...training.task import TrainingTask
from .configuration_mattnet import MAttNetConfig
from .kept_references import KeptReferences
from .modeling_mattnet import MAttNetForReferringSegmentation
from .processing_mattnet import MAttNetProcessor
from .training_attributes import attribute_vocabulary, load_tagger, ref_attributes
from .training_pairs import MAttNetCollator

COUNTED_IMAGES = 2000  # from which the frequency of attributes is taken
DETECTORS = ("refseg_mask_rcnn", "refseg_nanodet")  # among whose regions it can choose


@dataclass
class MAttNetDataSection(DataSection):
    """
    `data` of MAttNet: rows of a data set that lists the objects of its images.

    Args:
        sources: of a data set with several, those of the rows to train on, for instance of sentences that people wrote;
            None: all. The objects of an image count whether or not anything is said about them.
        refs_per_scene: references asked for in each scene of RefShapes; None: one.
        sentences_per_ref: pairs of a region and a sentence made of each reference.
        regions_file: where is kept what the detector says of the objects, so that it looks at each image once for all
            epochs and trainings; None: it looks at them at every step.
    """

    sources: list[str] | None = None
    refs_per_scene: int | None = None
    sentences_per_ref: int = 3
    regions_file: str | None = None

    def __post_init__(self):
        if self.in_memory and self.refs_per_scene is not None:
            raise ValueError("data.in_memory keeps one reference of each scene: leave it or data.refs_per_scene out")


@dataclass
class MAttNetWeights(WeightsSection):
    """
    `weights` of MAttNet.

    Args:
        detector: folder, or shipped name, of the trained detector that it chooses among the regions of.
        embeddings: name or file of word vectors that the embeddings start from, e.g. `"glove-wiki-gigaword-50"`.
    """

    detector: str | None = None
    embeddings: str | None = None


KEYS = RecipeKeys(
    data=MAttNetDataSection,
    processor=VocabularySection,
    weights=MAttNetWeights,
    evaluation=EvaluationSection,
    stages=NoSection,
    parameter_scopes={},
    derived={
        "vocab_size": "the vocabulary",
        "attribute_weights": "how often the attributes occur",
        **dict.fromkeys(("detector_config", "region_size", "head_size", "grid_size"), "the detector"),
    },
)


def build(recipe: Recipe, args: RefSegTrainingArguments) -> TrainingTask:
    """The parts of a training of MAttNet, over a detector that stays as it is.

    Raises:
        ValueError: no detector, or rows that do not list the objects of their images.
    """
    rows = recipe.data.train_rows(refs_per_scene=recipe.data.refs_per_scene)
    if recipe.data.sources is not None:
        rows = rows.of_sources(recipe.data.sources)
    rows.instances_of(0)  # raises at once where the data set does not list them
    if recipe.weights.all is not None:
        processor = load_processor(recipe.weights.all, rows.vocabulary_texts(), recipe.processor)
        model = load_whole_model(recipe.weights.all, recipe.system.model_type, recipe.model)
        references = read_references(rows, model.config)
    else:
        processor, model, references = new_model(recipe, args, rows)
    labels = model.config.attribute_labels if model.config.attributes else None
    categories = {name: label for label, name in model.config.detector_config.id2label.items()}
    protocol, interpolation = recipe.evaluation.protocol, recipe.evaluation.interpolation
    eval_rows = recipe.data.eval_rows().with_instances()
    check_categories(eval_rows, categories)
    comprehension = ComprehensionEvaluator(categories, protocol)
    items = references.items
    if recipe.data.regions_file is not None:
        items = KeptReferences(items, model.eval().to(args.device), processor.image_processor, recipe.data.regions_file)
    return TrainingTask(
        model=model,
        processor=processor,
        train_rows=items,
        collator=MAttNetCollator(processor, labels, recipe.data.sentences_per_ref, seed=args.seed),
        eval_rows=eval_rows,
        evaluators=referring_evaluators(
            processor, protocol, interpolation, others=[comprehension], share=encode_images_once
        ),
        pretrained={name for name, _ in model.named_parameters() if name.startswith("detector.")},
    )


def encode_images_once(model: MAttNetForReferringSegmentation, inputs: dict) -> dict:
    """The inputs with the detector's features, for its own regions and for the annotated objects alike."""
    return in_place_of_images(inputs, detector_features=model.detector.get_image_features(**inputs))


def new_model(
    recipe: Recipe, args: RefSegTrainingArguments, rows: ReferringRows
) -> tuple[MAttNetProcessor, MAttNetForReferringSegmentation, "References"]:
    """A processor, a model over the detector of `weights.detector`, and the references it trains on."""
    weights = recipe.weights
    detector, image_processor = load_detector(weights.detector, "MAttNet chooses among the regions of", *DETECTORS)
    labels = recipe.model.get("attribute_labels")
    config = recipe.config() if labels is None else recipe.config(num_attributes=len(labels))
    references = read_references(rows, config)
    words = recipe.processor
    tokenizer = words.build_tokenizer(MAttNetProcessor, rows.vocabulary_texts(), max_length=config.max_length)
    processor = MAttNetProcessor(image_processor, tokenizer)
    set_seed(args.seed)  # the same initial weights whatever was read before
    model = AutoModel.from_config(
        recipe.config(
            detector_config=detector.config,
            vocab_size=len(tokenizer),
            region_size=detector.crop_channels,
            head_size=detector.config.head_size,
            grid_size=detector.config.crop_size,
            **attribute_options(references.attribute_counts),
        )
    )
    model.detector.load_state_dict(detector.state_dict())
    if weights.embeddings is not None:
        load_embeddings(model, tokenizer, weights.embeddings)
    return processor, model, references


@dataclass
class References:
    """
    Images with all of their references, and the attributes that these are said to have.

    Args:
        items: what [`MAttNetCollator`] takes.
        attribute_counts: how often each attribute occurs; empty where the model has none.
    """

    items: Sequence[dict]
    attribute_counts: dict[str, int]


def read_references(rows: ReferringRows, config: MAttNetConfig) -> References:
    """
    The references to the images of `rows`, and the attributes of `config.attribute_labels`, or else of the data set.

    RefShapes knows its attributes, of which those that no scene has are left out; for other data sets they are read out
    of the sentences (`training_attributes`), as the paper does.
    """
    wanted, labels = config.attributes and "subject" in config.modules, config.attribute_labels
    if rows.attribute_names:
        items = ImageReferences(rows)
        counts = dict.fromkeys(labels or rows.attribute_names, 0)
        for index in range(min(len(items), COUNTED_IMAGES) if wanted else 0):
            for ref in items[index]["refs"]:
                for word in set(ref["attributes"]) & counts.keys():
                    counts[word] += 1
        counts = {word: count for word, count in counts.items() if count or labels}
        return References(items, counts if wanted else {})
    if not wanted:
        return References(ImageReferences(rows), {})
    tagger, attributes = load_tagger(), {}
    for row in tqdm(rows.without_pictures(), "attributes", leave=False):
        attributes[row["ref_id"]] = ref_attributes([sentence["tokens"] for sentence in row["sentences"]], tagger)
    if labels is None:
        counts = attribute_vocabulary(attributes.values(), config.num_attributes, exclude=rows.categories)
    else:
        known = Counter(word for of_ref in attributes.values() for word in of_ref)
        counts = {word: known[word] for word in labels}
    return References(ImageReferences(rows, attributes), counts)


def attribute_options(counts: dict[str, int]) -> dict:
    """Fields of [`MAttNetConfig`] for attributes that occur so often."""
    if not counts:
        return {"num_attributes": 1}
    weights = attribute_weights(list(counts.values()))
    return {"num_attributes": len(counts), "attribute_labels": list(counts), "attribute_weights": weights}
