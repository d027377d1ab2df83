"""What a training of the region matcher is made of: a detector that stays as it is, and regions that are found once."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModel, TokenizersBackend, set_seed

from ...data import ReferringRows
from ...evaluation.evaluators import referring_evaluators
from ...processing.tokenization import SPECIAL_TOKENS, build_tokenizer, split_words
from ...processing.word_vectors import load_word_vectors
from ...training.arguments import RefSegTrainingArguments
from ...training.initial_weights import load_detector, load_processor, load_whole_model
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
from .modeling_region_matcher import RegionMatcherForReferringSegmentation
from .processing_region_matcher import RegionMatcherProcessor
from .region_views import RegionViewCollator, RegionViews

DETECTORS = ("refseg_nanodet", "refseg_mask_rcnn")  # among whose regions it can choose
VECTOR_LENGTH = 3.5  # mean length of the fixed word vectors: numbers of the size that layers expect
MOST_REGIONS = 40  # of an image; those beyond are unsure and small, and pairs grow with the square
VIEWS_FILE = "region_views.safetensors"


@dataclass
class RegionMatcherDataSection(DataSection):
    """
    `data` of the region matcher: rows of a data set that lists the objects of its images.

    Args:
        views_per_image: as it is, mirrored, and both again in other light: 1 to 4.
        expressions_per_view: sentences that a step reads about each view.
        written: sources of rows whose sentences people wrote; the others are made. None: all are written.
        only_written: leave out images about which nothing was written.
        written_share: how many of the sentences of a step are drawn among written ones, where an image has both.
        absent_share: how many of them are about a thing of another image that is not in this one. Rows say with
            `labeled` of which categories all objects are listed; without it none is known to be absent.
        views_file: where the regions are kept, so that another training need not find them again; None: in the folder
            of the training.
    """

    views_per_image: int = 4
    expressions_per_view: int = 8
    written: list[str] | None = None
    only_written: bool = False
    written_share: float = 0.7
    absent_share: float = 0.15
    views_file: str | None = None

    def __post_init__(self):
        if not 1 <= self.views_per_image <= 4:
            raise ValueError(f"data.views_per_image is {self.views_per_image}; there are 1 to 4 views of an image")
        for name in ("written_share", "absent_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"data.{name} is {getattr(self, name)}; it is a share between 0 and 1")
        if self.expressions_per_view < 1:
            raise ValueError(f"data.expressions_per_view is {self.expressions_per_view}; give 1 or more")


@dataclass
class RegionMatcherWeights(WeightsSection):
    """
    `weights` of the region matcher.

    Args:
        detector: folder, or shipped name, of the trained detector that it chooses among the regions of.
        embeddings: name or file of word vectors, e.g. `"glove-20k"`. Their words are added to those of the training,
            as many as `model.vocab_size` says.
    """

    detector: str | None = None
    embeddings: str | None = None


KEYS = RecipeKeys(
    data=RegionMatcherDataSection,
    processor=VocabularySection,
    weights=RegionMatcherWeights,
    evaluation=EvaluationSection,
    stages=NoSection,
    parameter_scopes={
        # All but biases, and what stands for one word or category.
        "kernels": (r"matching\.(?!categories\.names|reader\.vectors).*\.weight\w*",),
    },
    derived={
        "num_trained_words": "the sentences of the training",
        **dict.fromkeys(("detector_config", "pixel_means", "pixel_scales"), "the detector"),
        "word_size": "the word vectors",
    },
)


def build(recipe: Recipe, args: RefSegTrainingArguments) -> TrainingTask:
    """The parts of a training, over a detector that stays as it is.

    Raises:
        ValueError: no detector or word vectors, or rows that do not list the objects of their images.
    """
    data = recipe.data
    rows = data.train_rows()
    if data.only_written:
        rows = written_about(rows, set(data.written or ()))
    rows.instances_of(0)  # raises at once where the data set does not list them
    if recipe.weights.all is not None:
        processor = load_processor(recipe.weights.all, rows.vocabulary_texts(), recipe.processor)
        model = load_whole_model(recipe.weights.all, recipe.system.model_type, recipe.model)
    else:
        processor, model = new_model(recipe, args, rows)
    eval_rows = data.eval_rows()
    views = RegionViews(
        rows,
        model.eval().to(args.device),
        processor.image_processor,
        num_views=data.views_per_image,
        written=data.written or (),
        file=data.views_file or Path(args.output_dir) / VIEWS_FILE,
        num_workers=args.dataloader_num_workers,
    )
    evaluation = recipe.evaluation
    return TrainingTask(
        model=model,
        processor=processor,
        train_rows=views.worth_reading(),
        collator=RegionViewCollator(
            processor.tokenizer,
            data.expressions_per_view,
            data.written_share,
            data.absent_share,
            views.sentences,
            seed=args.seed,
        ),
        eval_rows=eval_rows,
        evaluators=referring_evaluators(processor, evaluation.protocol, evaluation.interpolation),
        pretrained={name for name, _ in model.named_parameters() if name.startswith("detector.")},
    )


def written_about(rows: ReferringRows, written: set[str]) -> ReferringRows:
    """The rows of images of which at least one row is of these sources.

    Raises:
        ValueError: there are none.
    """
    kept = set(rows.of_sources(written).image_ids())
    return rows.select([index for index, image_id in enumerate(rows.image_ids()) if image_id in kept])


def new_model(
    recipe: Recipe, args: RefSegTrainingArguments, rows: ReferringRows
) -> tuple[RegionMatcherProcessor, RegionMatcherForReferringSegmentation]:
    """A processor with the words of the training and of the word vectors, and a model over the detector."""
    weights = recipe.weights
    detector, image_processor = load_detector(
        weights.detector, "the region matcher chooses among the regions of", *DETECTORS
    )
    detector.config.max_detections = min(detector.config.max_detections, MOST_REGIONS)
    if weights.embeddings is None:
        raise ValueError("the region matcher reads fixed word vectors: give --embeddings glove-20k, or a file of them")
    vectors = load_word_vectors(weights.embeddings)
    wanted = recipe.config()
    tokenizer, num_trained = word_tokenizer(
        recipe.processor, rows.vocabulary_texts(), vectors, wanted.vocab_size, wanted.max_length
    )
    set_seed(args.seed)  # the same initial weights whatever was read before
    model = AutoModel.from_config(
        recipe.config(
            detector_config=detector.config,
            vocab_size=len(tokenizer),
            num_trained_words=num_trained,
            word_size=vectors.vector_size,
            pixel_means=list(image_processor.image_mean),
            pixel_scales=list(image_processor.image_std),
        )
    )
    model.detector.load_state_dict(detector.state_dict())
    set_word_vectors(model, tokenizer, vectors)
    return RegionMatcherProcessor(image_processor, tokenizer), model


def word_tokenizer(
    words: VocabularySection, sentences: Iterable[str], vectors, vocab_size: int, max_length: int
) -> tuple[TokenizersBackend, int]:
    """
    A tokenizer of the words of the training, and after them of the most frequent others that have a vector.

    Returns:
        it, and how many of its words, the first ones, are those of the training.
    """
    own = words.build_tokenizer(RegionMatcherProcessor, sentences, max_length=max_length)
    vocabulary = sorted(own.get_vocab(), key=own.get_vocab().get)
    known, rule = set(vocabulary), build_tokenizer(list(SPECIAL_TOKENS))
    others = [word for word in vectors.key_to_index if word not in known and split_words(rule, word) == [word]]
    vocabulary += others[: max(0, vocab_size - len(vocabulary))]
    padding_side = RegionMatcherProcessor.padding_side
    return build_tokenizer(vocabulary, padding_side=padding_side, max_length=max_length), len(own)


def set_word_vectors(model: RegionMatcherForReferringSegmentation, tokenizer: TokenizersBackend, vectors) -> None:
    """Give the model the fixed vectors of its words and of the names of its detector's categories."""
    length = float(torch.tensor(vectors.vectors[:1000]).float().norm(dim=1).mean())

    def vector_of(words: Iterable[str]) -> torch.Tensor:
        found = [torch.tensor(vectors[word]).float() for word in words if word in vectors]
        return torch.stack(found).mean(0) * (VECTOR_LENGTH / length) if found else torch.zeros(vectors.vector_size)

    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    model.matching.reader.vectors.set_fixed(torch.stack([vector_of([word]) for word in vocabulary]))
    names = model.config.detector_config.id2label
    model.matching.categories.set_names([vector_of(names[label].split()) for label in range(len(names))])
