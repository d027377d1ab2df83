"""From the sections of a recipe to rows, processor and model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoConfig, AutoModel, AutoProcessor, PreTrainedModel
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils import logging

from ..data import ReferringSegmentationCollator, load
from ..processing.tokenization import tokenizer_from_sentences, tokenizer_from_vocabulary_file
from ..processing.word_vectors import initial_embeddings, load_word_vectors
from .initial_weights import load_backbone_weights, require_pretrained, require_same_config
from .parameter_scopes import frozen_parameter_names
from .regions import RegionCollator

logger = logging.get_logger(__name__)


@dataclass
class DataArguments:
    """Where the rows come from.

    Args:
        dataset: `"refshapes"` (drawn from a seed), `"refer_folder"` (RefCOCO's layout), `"coco"` (images with objects,
            for the detector) or `"published"`, whatever `hf_refseg.data.load` finds: built data sets, official files,
            the Hub.
        path: folder of a `refer_folder` or of `coco`; name or folder of a `published` one, e.g. `"refcoco_unc"`.
        images: folder of its pictures; None looks in `path/images` and where the REFER API keeps them.
        exclude_images: of `coco`, text file of images to leave out, see `load_coco_images`.
        partition: which `refs(<partition>).p` of the folder, e.g. `"unc"`; None where it has one only.
        streaming: read the training shards of a built data set one after the other, in the order of a buffer of
            `shuffle_buffer` rows, instead of mapping them into memory; needs `max_steps`.
        train_split, eval_split: names of splits.
        train_samples, eval_samples: number of rows; None takes all (RefShapes: 20000 and 1000).
        in_memory: make or read all rows once, before the training, and keep them.
        dialect, image_size, expression_types, shapes_seed: of RefShapes.
        eval_expression_types: expression types of RefShapes that are evaluated; None is all of the dialect.
        flip_probability: of the horizontal flip, which swaps left and right in the words too.
        sentence: which sentence of a row a training step reads: `"random"`, `"first"` or `"all"`.
        refs_per_scene, sentences_per_ref: of MAttNet, references asked for in each scene of RefShapes, and pairs made
            of each reference.
    """

    dataset: str = "refshapes"
    path: str | None = None
    images: str | None = None
    exclude_images: str | None = None
    partition: str | None = None
    streaming: bool = False
    shuffle_buffer: int = 1_000
    train_split: str = "train"
    eval_split: str = "val"
    train_samples: int | None = None
    eval_samples: int | None = None
    in_memory: bool = False
    dialect: str = "refcoco"
    image_size: int = 128
    expression_types: list[str] | None = None
    eval_expression_types: list[str] | None = None
    shapes_seed: int = 0
    flip_probability: float = 0.0
    sentence: str = "random"
    refs_per_scene: int = 3
    sentences_per_ref: int = 3


@dataclass
class ProcessorArguments:
    """What differs from the processor of the model's paper; None keeps the paper's.

    Args:
        size: side of the square network input in pixels; of a detector's, the short side.
        image_mean, image_std: RGB, in grey levels.
        interpolation: `"clean"` or `"paper"`, how images are resized.
        vocabulary: file of one word per line; None makes a vocabulary of the training sentences.
        min_count: how often a word must occur to enter that vocabulary.
    """

    size: int | None = None
    image_mean: list[float] | None = None
    image_std: list[float] | None = None
    interpolation: str | None = None
    vocabulary: str | None = None
    min_count: int = 1


@dataclass
class ModelArguments:
    """Which model, and which weights it starts from; every other key of the section belongs to its configuration.

    Args:
        model_type: e.g. `"refseg_rmi"`.
        checkpoint: folder or name of a model and processor to go on training; the configuration is the checkpoint's.
        initialise_from: folder of the previous stage, whose weights and vocabulary this model takes over (Hu et al.).
        backbone_checkpoint: folder of a backbone, or of a model of ours whose backbone and visual projection are taken.
        detector_checkpoint: folder, or shipped name, of MAttNet's trained detector.
        word_vectors: name or file of word vectors the embedding starts from, e.g. `"glove-wiki-gigaword-50"`.
    """

    model_type: str | None = None
    checkpoint: str | None = None
    initialise_from: str | None = None
    backbone_checkpoint: str | None = None
    detector_checkpoint: str | None = None
    word_vectors: str | None = None
    config: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_section(cls, section: dict[str, Any]) -> "ModelArguments":
        own = {name: section[name] for name in cls.__dataclass_fields__ if name in section}
        return cls(**own, config={name: value for name, value in section.items() if name not in own})


def build_rows(arguments: DataArguments, split: str, samples: int | None, expression_types=None) -> Sequence[dict]:
    """The rows of one split; a stream where the training split is to be streamed.

    Raises:
        ValueError: unknown dataset, or a `refer_folder` or `published` one without path.
    """
    rows = _open_rows(arguments, split, samples, expression_types)
    return rows.in_memory(f"rows of {split}") if arguments.in_memory else rows


def _open_rows(arguments: DataArguments, split: str, samples: int | None, expression_types) -> Sequence[dict]:
    if arguments.dataset == "refshapes":
        return load(
            f"refshapes/{arguments.dialect}",
            split,
            num_samples=samples,
            size=arguments.image_size,
            seed=arguments.shapes_seed,
            expression_types=expression_types,
            refs_per_scene=arguments.refs_per_scene,
        )
    if arguments.dataset not in ("refer_folder", "coco", "published"):
        raise ValueError(f"unknown dataset {arguments.dataset!r}: choose refshapes, refer_folder, coco or published")
    if arguments.path is None:
        wanted = {
            "refer_folder": "the folder of refs and instances.json",
            "coco": "COCO's folder",
            "published": "its name or folder",
        }
        raise ValueError(f"dataset {arguments.dataset} needs data.path: {wanted[arguments.dataset]}")
    options = {"images": arguments.images, "num_samples": samples}
    if arguments.dataset == "coco":
        return load("coco", split, root=arguments.path, exclude_images=arguments.exclude_images, **options)
    if arguments.streaming and split == arguments.train_split:
        options |= {"streaming": True, "shuffle_buffer": arguments.shuffle_buffer}
    return load(arguments.path, split, partition=arguments.partition, **options)


def training_sentences(arguments: DataArguments, rows: Sequence[dict]) -> Iterable[str]:
    """The text a vocabulary is made of; RefShapes knows all of its words without drawing a scene."""
    if arguments.dataset == "published":
        # Of the whole split, however many of its rows are trained on.
        rows = load(arguments.path, arguments.train_split, images=False, partition=arguments.partition)
    return rows.vocabulary_texts()


def build_config(arguments: ModelArguments, vocab_size: int | None = None):
    """The configuration a `model` section describes."""
    values = dict(arguments.config)
    if vocab_size is not None:
        values["vocab_size"] = vocab_size
    if isinstance(values.get("backbone_config"), dict):
        backbone = dict(values["backbone_config"])
        values["backbone_config"] = AutoConfig.for_model(backbone.pop("model_type"), **backbone)
    return CONFIG_MAPPING[arguments.model_type](**values)


def build_processor(arguments: ProcessorArguments, model: ModelArguments, sentences: Iterable[str]):
    """The processor of the model's family, with a vocabulary from a file, the previous stage or the sentences."""
    if model.checkpoint is not None:
        return AutoProcessor.from_pretrained(model.checkpoint)
    config = build_config(model)
    options = {"max_length": config.max_length}
    if arguments.vocabulary is not None:
        tokenizer = tokenizer_from_vocabulary_file(arguments.vocabulary, **options)
    elif model.initialise_from is not None:
        tokenizer = AutoProcessor.from_pretrained(model.initialise_from).tokenizer
    else:
        tokenizer = tokenizer_from_sentences(sentences, min_count=arguments.min_count, **options)
    logger.info(f"the vocabulary has {len(tokenizer)} words")
    processor_class = PROCESSOR_MAPPING[type(config)]
    image_processor = build_image_processor(arguments, processor_class.default_image_processor)
    return processor_class(image_processor, tokenizer)


def build_image_processor(arguments: ProcessorArguments, image_processor_class: type):
    """An image processor with the class's published settings, but for what a recipe says."""
    differences = {
        "size": arguments.size and image_processor_class.size_of_side(arguments.size),
        "image_mean": arguments.image_mean,
        "image_std": arguments.image_std,
        "interpolation": arguments.interpolation,
    }
    return image_processor_class(**{name: value for name, value in differences.items() if value is not None})


def build_model(arguments: ModelArguments, tokenizer, freeze: str = "none") -> PreTrainedModel:
    """The model with the weights it starts from.

    Args:
        tokenizer: of the processor; its length is the number of embedding rows.
        freeze: the scope of `FREEZE_SCOPES` that the training will leave as it is.

    Raises:
        ValueError: frozen weights that would stay random; weights or a configuration that do not fit.
    """
    if arguments.checkpoint is not None:
        model = AutoModel.from_pretrained(arguments.checkpoint)
        require_same_config(arguments.config, model.config, arguments.checkpoint)
        return model
    if arguments.initialise_from is not None:
        model_class = MODEL_MAPPING[CONFIG_MAPPING[arguments.model_type]]
        model = model_class.from_previous_stage(arguments.initialise_from, arguments.config["stage"])
        require_same_config(arguments.config, model.config, arguments.initialise_from)
        return model
    model, pretrained = AutoModel.from_config(build_config(arguments, len(tokenizer))), set()
    if arguments.backbone_checkpoint is not None:
        pretrained = load_backbone_weights(model, arguments.backbone_checkpoint)
    require_pretrained(frozen_parameter_names(model, freeze), pretrained)
    if arguments.word_vectors is not None:
        embedding = model.get_input_embeddings().weight
        vectors = load_word_vectors(arguments.word_vectors)
        embedding.data.copy_(initial_embeddings(tokenizer, vectors, dim=embedding.shape[1]))
    return model


def build_collators(arguments: DataArguments, processor, model: PreTrainedModel, seed: int):
    """The collators of training and of evaluation; Hu et al.'s region classifier has no masks to evaluate, so None."""
    if getattr(model.config, "stage", None) == "region":
        return RegionCollator(processor, seed=seed), None
    # A sentence of a data set may have no known word; it is counted all the same, as in the papers.
    options = {"processor_kwargs": {"allow_unknown": True}}
    train = ReferringSegmentationCollator(
        processor, arguments.flip_probability, arguments.sentence, seed=seed, **options
    )
    return train, ReferringSegmentationCollator(processor, sentence="all", **options)
