"""Configuration of MAttNet (Yu et al., CVPR 2018)."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from ..checked_sizes import CheckedSizes, require_detector
from ..mask_rcnn.configuration_mask_rcnn import MaskRcnnConfig

MODULES = ("subject", "location", "relationship")


@strict
class MAttNetConfig(CheckedSizes, PreTrainedConfig):
    r"""
    Defaults are the published MAttNet (`mrcn_cmr_with_st` of its code).

    Args:
        detector_config: of the detector that proposes regions and gives their features: [`MaskRcnnConfig`], or
            [`NanoDetConfig`] with a mask head.
        modules: which of the paper's modules are there, in this order; the ablation rows leave some out.
        attributes: whether the subject module predicts attributes (and is trained on them).
        vocab_size: words of the tokenizer; it depends on the data set.
        word_embedding_size: channels of a word embedding.
        word_vec_size: channels of a word after its layer, which is also what phrases are averages of.
        word_dropout: on word embeddings.
        hidden_size: state of the LSTM over words, per direction.
        grid_size: side of the grid of features over a region.
        region_size: channels of a region's crop of the feature map, "C3" in the paper.
        head_size: channels of the detector's head over that crop, "C4" in the paper.
        visual_dropout: on what the attributes are read from.
        matching_size: channels of every embedding of the three modules.
        matching_dropout: inside the perceptrons of the matching functions.
        init_norm: length to which features of different kinds are scaled before they are joined, at the start.
        num_neighbors: same-category regions of the location module, and neighbors of the relationship module.
        same_category_neighbors: whether regions of the same category fill up the neighbors of the relationship
            module, after those of other categories.
        num_attributes: attributes the subject module knows.
        attribute_labels: their words, as many; None where they are not known.
        attribute_weights: weight of each attribute in its loss, see [`hf_refseg.losses.attribute_weights`]; None: 1.
        attribute_loss_weight: weight of the attribute loss.
        rank_margin: by how much the right pair should score higher than a wrong one.
        visual_rank_weight: weight of the pairs with a wrong region.
        language_rank_weight: weight of the pairs with a wrong sentence.
        pad_token_id: id of the padding, which is skipped.
        max_length: longest expression in words in training: 10, or 20 for RefCOCOg; later words are cut off.
    """

    model_type = "refseg_mattnet"
    attribute_map = {  # as earlier checkpoints spell them
        "num_neighbours": "num_neighbors",
        "same_category_neighbours": "same_category_neighbors",
    }
    sub_configs_defaults = {
        "detector_config": SubConfigSpec(config_class=AutoConfig, model_type=MaskRcnnConfig.model_type)
    }

    detector_config: dict | PreTrainedConfig | None = None
    modules: list[Literal["subject", "location", "relationship"]] | tuple[str, ...] = MODULES
    attributes: bool = True
    vocab_size: int = 2000
    word_embedding_size: int = 512
    word_vec_size: int = 512
    word_dropout: float | int = 0.5
    hidden_size: int = 512
    grid_size: int = 7
    region_size: int = 1024
    head_size: int = 2048
    visual_dropout: float | int = 0.2
    matching_size: int = 512
    matching_dropout: float | int = 0.1
    init_norm: float | int = 20.0
    num_neighbors: int = 5
    same_category_neighbors: bool = True
    num_attributes: int = 50
    attribute_labels: list[str] | None = None
    attribute_weights: list[float] | None = None
    attribute_loss_weight: float | int = 1.0
    rank_margin: float | int = 0.1
    visual_rank_weight: float | int = 1.0
    language_rank_weight: float | int = 1.0
    pad_token_id: int = 0
    max_length: int = 10

    def validate_architecture(self):
        super().validate_architecture()
        if list(self.modules) != [name for name in MODULES if name in self.modules]:
            raise ValueError(f"modules={list(self.modules)}: give some of {list(MODULES)}, each once, in this order")
        require_detector(self.detector_config, MaskRcnnConfig.model_type, "refseg_nanodet")
        if not self.modules:
            raise ValueError(f"modules is empty: an expression is matched by at least one of {list(MODULES)}")
        for name, ours, of_detector in (
            ("grid_size", self.grid_size, self.detector_config.crop_size),
            ("head_size", self.head_size, self.detector_config.head_size),
        ):
            if ours != of_detector:
                raise ValueError(f"{name} is {ours}, but the detector's regions have {of_detector}; make them equal")
        for name in ("attribute_labels", "attribute_weights"):
            values = getattr(self, name)
            if values is not None and len(values) != self.num_attributes:
                raise ValueError(f"{name} has {len(values)} entries, num_attributes is {self.num_attributes}")


__all__ = ["MAttNetConfig"]
