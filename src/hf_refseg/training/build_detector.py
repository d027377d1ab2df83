"""From the sections of a recipe to the detector and what it is trained with."""

from collections.abc import Sequence

from transformers import AutoImageProcessor, AutoModel

from ..data.refshapes.scene import CATEGORIES
from ..models.mask_rcnn.configuration_mask_rcnn import MaskRcnnConfig
from ..models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from .build import DataArguments, ModelArguments, ProcessorArguments, build_config, build_image_processor
from .detection import DetectionCollator
from .initial_weights import load_backbone_weights, require_pretrained
from .parameter_scopes import frozen_parameter_names


def is_detector(model: ModelArguments) -> bool:
    """Whether a recipe trains the detector, which reads no words."""
    return model.model_type == MaskRcnnConfig.model_type


def dataset_categories(data: DataArguments, rows: Sequence[dict]) -> list[str]:
    """The names of what there is to detect, in the order of the model's labels."""
    if data.dataset == "refshapes":
        return list(CATEGORIES)
    return rows.category_names()


def build_detector(
    data: DataArguments, processor: ProcessorArguments, model: ModelArguments, rows: Sequence[dict], freeze: str
):
    """Image processor and model.

    Raises:
        ValueError: frozen weights that would stay random; an option that only models with words have.
    """
    for name in ("initialise_from", "word_vectors"):
        if getattr(model, name) is not None:
            raise ValueError(f"model.{name} is for models that read words; the detector has none")
    if processor.vocabulary is not None or processor.protocol is not None:
        raise ValueError("processor.vocabulary and processor.protocol are for models that read words")
    if model.checkpoint is not None:
        return AutoImageProcessor.from_pretrained(model.checkpoint), AutoModel.from_pretrained(model.checkpoint)
    section = {"id2label": dict(enumerate(dataset_categories(data, rows))), **model.config}
    config = build_config(ModelArguments(model_type=model.model_type, config=section))
    detector, pretrained = AutoModel.from_config(config), set()
    if model.backbone_checkpoint is not None:
        pretrained = load_backbone_weights(detector, model.backbone_checkpoint)
    require_pretrained(frozen_parameter_names(detector, freeze), pretrained)
    image_processor = build_image_processor(processor, MaskRcnnImageProcessor)
    return image_processor, detector


def build_detection_collators(data: DataArguments, image_processor, detector, seed: int):
    """The collators of training and of evaluation."""
    categories = [detector.config.id2label[label] for label in range(detector.config.num_labels)]
    train = DetectionCollator(image_processor, categories, data.flip_probability, seed)
    return train, DetectionCollator(image_processor, categories)
