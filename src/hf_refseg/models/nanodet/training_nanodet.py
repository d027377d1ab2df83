"""What a training of NanoDet's mask head is made of: boxes and categories keep the weights that they have."""

from dataclasses import dataclass

from transformers import AutoImageProcessor, AutoModel, set_seed

from ...training.arguments import RefSegTrainingArguments
from ...training.initial_weights import find_weights, load_exactly, load_whole_model
from ...training.recipe import Recipe
from ...training.sections import ImageProcessorSection, NoSection, RecipeKeys, WeightsSection
from ...training.task import TrainingTask
from ..mask_rcnn.training_mask_rcnn import DetectionCollator, ObjectDataSection, detection_evaluators, one_row_per_image
from .image_processing_nanodet import NanoDetImageProcessor
from .modeling_nanodet import NanoDetForInstanceSegmentation

PUBLISHED_PARTS = ("backbone", "heads")
OF_DETECTOR = ("backbone_config", "head_kernel_size", "head_depth", "num_bins", "id2label")


@dataclass
class NanoDetWeights(WeightsSection):
    """
    `weights` of NanoDet.

    Args:
        detector: folder of the detector that gets a new mask head, as `hf-refseg convert nanodet` writes it.
    """

    detector: str | None = None


KEYS = RecipeKeys(
    data=ObjectDataSection,  # of any categories
    processor=ImageProcessorSection,
    weights=NanoDetWeights,
    evaluation=NoSection,
    stages=NoSection,
    parameter_scopes={
        # All but biases.
        "kernels": (r".*\.weight",),
        # What finds boxes and categories, of which no loss is about.
        "detector": (r"backbone\..*", r"heads\..*"),
    },
    derived={**dict.fromkeys(OF_DETECTOR, "the detector"), "has_masks": "what is trained, the mask head"},
)


def build(recipe: Recipe, args: RefSegTrainingArguments) -> TrainingTask:
    """The parts of a training of the mask head.

    Raises:
        ValueError: no detector.
    """
    weights = recipe.weights
    rows = one_row_per_image(recipe.data.train_rows(exclude_images=recipe.data.exclude_images))
    eval_rows = one_row_per_image(recipe.data.eval_rows())
    options = recipe.processor.image_options(NanoDetImageProcessor)
    if weights.all is not None:
        folder = find_weights("all", weights.all, recipe.system.model_type)
        model = load_whole_model(weights.all, recipe.system.model_type, recipe.model)
        pretrained = {name for name, _ in model.named_parameters()}
    else:
        if weights.detector is None:
            raise ValueError(
                "the mask head is trained over a detector: give its folder as --detector, as hf-refseg convert nanodet "
                "writes it"
            )
        folder = find_weights("detector", weights.detector, recipe.system.model_type)
        model = with_new_mask_head(recipe, folder, args.seed)
        pretrained = {name for name, _ in model.named_parameters() if name.startswith(PUBLISHED_PARTS)}
    image_processor = AutoImageProcessor.from_pretrained(folder, **options)
    categories = [model.config.id2label[label] for label in range(model.config.num_labels)]
    return TrainingTask(
        model=model,
        processor=image_processor,
        train_rows=rows,
        # categories of the data, since masks are learned of things that the detector has no name for too
        collator=DetectionCollator(image_processor, rows.categories, seed=args.seed, **recipe.data.changes),
        eval_rows=eval_rows,
        evaluators=detection_evaluators(image_processor, categories),
        pretrained=pretrained,
    )


def with_new_mask_head(recipe: Recipe, folder: str, seed: int) -> NanoDetForInstanceSegmentation:
    """The detector of a folder with a mask head of random weights, whether it has one or not."""
    detector = NanoDetForInstanceSegmentation.from_pretrained(folder)
    set_seed(seed)
    model = AutoModel.from_config(
        recipe.config(**{name: getattr(detector.config, name) for name in OF_DETECTOR}, has_masks=True)
    )
    for part in PUBLISHED_PARTS:
        load_exactly(
            model.get_submodule(part), detector.get_submodule(part).state_dict(), f"weights.detector: {folder}"
        )
    return model
