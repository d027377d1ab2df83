"""Configuration of Recurrent Multimodal Interaction (Liu et al., ICCV 2017)."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from ..caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig


@strict
class RmiConfig(PreTrainedConfig):
    r"""
    Defaults are the published R+RMI and D+RMI.

    Args:
        backbone_config: any `AutoBackbone` configuration; its last feature map is used. The papers' is
            [`CaffeResNetConfig`].
        vocab_size: words of the tokenizer, 12112 for Google's RefCOCOg, UNC and UNC+, 8803 for ReferIt.
        word_embedding_size: channels of a word embedding.
        lstm_hidden_size: state of the LSTM over words.
        visual_size: channels of the 1x1 projection of the backbone (ImageNet logits in R+, learned in D+).
        hidden_size: state of the multimodal LSTM in every cell.
        loss: "sum_over_cells" (published), "weighted_mean" or "dice_and_cross_entropy", see [`hf_refseg.losses`].
        foreground_weight: weight of the foreground in "weighted_mean".
        background_weight: weight of the background in "weighted_mean".
        pad_token_id: id of the padding, which both LSTMs skip.
        max_length: longest expression in words; later words are cut off.
        word_similarity: additions to the paper, all off by default, made for photos and little data. This one gives
            every cell the product of its visual feature and the word as one more input of the multimodal LSTM;
            `visual_size` must equal `word_embedding_size`.
        context_size: channels of a [`ContextDecoder`] in place of the 1x1 classifier; 0 keeps the paper's.
        detail_size: channels to which that decoder projects the backbone's first feature map, of smaller stride than
            the last, for sharper outlines; 0 leaves it out.
        loss_size: "grid" (published) compares the logits of the cells with a target made as small; "input" compares the
            enlarged logits with the mask itself, so that a coarse grid learns to draw outlines between its cells.
    """

    model_type = "refseg_rmi"
    sub_configs_defaults = {
        "backbone_config": SubConfigSpec(config_class=AutoConfig, model_type=CaffeResNetConfig.model_type)
    }

    backbone_config: dict | PreTrainedConfig | None = None
    vocab_size: int = 12112
    word_embedding_size: int = 1000
    lstm_hidden_size: int = 1000
    visual_size: int = 1000
    hidden_size: int = 500
    loss: Literal["sum_over_cells", "weighted_mean", "dice_and_cross_entropy"] = "sum_over_cells"
    foreground_weight: float | int = 1.0
    background_weight: float | int = 1.0
    pad_token_id: int = 0
    max_length: int = 20
    word_similarity: bool = False
    context_size: int = 0
    detail_size: int = 0
    loss_size: Literal["grid", "input"] = "grid"

    def validate_architecture(self):
        super().validate_architecture()
        if self.word_similarity and self.visual_size != self.word_embedding_size:
            raise ValueError(
                f"word_similarity multiplies words and visual features: visual_size is {self.visual_size}, "
                f"word_embedding_size {self.word_embedding_size}; make them equal"
            )
        if self.detail_size and not self.context_size:
            raise ValueError(f"detail_size={self.detail_size} needs a decoder to go into: set context_size, e.g. 64")


__all__ = ["RmiConfig"]
