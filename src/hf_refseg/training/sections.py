"""The sections of a recipe as dataclasses: a family's training reads the keys of its own and no others.

Each family composes its sections in `models/<family>/training_<family>.py` from those below, or with fields of its own.
None always means "not said"; what holds then is in the docstring.
"""

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import TokenizersBackend
from transformers.utils import logging

from ..data import ReferringRows, load
from ..processing.tokenization import split_words, tokenizer_from_sentences, tokenizer_from_vocabulary_file

logger = logging.get_logger(__name__)

SHUFFLE_BUFFER = 1_000


@dataclass(frozen=True)
class RecipeKeys:
    """
    What recipes of a family may say.

    Args:
        data, processor, weights, evaluation, stages: the dataclass of each section.
        parameter_scopes: the scopes that `training.freeze`, `weight_decay_scope`, `rate_factors` and
            `gradient_factors` may name, see `hf_refseg.training.parameter_scopes`.
        derived: {field of the configuration: what it follows from}; a recipe can't set these.
    """

    data: type
    processor: type
    weights: type
    evaluation: type
    stages: type
    parameter_scopes: Mapping[str, tuple[str, ...]]
    derived: Mapping[str, str] = field(default_factory=dict)


@dataclass
class NoSection:
    """A section of which a family reads nothing."""


@dataclass
class DataSection:
    """
    `data`: where the rows come from, in the words of `hf_refseg.data.load`.

    Args:
        dataset: name of a data set, such as `"refcoco_unc"` or `"refshapes/refcoco"`, or its folder.
        path: folder in which a named data set lies; without a name, the folder of the data set itself.
        images: folder of its pictures.
        partition: which partition of a folder that has several, e.g. `"unc"`.
        train_split, eval_split: names of splits.
        train_samples, eval_samples: only the first rows of a split, at most this many; of RefShapes, exactly this many.
        in_memory: read or draw all rows once, before the training, and keep them.
        image_size, shapes_seed, expression_types: `size`, `seed` and `expression_types` of RefShapes.
        eval_expression_types: those of the rows that are evaluated; None: the same as in the training.
        category_shares: of RefShapes, how often each category is drawn.
        skip_unreadable: read every picture first and leave out the rows that can't be read, telling how many.
        resize_pictures: make pictures of another size than annotated the annotated size.
    """

    dataset: str | None = None
    path: str | None = None
    images: str | None = None
    partition: str | None = None
    train_split: str = "train"
    eval_split: str = "val"
    train_samples: int | None = None
    eval_samples: int | None = None
    in_memory: bool = False
    image_size: int | None = None
    shapes_seed: int | None = None
    expression_types: list[str] | None = None
    eval_expression_types: list[str] | None = None
    category_shares: dict[str, float] | None = None
    skip_unreadable: bool = False
    resize_pictures: bool = False

    @property
    def name(self) -> str:
        """The data set, as `load` takes it.

        Raises:
            ValueError: the recipe names none.
        """
        name = self.dataset or self.path
        if name is None:
            raise ValueError(
                "the recipe names no data set: give --dataset (a name such as refcoco_unc or refshapes/refcoco) or "
                "--path (a folder)"
            )
        return name

    def train_rows(self, **options) -> ReferringRows:
        """The rows of the training; `options` of `load` that are particular to a family."""
        return self._rows("train", self.expression_types, options)

    def eval_rows(self, **options) -> ReferringRows:
        """The rows of the evaluation."""
        types = self.expression_types if self.eval_expression_types is None else self.eval_expression_types
        return self._rows("eval", types, options)

    def _rows(self, part: str, expression_types: list[str] | None, options: dict) -> ReferringRows:
        split, samples = getattr(self, f"{part}_split"), getattr(self, f"{part}_samples")
        if samples is not None and samples < 1:
            raise ValueError(f"data.{part}_samples is {samples}; give 1 or more, or null for all rows")
        given = {
            "root": self.path if self.dataset else None,
            "images": self.images,
            "partition": self.partition,
            "num_samples": samples,
            "size": self.image_size,
            "seed": self.shapes_seed,
            "expression_types": expression_types,
            "category_shares": self.category_shares,
            "skip_unreadable": self.skip_unreadable,
            "resize_pictures": self.resize_pictures,
            **options,
        }
        try:
            rows = load(self.name, split, **{name: value for name, value in given.items() if value is not None})
        except ValueError as error:
            names = {"image_size": "size", "shapes_seed": "seed", "path": "root"}
            here = [f"{ours} is its {theirs}" for ours, theirs in names.items() if getattr(self, ours) is not None]
            raise ValueError(f"data section of the recipe: {error} {', '.join(here)}".rstrip()) from error
        for what, number in {} if rows.is_stream else rows.notes.items():
            if number:
                logger.warning(f"{self.name} {split}: {number} {what}")
        return rows.in_memory(f"rows of {split}") if self.in_memory else rows


@dataclass
class StreamedDataSection(DataSection):
    """
    `data` of systems that can read their training rows one after the other.

    Args:
        streaming: do so; needs `max_steps`.
        shuffle_buffer: of a stream, rows among which the order is random; None: 1000. RefShapes has no use for it: 0.
    """

    streaming: bool = False
    shuffle_buffer: int | None = None

    def __post_init__(self):
        if self.shuffle_buffer is not None and not self.streaming:
            raise ValueError("data.shuffle_buffer is for data.streaming; rows with an index are shuffled anyway")

    def train_rows(self, **options) -> ReferringRows:
        if self.streaming:
            buffer = SHUFFLE_BUFFER if self.shuffle_buffer is None else self.shuffle_buffer
            options |= {"streaming": True, "shuffle_buffer": buffer}
        return super().train_rows(**options)


@dataclass
class SentenceDataSection(StreamedDataSection):
    """
    `data` of systems that learn from one expression and its mask at a time.

    Args:
        flip_probability: of the horizontal flip, which swaps left and right in the words too.
        sentence: which sentence of a row a training step reads: `"random"`, `"first"` or `"all"`.
    """

    flip_probability: float = 0.0
    sentence: str = "random"


@dataclass
class ImageProcessorSection:
    """
    `processor`: what differs from the paper's image processor; None keeps the paper's.

    Args:
        size: side of the square network input in pixels; of a detector's, the short side.
        image_mean, image_std: RGB, in gray levels.
        interpolation: `"clean"` or `"paper"`, how images are resized.
    """

    size: int | None = None
    image_mean: list[float] | None = None
    image_std: list[float] | None = None
    interpolation: str | None = None

    def image_options(self, image_processor_class: type) -> dict[str, Any]:
        """What is said here, as arguments of an image processor."""
        options = {
            "size": self.size and image_processor_class.size_of_side(self.size),
            "image_mean": self.image_mean,
            "image_std": self.image_std,
            "interpolation": self.interpolation,
        }
        return {name: value for name, value in options.items() if value is not None}


@dataclass
class VocabularySection:
    """
    `processor`: the words of a new model.

    Args:
        vocabulary: file of one word per line; None makes a vocabulary of the training sentences.
        min_count: how often a word must occur to enter that vocabulary; None: once.
    """

    vocabulary: str | None = None
    min_count: int | None = None

    def build_tokenizer(self, processor_class: type, sentences: Iterable[str], **options) -> TokenizersBackend:
        """A tokenizer as `processor_class` has it, with the words of the file or of the sentences.

        Args:
            options: of the tokenizer, such as `max_length`.
        """
        sentences = list(sentences)
        if self.vocabulary is None:
            options = {"padding_side": processor_class.padding_side, **options}
            tokenizer = tokenizer_from_sentences(sentences, min_count=self.min_count or 1, **options)
        elif self.min_count is not None:
            raise ValueError("processor.min_count is for a vocabulary made of sentences, not for that of a file")
        else:
            build = processor_class.tokenizer_from_vocabulary
            tokenizer = tokenizer_from_vocabulary_file(self.vocabulary, build, **options)
        tell_what_is_cut_off(tokenizer, sentences)
        return tokenizer

    def require_unsaid(self, source: str) -> None:
        """Raises ValueError where a vocabulary is asked for, but the weights of `source` bring theirs."""
        for name in ("vocabulary", "min_count"):
            if getattr(self, name) is not None:
                raise ValueError(f"{source} brings its own vocabulary: leave out processor.{name} (--{name} null)")


def tell_what_is_cut_off(tokenizer: TokenizersBackend, sentences: Iterable[str]) -> None:
    """Logs how many of the sentences of a training are longer than what the model reads of one."""
    longest, sentences = tokenizer.model_max_length, list(sentences)
    longest -= tokenizer.num_special_tokens_to_add() > 0  # the word that says where a phrase begins
    cut_off = sum(len(split_words(tokenizer, sentence)) > longest for sentence in sentences)
    if cut_off:
        logger.warning(
            f"{cut_off} of {len(sentences)} expressions are longer than the {longest} words that the model reads of "
            "one: their last words are left out"
        )


@dataclass
class ProcessorSection(VocabularySection, ImageProcessorSection):
    """`processor` of systems with a vocabulary and an image processor of their own."""


@dataclass
class WeightsSection:
    """
    `weights`: what a training starts from; what is not named starts at random.

    Args:
        all: folder or shipped name of a model with its processor, all of whose weights are taken.
    """

    all: str | None = None

    def __post_init__(self):
        others = [name for name, value in vars(self).items() if value is not None and name != "all"]
        if self.all is not None and others:
            raise ValueError(
                f"weights.all already gives every weight: leave out weights.{others[0]} (--weights.{others[0]} null)"
            )


@dataclass
class WordModelWeights(WeightsSection):
    """
    `weights` of systems with a backbone of their own.

    Args:
        backbone: folder of a backbone, or of a model of ours whose backbone and visual projection are taken.
        embeddings: name or file of word vectors that the embeddings start from, e.g. `"glove-wiki-gigaword-50"`.
    """

    backbone: str | None = None
    embeddings: str | None = None


@dataclass
class EvaluationSection:
    """
    `evaluation`: how masks are counted, in the words of `hf-refseg evaluate`.

    Args:
        protocol: name of a metric protocol; it also sets the threshold of the masks.
        interpolation: `"clean"` or `"paper"`, the way back to the size of the photo.
    """

    protocol: str = "hu2016"
    interpolation: str = "clean"


def section_keys(section: type) -> list[str]:
    """The keys of a section."""
    return [key.name for key in dataclasses.fields(section) if key.init]


def check_type(value: Any, hint: Any, where: str) -> None:
    """Raises ValueError for a value that is not of its type; types that a YAML file can't spell are not checked."""
    if not _fits(value, hint):
        wanted = str(getattr(hint, "__name__", hint)).replace("NoneType", "null").replace("None", "null")
        raise ValueError(f"{where} is {value!r}; expected {wanted}")


def _fits(value: Any, hint: Any) -> bool:
    kind, inside = typing.get_origin(hint), typing.get_args(hint)
    if kind in (types.UnionType, typing.Union):
        return any(_fits(value, part) for part in inside)
    if kind in (list, dict):
        values = value.values() if isinstance(value, dict) else value
        return isinstance(value, kind) and all(_fits(one, inside[-1]) for one in values)
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint if hint in (int, bool, str, list, dict, type(None)) else True


def read_section(section: type, values: Mapping[str, Any], where: str) -> Any:
    """A section from its values; a value that is a section itself (a stage) is read like one.

    Raises:
        ValueError: a key that the section does not have, or a value of another type.
    """
    known, hints, read = section_keys(section), typing.get_type_hints(section), {}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"unknown key {where}.{key}; there are {', '.join(known) or 'none'}")
        inner = [part for part in typing.get_args(hints[key]) if dataclasses.is_dataclass(part)]
        check_type(value, dict if inner else hints[key], f"{where}.{key}")
        read[key] = read_section(inner[0], value, f"{where}.{key}") if inner else value
    return section(**read)
