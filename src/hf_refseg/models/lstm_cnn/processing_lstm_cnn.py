"""Processor of LSTM-CNN (Hu et al., ECCV 2016) and of Liu et al.'s LSTM baselines."""

from ...processing.processor import ReferringSegmentationProcessor, ReferringSegmentationProcessorKwargs
from .image_processing_lstm_cnn import LstmCnnImageProcessor


class LstmCnnProcessorKwargs(ReferringSegmentationProcessorKwargs, total=False):
    _defaults = {"text_kwargs": {"padding": "max_length", "truncation": True, "add_special_tokens": False}}


class LstmCnnProcessor(ReferringSegmentationProcessor):
    """Images at 512 x 512; every expression padded in front to the tokenizer's `model_max_length` (20).

    Hu et al.'s LSTM reads the padding as words, so its length is part of the model. Liu et al.'s baselines skip it;
    theirs is `LstmCnnProcessor(LstmCnnImageProcessor.liu_baseline(), tokenizer)`.
    """

    valid_processor_kwargs = LstmCnnProcessorKwargs
    default_image_processor = LstmCnnImageProcessor


__all__ = ["LstmCnnProcessor"]
