"""Configuration of LSTM-CNN (Hu et al., ECCV 2016) and of Liu et al.'s R+LSTM and D+LSTM baselines."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from ..checked_sizes import CheckedSizes
from ..vgg_fcn.configuration_vgg_fcn import VggFcnConfig


@strict
class LstmCnnConfig(CheckedSizes, PreTrainedConfig):
    r"""
    Defaults are Hu et al.'s published high-resolution stage. [`LstmCnnConfig.liu_baseline`] gives R+LSTM and D+LSTM.

    Args:
        backbone_config: any `AutoBackbone` configuration; its last feature map is used. Hu's is [`VggFcnConfig`],
            Liu's [`CaffeResNetConfig`].
        stage: Hu's "region" (classifies crops), "low_res" (segments on the grid, trained against the grid) and
            "high_res" (learned x32 deconvolution, trained at full size), or Liu's "bilinear" (trained on the grid,
            TensorFlow 1's bilinear enlargement).
        vocab_size: words of the tokenizer, 8803 for ReferIt, 12112 for Google's RefCOCOg, UNC and UNC+.
        word_embedding_size: channels of a word embedding.
        lstm_hidden_size: state of the LSTM over words.
        visual_size: channels of the 1x1 projection of the backbone (fc8 of Hu, ImageNet logits in R+, learned in D+).
        mlp_size: channels of the hidden layer of the classifier.
        skip_padding: leave the LSTM's state alone at padded steps (Liu); Hu's code reads padding as a word.
        loss: "weighted_mean" (Hu) or "sum_over_cells" (Liu), see [`hf_refseg.losses`].
        foreground_weight: weight of the foreground in "weighted_mean".
        background_weight: weight of the background in "weighted_mean": 1/3 in the high-res stage, 1 in the others.
        pad_token_id: id of the padding.
        max_length: longest expression in words; Hu's code pads every expression to it.
    """

    model_type = "refseg_lstm_cnn"
    attribute_map = {"hidden_size": "lstm_hidden_size"}
    sub_configs_defaults = {
        "backbone_config": SubConfigSpec(config_class=AutoConfig, model_type=VggFcnConfig.model_type)
    }

    backbone_config: dict | PreTrainedConfig | None = None
    stage: Literal["region", "low_res", "high_res", "bilinear"] = "high_res"
    vocab_size: int = 8803
    word_embedding_size: int = 1000
    lstm_hidden_size: int = 1000
    visual_size: int = 1000
    mlp_size: int = 500
    skip_padding: bool = False
    loss: Literal["weighted_mean", "sum_over_cells"] = "weighted_mean"
    foreground_weight: float | int = 1.0
    background_weight: float | int = 1 / 3
    pad_token_id: int = 0
    max_length: int = 20

    @classmethod
    def hu_stage(cls, stage: str, **kwargs) -> "LstmCnnConfig":
        """Hu et al.'s "region", "low_res" or "high_res" with the loss weights and fc6 padding of that stage."""
        kwargs.setdefault("background_weight", 1 / 3 if stage == "high_res" else 1.0)
        kwargs.setdefault("backbone_config", VggFcnConfig(fc6_padding=0 if stage == "region" else 3))
        return cls(stage=stage, **kwargs)

    @classmethod
    def liu_baseline(cls, **kwargs) -> "LstmCnnConfig":
        """R+LSTM and D+LSTM of Liu et al. 2017: Caffe ResNet-101, padding skipped, TF1 upsampling, summed loss."""
        published = {
            "backbone_config": {"model_type": "refseg_caffe_resnet"},
            "stage": "bilinear",
            "vocab_size": 12112,
            "skip_padding": True,
            "loss": "sum_over_cells",
        }
        return cls(**{**published, **kwargs})


__all__ = ["LstmCnnConfig"]
