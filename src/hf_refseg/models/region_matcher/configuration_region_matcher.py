"""Configuration of the region matcher, a sibling of MAttNet for photos, made for this package."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from ..checked_sizes import CheckedSizes, require_detector
from ..nanodet.configuration_nanodet import NanoDetConfig


@strict
class RegionMatcherConfig(CheckedSizes, PreTrainedConfig):
    r"""
    Defaults are those of `refseg-photos`.

    Args:
        detector_config: of the detector that proposes regions and describes them: [`NanoDetConfig`] or
            [`MaskRcnnConfig`].
        vocab_size: words of the tokenizer.
        num_trained_words: how many of them, the first ones, occur in the training: only these learn a vector beside
            their fixed one.
        word_size: channels of a word vector.
        hidden_size: state of the LSTM over words, per direction.
        matching_size: channels in which a phrase and a region meet.
        pair_size: channels in which a phrase and a pair of regions meet.
        word_dropout: how often, in training, a word has to do without what was learned about it.
        dropout: inside of the modules.
        pixel_means, pixel_scales: RGB, of the image processor, by which pixels become colors again.
        color_levels: of each of red, green and blue that colors are counted by.
        target_iou: least IoU with what is meant at which a region counts as a right answer in training.
        category_weight, kind_weight, number_weight, color_weight: of the losses beside the choice: which category the
            words name, which regions are of this kind, whether the words mean several, and which region has the color
            that they name.
        nothing_threshold: probability of "none of them" above which an answer is empty.
        mask_size: cells per side of an answer's mask in its box.
        pad_token_id: id of the padding, which is skipped.
        max_length: longest expression in words; later words are cut off.
    """

    model_type = "refseg_region_matcher"
    sub_configs_defaults = {
        "detector_config": SubConfigSpec(config_class=AutoConfig, model_type=NanoDetConfig.model_type)
    }

    detector_config: dict | PreTrainedConfig | None = None
    vocab_size: int = 20000
    num_trained_words: int = 0
    word_size: int = 50
    hidden_size: int = 96
    matching_size: int = 128
    pair_size: int = 32
    word_dropout: float | int = 0.3
    dropout: float | int = 0.15
    pixel_means: list[float] | tuple[float, ...] = (123.675, 116.28, 103.53)
    pixel_scales: list[float] | tuple[float, ...] = (58.395, 57.12, 57.375)
    color_levels: int = 3
    target_iou: float | int = 0.4
    category_weight: float | int = 0.5
    kind_weight: float | int = 0.5
    number_weight: float | int = 0.2
    color_weight: float | int = 0.5
    nothing_threshold: float | int = 0.89
    mask_size: int = 112
    pad_token_id: int = 0
    max_length: int = 20

    def validate_architecture(self):
        super().validate_architecture()
        require_detector(self.detector_config, "refseg_mask_rcnn", NanoDetConfig.model_type)
        for name in ("hidden_size", "matching_size", "pair_size", "word_size", "mask_size", "max_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least 1")
        if self.color_levels < 2:
            raise ValueError(f"color_levels is {self.color_levels}; colors are told apart by 2 levels or more")
        if self.num_trained_words > self.vocab_size:
            raise ValueError(
                f"num_trained_words is {self.num_trained_words}, but there are only vocab_size={self.vocab_size} words"
            )
        if not 0 < self.nothing_threshold < 1:
            raise ValueError(f"nothing_threshold is {self.nothing_threshold}; it is a probability above 0 and below 1")
        if not 0 <= self.target_iou < 1:
            raise ValueError(f"target_iou is {self.target_iou}; it is at least 0 and below 1")


__all__ = ["RegionMatcherConfig"]
