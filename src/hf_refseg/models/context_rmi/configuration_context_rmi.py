"""Configuration of RMI with what we added for photos and little data."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from ..rmi.configuration_rmi import RmiConfig


@strict
class ContextRmiConfig(RmiConfig):
    r"""
    Defaults are those of the shipped `refseg-photos-rmi`. Fields that are not listed here are those of [`RmiConfig`].

    Args:
        backbone_config: any `AutoBackbone` configuration; its last feature map is what the words are compared with, its
            first the one of smaller stride. The default is MobileNetV2 with its DeepLabV3 head.
        num_trained_words: how many words, the first ones, the training taught; the embeddings of the others were made
            of those of their neighbors in a word table, and fine-tuning may still learn them. None: all.
        visual_size: channels of the projection of the backbone; must equal `word_embedding_size`.
        loss: "dice_and_cross_entropy", or one of RMI's.
        context_size: channels of the [`ContextDecoder`].
        detail_size: channels to which the decoder projects the backbone's first feature map, for sharper outlines; 0
            leaves it out.
        loss_size: "grid" compares the logits of the cells with a target made as small; "input" compares the enlarged
            logits with the mask itself, so that a coarse grid learns to draw outlines between its cells.

    Raises:
        ValueError: `visual_size` differs from `word_embedding_size`; there are fewer words than trained ones.
    """

    model_type = "refseg_context_rmi"
    sub_configs_defaults = {
        "backbone_config": SubConfigSpec(
            config_class=AutoConfig,
            model_type="refseg_mobilenet_v2",
            init_kwargs={"output_stride": 16, "num_labels": 21, "out_features": ["stage2", "deeplab"]},
        )
    }

    backbone_config: dict | PreTrainedConfig | None = None
    vocab_size: int = 7666
    num_trained_words: int | None = None
    word_embedding_size: int = 128
    lstm_hidden_size: int = 128
    visual_size: int = 128
    hidden_size: int = 128
    loss: Literal["dice_and_cross_entropy", "sum_over_cells", "weighted_mean"] = "dice_and_cross_entropy"
    context_size: int = 64
    detail_size: int = 32
    loss_size: Literal["grid", "input"] = "grid"

    def validate_architecture(self):
        super().validate_architecture()
        if (self.num_trained_words or 0) > self.vocab_size:
            raise ValueError(
                f"num_trained_words is {self.num_trained_words}, but there are only vocab_size={self.vocab_size} words"
            )
        if self.visual_size != self.word_embedding_size:
            raise ValueError(
                f"words are multiplied with visual features: visual_size is {self.visual_size}, word_embedding_size "
                f"{self.word_embedding_size}; make them equal"
            )


__all__ = ["ContextRmiConfig"]
