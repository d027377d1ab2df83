"""From a recipe to everything a training needs: one function per kind of model, under one name."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm
from transformers import AutoImageProcessor, AutoModel, AutoProcessor, set_seed

from ..checkpoints import resolve_checkpoint
from ..data.image_references import ImageReferences
from ..losses import attribute_weights
from ..models.mask_rcnn.configuration_mask_rcnn import MaskRcnnConfig
from ..models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from ..models.mask_rcnn.modeling_mask_rcnn import MaskRcnnForInstanceSegmentation
from ..models.mattnet.attribute_words import attribute_vocabulary, load_tagger, ref_attributes
from ..models.mattnet.configuration_mattnet import MAttNetConfig
from ..models.mattnet.modeling_mattnet import MAttNetForReferringSegmentation
from ..models.mattnet.processing_mattnet import MAttNetProcessor
from ..models.mattnet.region_collator import MAttNetCollator
from ..processing.tokenization import tokenizer_from_sentences
from .arguments import RefSegTrainingArguments
from .build import (
    DataArguments,
    ModelArguments,
    ProcessorArguments,
    build_collators,
    build_config,
    build_image_processor,
    build_model,
    build_processor,
    build_rows,
    training_sentences,
)
from .checkpointing import last_complete_checkpoint
from .detection import DetectionCollator, DetectionTrainer
from .initial_weights import load_backbone_weights, require_pretrained
from .matching import MatchingTrainer
from .parameter_scopes import frozen_parameter_names
from .recipe import Recipe
from .trainer import ReferringSegmentationTrainer
from .word_naming import name_words

COUNTED_IMAGES = 2000  # from which the frequency of attributes is taken


@dataclass
class Task:
    """What a trainer of this class is made of."""

    trainer_class: type[ReferringSegmentationTrainer]
    model: Any
    processor: Any
    train_rows: Sequence[dict]
    eval_rows: Sequence[dict]
    train_collator: Any
    eval_collator: Any


def build_task(recipe: Recipe, args: RefSegTrainingArguments, resume: bool = False) -> Task:
    """
    The parts of a recipe's training.

    Args:
        resume: the training goes on from a checkpoint, so that a first stage is over.

    Raises:
        ValueError: options that do not fit the model or each other.
    """
    data, processor = DataArguments(**recipe.data), ProcessorArguments(**recipe.processor)
    model = ModelArguments.from_section(recipe.model)
    train_rows = build_rows(data, data.train_split, data.train_samples, data.expression_types)
    eval_types = data.eval_expression_types or data.expression_types
    eval_rows = build_rows(data, data.eval_split, data.eval_samples, eval_types)
    build = {MaskRcnnConfig.model_type: _detection, MAttNetConfig.model_type: _matching}.get(
        model.model_type, _segmentation
    )
    return build(data, processor, model, args, train_rows, eval_rows, resume)


def _segmentation(data, processor_arguments, model_arguments, args, train_rows, eval_rows, resume) -> Task:
    """Systems that draw a mask from the words: RMI, LSTM-CNN."""
    processor = build_processor(processor_arguments, model_arguments, training_sentences(data, train_rows))
    set_seed(args.seed)  # the same initial weights whatever was read before
    model = build_model(model_arguments, processor.tokenizer, "none" if args.naming_steps else args.freeze)
    if args.naming_steps and not (resume and last_complete_checkpoint(args.output_dir)):
        name_words(model, processor, train_rows, args.naming_steps, seed=args.seed, channels_last=args.channels_last)
    collators = build_collators(data, processor, model, args.seed)
    return Task(ReferringSegmentationTrainer, model, processor, train_rows, eval_rows, *collators)


def dataset_categories(data: DataArguments, rows: Sequence[dict]) -> list[str]:
    """The names of what there is to detect, in the order of the model's labels.

    Raises ValueError for a data set that does not tell all objects of its images.
    """
    if data.dataset not in ("refshapes", "coco"):
        raise ValueError(f"dataset {data.dataset!r} has no list of categories to detect: choose refshapes or coco")
    return rows.categories


def _detection(data, processor_arguments, model_arguments, args, train_rows, eval_rows, resume) -> Task:
    """The detector, which reads no words."""
    for name in ("initialise_from", "word_vectors", "detector_checkpoint"):
        if getattr(model_arguments, name) is not None:
            raise ValueError(f"model.{name} is for models that read words; the detector has none")
    set_seed(args.seed)
    if model_arguments.checkpoint is not None:
        image_processor = AutoImageProcessor.from_pretrained(model_arguments.checkpoint)
        model = AutoModel.from_pretrained(model_arguments.checkpoint)
    else:
        names = {"id2label": dict(enumerate(dataset_categories(data, train_rows)))}
        section = ModelArguments(model_type=model_arguments.model_type, config={**names, **model_arguments.config})
        model, pretrained = AutoModel.from_config(build_config(section)), set()
        if model_arguments.backbone_checkpoint is not None:
            pretrained = load_backbone_weights(model, model_arguments.backbone_checkpoint)
        require_pretrained(frozen_parameter_names(model, args.freeze), pretrained)
        image_processor = build_image_processor(processor_arguments, MaskRcnnImageProcessor)
    labels = model.config.id2label
    categories = [labels[label] for label in range(len(labels))]
    collators = (
        DetectionCollator(image_processor, categories, data.flip_probability, args.seed),
        DetectionCollator(image_processor, categories),
    )
    return Task(DetectionTrainer, model, image_processor, train_rows, eval_rows, *collators)


def _matching(data, processor_arguments, model_arguments, args, train_rows, eval_rows, resume) -> Task:
    """MAttNet, over a detector that stays as it is."""
    references = build_references(data, train_rows, model_arguments.config)
    if model_arguments.checkpoint is not None:
        processor = AutoProcessor.from_pretrained(model_arguments.checkpoint)
        model = AutoModel.from_pretrained(model_arguments.checkpoint)
    else:
        if model_arguments.detector_checkpoint is None:
            raise ValueError(
                "MAttNet chooses among the regions of a trained detector: give its folder as --detector_checkpoint, "
                "for instance runs/mask_rcnn_refshapes after python train.py configs/mask_rcnn_refshapes.yaml"
            )
        folder = resolve_checkpoint(model_arguments.detector_checkpoint)
        detector = MaskRcnnForInstanceSegmentation.from_pretrained(folder)
        image_processor = AutoImageProcessor.from_pretrained(folder)
        options = {"max_length": model_arguments.config.get("max_length", MAttNetConfig.max_length)}
        sentences = training_sentences(data, train_rows)
        tokenizer = tokenizer_from_sentences(
            sentences, min_count=processor_arguments.min_count, padding_side="right", **options
        )
        processor = MAttNetProcessor(image_processor, tokenizer)
        set_seed(args.seed)
        config = MAttNetConfig(
            detector_config=detector.config,
            vocab_size=len(tokenizer),
            region_size=detector.crop_channels,
            head_size=detector.config.head_size,
            grid_size=detector.config.crop_size,
            **{**model_arguments.config, **attribute_options(references.attribute_counts)},
        )
        model = MAttNetForReferringSegmentation(config)
        model.detector.load_state_dict(detector.state_dict())
    labels = model.config.attribute_labels if model.config.attributes else None
    collator = MAttNetCollator(processor, labels, data.sentences_per_ref, seed=args.seed)
    _, eval_collator = build_collators(data, processor, model, args.seed)
    return Task(MatchingTrainer, model, processor, references.items, eval_rows, collator, eval_collator)


@dataclass
class References:
    """
    Images with all of their references, and the attributes these are said to have.

    Args:
        items: what [`MAttNetCollator`] takes.
        attribute_counts: how often each attribute occurs; empty where the model has none.
    """

    items: Sequence[dict]
    attribute_counts: dict[str, int]


def build_references(data: DataArguments, rows: Sequence[dict], config: dict) -> References:
    """
    The references to the images of `rows`, and the attributes of `config.attribute_labels`, or of the data set.

    RefShapes knows its attributes, of which those that no scene has are left out, and gives several references to a
    scene; for others, attributes are read out of the sentences (`hf_refseg.models.mattnet.attribute_words`), as the
    paper does.

    Raises:
        ValueError: rows that are only a part of an image's references, or do not tell the objects of their image.
    """
    wanted = config.get("attributes", True) and "subject" in config.get("modules", ("subject",))
    words = config.get("attribute_labels")
    if data.in_memory:
        raise ValueError(
            "MAttNet chooses among all objects of an image, which these rows do not tell: use dataset refshapes or "
            "refer_folder, without data.in_memory"
        )
    if rows.attribute_names:
        items = ImageReferences(rows)
        counts = dict.fromkeys(words or rows.attribute_names, 0)
        for index in range(min(len(items), COUNTED_IMAGES) if wanted else 0):
            for ref in items[index]["refs"]:
                for word in set(ref["attributes"]) & counts.keys():
                    counts[word] += 1
        return References(items, {word: count for word, count in counts.items() if count or words} if wanted else {})
    if data.train_samples is not None:
        raise ValueError("data.train_samples would cut references off their images; leave it out for MAttNet")
    if not wanted:
        return References(ImageReferences(rows), {})
    tagger, attributes = load_tagger(), {}
    for row in tqdm(rows.without_pictures(), "attributes", leave=False):
        attributes[row["ref_id"]] = ref_attributes([sentence["tokens"] for sentence in row["sentences"]], tagger)
    number = config.get("num_attributes", MAttNetConfig.num_attributes)
    counts = attribute_vocabulary(attributes.values(), number, exclude=rows.categories)
    if words is not None:
        known = Counter(word for of_ref in attributes.values() for word in of_ref)
        counts = {word: known[word] for word in words}
    return References(ImageReferences(rows, attributes), counts)


def attribute_options(counts: dict[str, int]) -> dict:
    """Fields of [`MAttNetConfig`] for attributes that occur so often."""
    if not counts:
        return {"num_attributes": 1}
    weights = attribute_weights(list(counts.values()))
    return {"num_attributes": len(counts), "attribute_labels": list(counts), "attribute_weights": weights}
