"""Processor of LSTM-CNN (Hu et al., ECCV 2016) and of Liu et al.'s LSTM baselines."""

from transformers.models.auto.image_processing_auto import AutoImageProcessor
from transformers.models.auto.processing_auto import AutoProcessor

from ...processing.image_processing import RefSegImageProcessor
from ...processing.processor import ReferringSegmentationProcessor, ReferringSegmentationProcessorKwargs
from .configuration_lstm_cnn import LstmCnnConfig


class LstmCnnImageProcessor(RefSegImageProcessor):
    """Hu et al.: letterbox of 512 x 512, VGG's ImageNet means (RGB, grey levels) and no division."""

    size = {"height": 512, "width": 512}
    image_mean = [123.68, 116.779, 103.939]
    image_std = [1.0, 1.0, 1.0]

    @classmethod
    def liu_baseline(cls, **kwargs) -> "LstmCnnImageProcessor":
        """R+LSTM and D+LSTM of Liu et al. 2017 read their images like RMI."""
        published = {
            "size": {"height": 320, "width": 320},
            "image_mean": [122.67891434, 116.66876762, 104.00698793],
        }
        return cls(**{**published, **kwargs})


class LstmCnnProcessorKwargs(ReferringSegmentationProcessorKwargs, total=False):
    _defaults = {"text_kwargs": {"padding": "max_length", "truncation": True, "add_special_tokens": False}}


class LstmCnnProcessor(ReferringSegmentationProcessor):
    """Images at 512 x 512; every expression padded in front to the tokenizer's `model_max_length` (20).

    Hu et al.'s LSTM reads the padding as words, so its length is part of the model. Liu et al.'s baselines skip it;
    theirs is `LstmCnnProcessor(LstmCnnImageProcessor.liu_baseline(), tokenizer)`.
    """

    valid_processor_kwargs = LstmCnnProcessorKwargs
    default_image_processor = LstmCnnImageProcessor


AutoImageProcessor.register(
    LstmCnnConfig, image_processor_classes={"torchvision": LstmCnnImageProcessor}, exist_ok=True
)
AutoProcessor.register(LstmCnnConfig, LstmCnnProcessor, exist_ok=True)

__all__ = ["LstmCnnImageProcessor", "LstmCnnProcessor"]
