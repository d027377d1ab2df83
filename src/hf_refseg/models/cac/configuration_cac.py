"""Configuration of CAC (Chen et al., BMVC 2019)."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from ..checked_sizes import CheckedSizes, require_detector
from ..mask_rcnn.configuration_mask_rcnn import MaskRcnnConfig

FILTERS = ("whole", "up", "down", "left", "right", "horizontal", "vertical")
LOSSES = ("roi", "response", "caption")


@strict
class CacConfig(CheckedSizes, PreTrainedConfig):
    r"""
    Defaults are the published full model. The other rows of the paper's table are, as its code has them:

    | row | filters | coordinates | modulation | losses | caption_features |
    |---|---|---|---|---|---|
    | baseline | `("whole",)` | False | `"raw"` | `("roi",)` | |
    | + spatial coordinates (no code exists: our design) | `("whole",)` | True | `"raw"` | `("roi",)` | |
    | + spatial-aware filters | all seven | False | `"raw"` | `("roi",)` | |
    | + caption-aware consistency | all seven | False | `"raw"` | `("roi", "caption")` | `"object"` |
    | full model | all seven | False | `"sigmoid"` | `("roi", "response", "caption")` | `"before_and_after"` |

    Args:
        detector_config: [`MaskRcnnConfig`] of the detector whose feature map the words modulate.
        filters: parts of the image with a filter of their own, in this order. Several responses are fused by weights
            that the words generate too; a single one is used as it is.
        coordinates: let the filters read eight spatial coordinates beside the feature map.
        modulation: `"sigmoid"` multiplies the feature map by a probability, `"raw"` by the fused response itself,
            which may be negative.
        losses: terms of the training loss: `"roi"` the five of the detector, `"response"` that of the fused response
            against the mask, `"caption"` that of the captioner, which exists only with this term.
        vocab_size: words of the tokenizer; it depends on the data set.
        word_embedding_size: channels of a word embedding.
        word_vec_size: channels of a word after its layer.
        word_dropout: on word embeddings.
        hidden_size: state of the LSTM over words, per direction.
        caption_features: what the captioner reads: `"before_and_after"` the detector's head over the whole map before
            and after modulation, `"object"` over the modulated map with and without what lies outside the object.
        caption_grid_size: cells per side to which these maps are pooled.
        caption_word_size: channels of a word embedding of the captioner.
        caption_hidden_size: state of the captioner's LSTM.
        caption_attention_size: channels of its attention.
        caption_dropout: in the captioner: on words, cells and states.
        caption_loss_weight: weight of its loss, alpha in the paper.
        pad_token_id: id of the padding, which is skipped; captions begin and end with it.
        max_length: longest expression and caption in words: 10, or 20 for RefCOCOg; later words are cut off.
    """

    model_type = "refseg_cac"
    sub_configs_defaults = {
        "detector_config": SubConfigSpec(config_class=AutoConfig, model_type=MaskRcnnConfig.model_type)
    }

    detector_config: dict | PreTrainedConfig | None = None
    filters: list[Literal["whole", "up", "down", "left", "right", "horizontal", "vertical"]] | tuple[str, ...] = FILTERS
    coordinates: bool = False
    modulation: Literal["sigmoid", "raw"] = "sigmoid"
    losses: list[Literal["roi", "response", "caption"]] | tuple[str, ...] = LOSSES
    vocab_size: int = 2000
    word_embedding_size: int = 512
    word_vec_size: int = 512
    word_dropout: float | int = 0.5
    hidden_size: int = 512
    caption_features: Literal["before_and_after", "object"] = "before_and_after"
    caption_grid_size: int = 14
    caption_word_size: int = 512
    caption_hidden_size: int = 512
    caption_attention_size: int = 512
    caption_dropout: float | int = 0.5
    caption_loss_weight: float | int = 1.0
    pad_token_id: int = 0
    max_length: int = 10

    @property
    def num_proposals(self) -> int:
        """How many proposals are scored for an expression, the detector's `post_nms_top_n`: 300 in the paper.

        Most of the time of an answer goes into them, so that fewer are faster, and miss some objects.
        """
        return self.detector_config.post_nms_top_n

    @num_proposals.setter
    def num_proposals(self, number: int):
        self.detector_config.post_nms_top_n = number

    def validate_architecture(self):
        super().validate_architecture()
        require_detector(self.detector_config, MaskRcnnConfig.model_type)
        for name, known in (("filters", FILTERS), ("losses", LOSSES)):
            values = list(getattr(self, name))
            if not values or values != [value for value in known if value in values]:
                raise ValueError(f"{name} is {values}: give at least one of {list(known)}, each once, in this order")
        if self.caption_loss_weight <= 0:
            raise ValueError(
                f"caption_loss_weight is {self.caption_loss_weight}; it must be above 0. To train without the "
                'captioner, leave "caption" out of losses'
            )


__all__ = ["CacConfig"]
