"""
HULANet after its detector: detections of an image and phrases in, heat maps out.

What needs no words is computed once per image, for any number of phrases.

R detections of one image, V channels of a region's features, (h, w) the grid; N phrases, K relations.
"""

from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils import ModelOutput

from ...layers.inputs import input_dtype
from .configuration_hulanet import HulaNetConfig
from .detection_channels import DetectionCells, DetectionChannels
from .phrase_modules import (
    AttributeClassifier,
    ChannelAttention,
    Combination,
    PhraseEmbeddings,
    PhraseEncoder,
    RelationshipModule,
    mean_of_relations,
)


@dataclass
class HulaNetDetections(ModelOutput):
    """
    All that the modules read of one image.

    Args:
        cells: which detections cover which place.
        categories, attributes: the channels of the two modules; None for a module that is not there.
    """

    cells: DetectionCells | None = None
    categories: DetectionChannels | None = None
    attributes: DetectionChannels | None = None


@dataclass
class HulaNetMaps(ModelOutput):
    """
    What N phrases mean in one image, each map in (0, 1); None for a module that is not there.

    Args:
        category, attribute, relationship: (N, h, w), of the modules. Where a phrase has no attribute (or relation), the
            map says nothing.
        combined: (N, h, w), the answer.
        weights: (N, 10) of the combined channels, in the order of `COMBINED_NAMES`.
        objects: (N, h, w) where the objects of the relations are, the mean over those of a phrase.
    """

    category: torch.FloatTensor | None = None
    attribute: torch.FloatTensor | None = None
    relationship: torch.FloatTensor | None = None
    combined: torch.FloatTensor | None = None
    weights: torch.FloatTensor | None = None
    objects: torch.FloatTensor | None = None


class HulaNetHead(nn.Module):
    """All of HULANet after the detector."""

    def __init__(self, config: HulaNetConfig):
        super().__init__()
        self.config = config
        self.phrases = PhraseEncoder(config)
        self.category = ChannelAttention(config, config.detector_config.num_labels, config.category_mode)
        if "attribute" in config.modules:
            self.attribute_classifier = AttributeClassifier(config)
            self.attribute = ChannelAttention(config, config.num_attributes)
        if "relationship" in config.modules:
            self.relationship = RelationshipModule(config)
        self.combination = Combination(config)

    @torch.no_grad()
    def encode_detections(
        self, masks: torch.Tensor, labels: torch.Tensor, scores: torch.Tensor, features: torch.Tensor | None = None
    ) -> HulaNetDetections:
        """
        All that needs no words. Nothing in it is trained by phrases.

        Args:
            masks: (R, h, w) bool.
            labels: (R,) categories.
            scores: (R,) in [0, 1].
            features: (R, V), from which the attributes are told; needed by the attribute module only.
        """
        cells, rows = DetectionCells.of_masks(masks), torch.arange(len(masks), device=masks.device)
        attributes = None
        if "attribute" in self.config.modules:
            attributes = DetectionChannels.of_values(cells, *self.detected_attributes(features, scores))
        return HulaNetDetections(cells, DetectionChannels.of_values(cells, rows, labels, scores), attributes)

    def detected_attributes(
        self, features: torch.Tensor, scores: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The most probable attributes of each detection: (P,) detections, (P,) attributes and (P,) probabilities."""
        layer = self.attribute_classifier[0]
        if features is None or features.shape[1] != layer.in_features:
            raise ValueError(
                f"the features of the regions are {None if features is None else tuple(features.shape)}, but the "
                f"attribute module reads {layer.in_features} channels of each: give them, or set region_size"
            )
        # Autocast would keep the weights that it rounds here, without gradients, for the loss of the classifier.
        with torch.autocast(features.device.type, enabled=False):
            logits = self.attribute_classifier(features.to(input_dtype(layer)))  # (R, V) -> (R, A)
        probabilities = logits.float().sigmoid()
        number = min(self.config.attributes_per_detection, probabilities.shape[1])
        values, attributes = probabilities.topk(number, dim=1)  # (R, A) -> (R, P / R)
        if self.config.score_attributes:
            values = values * scores[:, None]
        rows = torch.arange(features.shape[0], device=features.device)
        return rows.repeat_interleave(number), attributes.flatten(), values.flatten()

    def ground(self, detections: HulaNetDetections, phrases: PhraseEmbeddings) -> HulaNetMaps:
        """Every one of N phrases in one image."""
        cells = detections.cells
        category = self.category(phrases.name, detections.categories, phrases.name_category)  # (N, E) -> (N, Q)
        category, attribute, relationship, objects = cells.spread(category), None, None, None  # (N, Q) -> (N, h, w)
        if "attribute" in self.config.modules:
            attribute = cells.spread(self.attribute(phrases.attributes, detections.attributes))
        if "relationship" in self.config.modules:
            found = self.category(phrases.objects, detections.categories, phrases.object_category)  # (K, E) -> (K, Q)
            found = cells.spread(found)  # (K, Q) -> (K, h, w)
            relationship, objects = (
                mean_of_relations(maps, phrases.relation_phrase, phrases.name.shape[0])  # (K, h, w) -> (N, h, w)
                for maps in (self.relationship(found, phrases.predicates), found)
            )
        weights = self.combination.weights(phrases)
        combined = self.combination([category, attribute, relationship], weights)
        return HulaNetMaps(category, attribute, relationship, combined, weights, objects)


__all__ = ["HulaNetDetections", "HulaNetHead", "HulaNetMaps"]
