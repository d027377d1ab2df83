"""Configuration of Recurrent Multimodal Interaction (Liu et al., ICCV 2017)."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from ..caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig
from ..checked_sizes import CheckedSizes


@strict
class RmiConfig(CheckedSizes, PreTrainedConfig):
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
        loss: "sum_over_cells" (published) or "weighted_mean", see [`hf_refseg.losses`].
        foreground_weight: weight of the foreground in "weighted_mean".
        background_weight: weight of the background in "weighted_mean".
        pad_token_id: id of the padding, which both LSTMs skip.
        max_length: longest expression in words; later words are cut off.
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
    loss: Literal["sum_over_cells", "weighted_mean"] = "sum_over_cells"
    foreground_weight: float | int = 1.0
    background_weight: float | int = 1.0
    pad_token_id: int = 0
    max_length: int = 20


__all__ = ["RmiConfig"]
