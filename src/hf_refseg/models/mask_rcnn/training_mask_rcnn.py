"""What a training of the detector is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import AutoImageProcessor, AutoModel, set_seed

from ...data import ReferringRows
from ...data.augment import flip_row
from ...data.crops import crop_row
from ...data.objects import object_labels
from ...data.pasting import paste_objects
from ...data.row_draws import RowDraws
from ...data.schema import decode_mask
from ...evaluation.evaluators import DetectionEvaluator, Evaluators
from ...training.arguments import RefSegTrainingArguments
from ...training.initial_weights import find_weights, load_backbone_weights, load_whole_model
from ...training.recipe import Recipe
from ...training.sections import DataSection, ImageProcessorSection, NoSection, RecipeKeys, WeightsSection
from ...training.task import TrainingTask
from .image_processing_mask_rcnn import MaskRcnnImageProcessor


@dataclass
class ObjectDataSection(DataSection):
    """
    `data` of what learns from rows that list the objects of their images.

    Args:
        exclude_images: of COCO, text file of images to leave out of the training, see `load_coco_images`.
        flip_probability: share of the rows that are mirrored.
        crop_probability: share of the rows of which a random part is seen, in other light.
        paste_probability: share of the rows into which objects of another row are pasted.
    """

    exclude_images: str | None = None
    flip_probability: float = 0.0
    crop_probability: float = 0.0
    paste_probability: float = 0.0

    @property
    def changes(self) -> dict[str, float]:
        """How often a [`DetectionCollator`] changes what it is given."""
        return {
            "flip_probability": self.flip_probability,
            "crop_probability": self.crop_probability,
            "paste_probability": self.paste_probability,
        }


@dataclass
class DetectionDataSection(ObjectDataSection):
    """
    `data` of the detector.

    Args:
        num_categories: only so many categories, from the beginning of the data set's list, which for PhraseCut is by
            frequency; things of other categories are left out. None: all.
    """

    num_categories: int | None = None


@dataclass
class DetectorWeights(WeightsSection):
    """
    `weights` of the detector.

    Args:
        backbone: folder of a backbone, or of a model of ours whose backbone is taken.
    """

    backbone: str | None = None


KEYS = RecipeKeys(
    data=DetectionDataSection,
    processor=ImageProcessorSection,
    weights=DetectorWeights,
    evaluation=NoSection,
    stages=NoSection,
    parameter_scopes={
        # All but biases.
        "kernels": (r".*\.weight",),
        # conv1 and layer1 of the ResNet; all of its normalizations are frozen anyway.
        "stem_and_first_stage": (r"backbone\.stem\..*", r"backbone\.stages\.0\..*"),
    },
)


def build(recipe: Recipe, args: RefSegTrainingArguments) -> TrainingTask:
    """The parts of a training of the detector, which reads no words.

    Raises:
        ValueError: a data set without categories to detect.
    """
    rows = one_row_per_image(recipe.data.train_rows(exclude_images=recipe.data.exclude_images))
    eval_rows = one_row_per_image(recipe.data.eval_rows())
    names = rows.categories
    if recipe.data.num_categories is not None:
        names = names[: recipe.data.num_categories]
        rows, eval_rows = RowsOfCategories(rows, names), RowsOfCategories(eval_rows, names)
    weights = recipe.weights
    set_seed(args.seed)
    if weights.all is not None:
        folder = find_weights("all", weights.all, recipe.system.model_type)
        options = recipe.processor.image_options(MaskRcnnImageProcessor)
        image_processor = AutoImageProcessor.from_pretrained(folder, **options)
        model = load_whole_model(weights.all, recipe.system.model_type, recipe.model)
        pretrained = {name for name, _ in model.named_parameters()}
    else:
        model, pretrained = AutoModel.from_config(recipe.config(id2label=dict(enumerate(names)))), set()
        if weights.backbone is not None:
            pretrained = load_backbone_weights(model, weights.backbone, ("backbone",))
        image_processor = MaskRcnnImageProcessor(**recipe.processor.image_options(MaskRcnnImageProcessor))
    categories = [model.config.id2label[label] for label in range(model.config.num_labels)]
    return TrainingTask(
        model=model,
        processor=image_processor,
        train_rows=rows,
        collator=DetectionCollator(image_processor, categories, seed=args.seed, **recipe.data.changes),
        eval_rows=eval_rows,
        evaluators=detection_evaluators(image_processor, categories),
        pretrained=pretrained,
    )


def one_row_per_image(rows: ReferringRows) -> ReferringRows:
    """The first row of each image, with its objects: data sets of expressions have several rows of an image."""
    first: dict[int, int] = {}
    for index, image_id in enumerate(rows.image_ids()):
        first.setdefault(image_id, index)
    rows = rows if len(first) == len(rows) else rows.select(list(first.values()))
    return rows.with_instances()


class RowsOfCategories(Sequence):
    """Rows with `instances`, of which only those of some categories are kept.

    Args:
        rows: of the one schema.
        categories: names of those that are kept.
    """

    def __init__(self, rows: ReferringRows, categories: Sequence[str]):
        self.rows, self.categories = rows, frozenset(categories)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        row = self.rows[index]
        return row | {"instances": [thing for thing in row["instances"] if thing["category"] in self.categories]}


class DetectionCollator(RowDraws):
    """Rows of the one schema with `instances` -> inputs and labels of [`MaskRcnnForInstanceSegmentation`].

    Args:
        image_processor: the detector's.
        categories: names in the order of the model's labels (`config.id2label`).
        flip_probability: share of rows that are mirrored.
        crop_probability: share of rows of which a random part is seen, in other light.
        paste_probability: share of rows into which objects of the next row of the batch are pasted.
        seed: another seed, other draws.

    Raises (on call):
        ValueError: a row without the field `instances`, or with a category that the model does not have.
    """

    def __init__(
        self,
        image_processor,
        categories: Sequence[str],
        flip_probability: float = 0.0,
        crop_probability: float = 0.0,
        paste_probability: float = 0.0,
        seed: int = 0,
    ):
        super().__init__(seed)
        self.image_processor = image_processor
        self.flip_probability, self.crop_probability = flip_probability, crop_probability
        self.paste_probability = paste_probability
        self.labels = {name: label for label, name in enumerate(categories)}

    def __call__(self, rows: Sequence[dict]) -> dict:
        images, annotations = [], []
        for row, donor in zip(rows, [*rows[1:], rows[0]], strict=True):
            object_labels(row, self.labels)  # of the whole picture, so that a wrong row is refused whatever is drawn
            draws = self.draws_of(row)
            if draws.random() < self.flip_probability:
                row = flip_row(row)
            if draws.random() < self.crop_probability:
                row = crop_row(row, draws)
            if draws.random() < self.paste_probability:
                row = paste_objects(row, donor, draws)
            masks = [decode_mask(thing["mask"]) for thing in row["instances"]]
            images.append(row["image"])
            annotations.append(
                {
                    "boxes": [thing["box"] for thing in row["instances"]],
                    "masks": np.stack(masks) if masks else np.zeros((0, row["height"], row["width"]), bool),
                    "class_labels": object_labels(row, self.labels),
                }
            )
        return dict(self.image_processor(images, annotations=annotations, return_tensors="pt"))


class EvaluationImages:
    """Numbered rows -> a batch of [`Evaluators`] with the images alone.

    Args:
        image_processor: the detector's.
    """

    def __init__(self, image_processor):
        self.image_processor = image_processor

    def __call__(self, numbered_rows: list[tuple[int, dict]]) -> dict:
        numbers, rows = zip(*numbered_rows, strict=True)
        inputs = dict(self.image_processor([row["image"] for row in rows], return_tensors="pt"))
        return {"inputs": inputs, "numbers": list(numbers), "rows": rows}


def detection_evaluators(image_processor, categories: Sequence[str]) -> Evaluators:
    """The evaluators of a detector: COCO's average precision. Arguments as of [`DetectionEvaluator`]."""
    return Evaluators(EvaluationImages(image_processor), [DetectionEvaluator(image_processor, categories)])
