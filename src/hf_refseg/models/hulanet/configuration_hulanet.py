"""Configuration of HULANet (Wu et al., PhraseCut, CVPR 2020)."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from ..checked_sizes import CheckedSizes, require_detector
from ..mask_rcnn.configuration_mask_rcnn import MaskRcnnConfig

MODULES = ("category", "attribute", "relationship")


@strict
class HulaNetConfig(CheckedSizes, PreTrainedConfig):
    r"""
    Defaults are the paper's, where it is known, and our choices elsewhere; docs/hulanet.md says which is which.

    Args:
        detector_config: [`MaskRcnnConfig`] of the detector, whose categories are those of the category module.
        modules: which modules there are, in this order; the rows of the paper's table leave some out. The category
            module is always there.
        category_mode: how the category module reads a name. "attention": by a weighted sum of all categories' maps.
            "self" and "top" are baselines: the map of the category of that name (nothing where there is none), and the
            map of the one category that the attention prefers among those detected.
        vocab_size: words of the tokenizer; it depends on the data set.
        word_embedding_size: channels of a word embedding.
        hidden_size: state of the LSTMs over words, per direction.
        attention_size: hidden channels of the perceptrons that read a phrase.
        dropout: inside of these.
        initial_attention: weight of every category or attribute before training.
        num_attributes: attributes that the attribute classifier knows.
        attribute_labels: their names, as many; None where they are not known.
        attribute_weights: weight of the positive instances of each attribute in the loss of the classifier; None: 1.
        region_size: channels of a region's features, from which its attributes are told: those of the detector's crop
            and of its head over it.
        attribute_size: hidden channels of the attribute classifier.
        attributes_per_detection: how many attributes a detection is taken to have, the most probable ones.
        score_attributes: multiply the probability of an attribute by the score of its detection.
        grid_stride: pixels of the network's input per cell of the maps.
        relation_grid: side of the square grid on which the relationship module works.
        relation_size, relation_kernel, relation_dilation: hidden channels of its two convolutions, and their shape.
        normalize_products: divide each product of two modules' maps by its largest value in the image.
        positive_weight: weight of the pixels of the target in the losses.
        module_loss_weight: weight of the losses of the modules' own maps.
        final_loss_weight: weight of the loss of the combined map; 0 trains the modules only.
        attribute_loss_weight: weight of the loss of the attribute classifier.
        mask_threshold: value of the combined map above which a pixel belongs to the target. The model's logits are
            relative to it: 0 is this value.
        pad_token_id: id of the padding.
        max_length: words that are read of a phrase, <BOS> and <EOS> included; what follows is cut off.
    """

    model_type = "refseg_hulanet"
    sub_configs_defaults = {
        "detector_config": SubConfigSpec(
            config_class=AutoConfig,
            model_type=MaskRcnnConfig.model_type,
            init_kwargs={"num_labels": 1272, "score_threshold": 0.01, "nms_threshold": 0.5},
        )
    }

    detector_config: dict | PreTrainedConfig | None = None
    modules: list[Literal["category", "attribute", "relationship"]] | tuple[str, ...] = MODULES
    category_mode: Literal["attention", "self", "top"] = "attention"
    vocab_size: int = 7814
    word_embedding_size: int = 300
    hidden_size: int = 256
    attention_size: int = 512
    dropout: float | int = 0.2
    initial_attention: float = 0.05
    num_attributes: int = 593
    attribute_labels: list[str] | None = None
    attribute_weights: list[float] | None = None
    region_size: int = 3072
    attribute_size: int = 1024
    attributes_per_detection: int = 20
    score_attributes: bool = False
    grid_stride: int = 4
    relation_grid: int = 32
    relation_size: int = 64
    relation_kernel: int = 7
    relation_dilation: int = 2
    normalize_products: bool = True
    positive_weight: float | int = 3.0
    module_loss_weight: float | int = 1.0
    final_loss_weight: float | int = 1.0
    attribute_loss_weight: float | int = 1.0
    mask_threshold: float = 0.5
    pad_token_id: int = 0
    max_length: int = 10

    def validate_architecture(self):
        super().validate_architecture()
        require_detector(self.detector_config, MaskRcnnConfig.model_type)
        if list(self.modules) != [name for name in MODULES if name in self.modules] or "category" not in self.modules:
            raise ValueError(
                f"modules={list(self.modules)}; give 'category' and any of {list(MODULES[1:])}, in this order"
            )
        for name in ("initial_attention", "mask_threshold"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is above 0 and below 1")
        for name in ("attribute_labels", "attribute_weights"):
            values = getattr(self, name)
            if values is not None and len(values) != self.num_attributes:
                raise ValueError(f"{name} has {len(values)} entries, num_attributes is {self.num_attributes}")
        if self.relation_kernel % 2 == 0:
            raise ValueError(f"relation_kernel is {self.relation_kernel}; give an odd number, so that it has a center")

    @property
    def phrase_size(self) -> int:
        """Channels E of the embedding of a part of a phrase."""
        return 2 * self.hidden_size


__all__ = ["HulaNetConfig"]
