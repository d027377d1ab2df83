"""
The region matcher after its detector: descriptions of regions and words in, scores out.

Five modules rate how well each region fits, as MAttNet's three do; what each of them has beyond the paper is said at
its place. All of them know which regions are of the kind that the words name, from the detector's class scores.

B images of up to R regions, N expressions, S modules, K categories, F features that the detector averages in a region;
C and P channels in which a phrase meets a region and a pair of regions.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ...layers.inputs import check_expressions, input_dtype
from .configuration_region_matcher import RegionMatcherConfig
from .outputs_region_matcher import RegionMatcherRegionFeatures, RegionMatcherTextFeatures, RegionMatches
from .phrase_readings import Meeting, OrderReading, PairReading
from .region_colors import num_colors
from .region_places import (
    OFFSET_SIZE,
    PLACE_SIZE,
    RANK_SIZE,
    count_things,
    numbers_beside,
    orders,
    pair_offsets,
    pair_overlaps,
    places,
    relative_boxes,
    same_thing,
    soft_ranks,
)
from .word_reader import MODULES, CategoryNames, WordReader

LEAST_KIND = 0.02  # what is surely of another kind may still be meant, where everything else speaks for it


class RegionMatching(nn.Module):
    """Descriptions of regions and words in, scores out."""

    def __init__(self, config: RegionMatcherConfig, num_labels: int, feature_size: int):
        super().__init__()
        self.config, self.num_labels, self.feature_size = config, num_labels, feature_size
        colors = num_colors(config.color_levels)
        phrase, dropout = config.word_size + 2 * config.hidden_size, config.dropout
        size, pair = config.matching_size, config.pair_size
        self.reader = WordReader(config)
        self.categories = CategoryNames(config, num_labels)
        self.score_power = nn.Parameter(torch.empty(1))
        self.kind_power = nn.Parameter(torch.empty(1))
        self.kind_line = nn.Parameter(torch.empty(2))  # scale and shift
        self.normalize = nn.LayerNorm(feature_size)
        self.dropout = nn.Dropout(dropout)
        self.subject = Meeting(feature_size + num_labels, phrase, size, dropout)
        self.location = Meeting(PLACE_SIZE + RANK_SIZE, phrase, size, dropout)
        self.order = OrderReading(phrase, dropout)
        self.color = Meeting(colors, phrase, size, dropout)
        self.relation = PairReading(OFFSET_SIZE, phrase, pair, dropout)
        self.summary = nn.Linear(feature_size + num_labels + colors, pair)
        self.comparison = PairReading(OFFSET_SIZE + pair, phrase, pair, dropout)
        self.kind_weight = nn.Parameter(torch.empty(1))
        self.nothing = nn.Sequential(nn.Linear(2 * config.hidden_size + 4, pair), nn.ReLU(), nn.Linear(pair, 1))
        self.several = nn.Linear(2 * config.hidden_size, 1)

    @property
    def description_size(self) -> int:
        """Numbers that a region is described by: class scores, the detector's features, and colors."""
        return self.num_labels + self.feature_size + num_colors(self.config.color_levels)

    def encode_words(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> RegionMatcherTextFeatures:
        """All that needs no image: (N, T) ids, and (N, T) 0 at padding; the padding's id is skipped anyway."""
        check_expressions(input_ids, attention_mask, self.config.vocab_size)
        is_word = input_ids != self.config.pad_token_id
        return self.reader(input_ids, is_word if attention_mask is None else is_word & attention_mask.bool())

    def encode_regions(
        self, descriptions: torch.Tensor, boxes: torch.Tensor, exists: torch.Tensor, image_sizes: torch.Tensor
    ) -> RegionMatcherRegionFeatures:
        """
        All that needs no words.

        Args:
            descriptions: (B, R, D), see `description_size`.
            boxes: (B, R, 4) xyxy in pixels of the photos.
            exists: (B, R) bool, False at padding.
            image_sizes: (B, 2) height and width of the photos.
        """
        dtype = input_dtype(self.summary)
        scores, features, colors = descriptions.to(dtype).split(
            [self.num_labels, self.feature_size, self.description_size - self.num_labels - self.feature_size], -1
        )
        # A detector is seldom sure, so a layer reads its scores better when they are evened out; what is counted as of
        # a kind needs them as they are.
        scores = scores.clamp(1e-4, 1.0).log()
        class_scores = (scores * F.softplus(self.kind_power)).exp() * exists[..., None]
        scores = (scores * F.softplus(self.score_power)).exp()
        colors = F.layer_norm(colors, colors.shape[-1:])
        looks = torch.cat([self.dropout(self.normalize(features)), scores], -1)  # -> (B, R, F + K)
        boxes = relative_boxes(boxes, image_sizes)
        overlaps, inside = pair_overlaps(boxes)
        offsets = pair_offsets(boxes, overlaps, inside).to(dtype)
        summary = self.summary(torch.cat([looks, colors], -1))  # -> (B, R, P)
        difference = summary[:, :, None] - summary[:, None]  # -> (B, R, R, P), of region i from region j
        return RegionMatcherRegionFeatures(
            exists=exists,
            class_scores=class_scores,
            subject=self.subject.encode(looks),
            color=self.color.encode(colors),
            places=places(boxes).to(dtype),
            smaller=orders(boxes).to(dtype),
            overlaps=overlaps.to(dtype),
            relation=self.relation.encode(offsets),
            comparison=self.comparison.encode(torch.cat([offsets, difference], -1)),
        )

    def match(
        self, features: RegionMatcherRegionFeatures, text: RegionMatcherTextFeatures, image_index: torch.Tensor
    ) -> RegionMatches:
        """
        Every expression on every region of its image.

        Args:
            features: of B images.
            text: of N expressions.
            image_index: (N,).
        """
        regions = features.take(image_index)
        phrases = dict(zip(MODULES, text.phrases, strict=True))
        category_logits = self.categories(phrases["subject"])  # -> (N, K)
        kind = self.membership(category_logits, regions)  # -> (N, R)
        same = same_thing(regions.overlaps)  # -> (N, R, R)
        counted = count_things(kind, same)  # -> (N, R)
        related_kind = self.membership(self.categories(phrases["relation"]), regions)
        beside = self.relation(features.relation, phrases["relation"], image_index)  # -> (N, R, R)
        related, neighbors = self.relate(regions, beside, related_kind)
        differs = self.comparison(features.comparison, phrases["comparison"], image_index)  # -> (N, R, R)
        module_scores = torch.stack(
            [
                self.subject(regions.subject, phrases["subject"]),
                self.locate(regions, phrases["location"], same, counted),
                self.color(regions.color, phrases["color"]),
                related,
                self.compare(regions, differs, same, counted),
            ],
            -1,
        )  # S x (N, R) -> (N, R, S)
        scores = torch.einsum("nrs,ns->nr", module_scores, text.module_weights)
        scores = scores + self.kind_weight * (kind + LEAST_KIND).log()
        scores = scores.float().masked_fill(~regions.exists, -torch.inf)
        return RegionMatches(
            scores=scores,
            nothing=self.rate_nothing(scores, kind, text.sentence),
            several=self.several(text.sentence)[:, 0].float(),
            kind=kind,
            category_logits=category_logits.float(),
            module_scores=module_scores,
            neighbors=neighbors,
        )

    def membership(self, category_logits: torch.Tensor, regions: RegionMatcherRegionFeatures) -> torch.Tensor:
        """
        How likely each region is a thing of a kind: of any of the categories that the words could name.

        MAttNet compares the one label of two regions. Here a region may look like several categories, and words may
        name several: 1 - prod_k (1 - a_k s_k). A line through its logit makes a probability of it, since things are
        counted by it, and most regions of a detector are none.

        Args:
            category_logits: (N, K).
            regions: of the image of each expression.

        Returns:
            (N, R), 0 where there is no region.
        """
        fits = exact_sigmoid(category_logits.float())[:, None] * regions.class_scores  # -> (N, R, K)
        some = any_of(fits.clamp(max=0.999))  # -> (N, R)
        scale, shift = self.kind_line.float()
        kind = exact_sigmoid(scale * some.clamp(1e-4, 1 - 1e-4).logit() + shift)
        return kind.to(category_logits.dtype) * regions.exists

    def locate(
        self,
        regions: RegionMatcherRegionFeatures,
        phrases: torch.Tensor,
        same: torch.Tensor,
        counted: torch.Tensor,
    ) -> torch.Tensor:
        """Where a region lies, alone and in the order of those of its kind: (N, R)."""
        before, after = numbers_beside(regions.smaller, same, counted)  # -> 2 x (N, 5, R)
        ranks = soft_ranks(before, after, counted)  # -> (N, R, 22)
        where = self.location(self.location.encode(torch.cat([regions.places, ranks], -1)), phrases)
        return where + self.order(before, after, phrases)

    def relate(
        self, regions: RegionMatcherRegionFeatures, beside: torch.Tensor, kind: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Whether something of the named kind lies beside a region as the words say.

        MAttNet takes the best of five neighbors by what they look like. Here all other regions are asked where they
        lie, and whether they are of the kind that the phrase names.

        Args:
            beside: (N, R, R), how well region j lies to region i.
            kind: (N, R) of what the relation is to.

        Returns:
            (N, R) scores, and (N, R) the neighbor that fits best.
        """
        fit = beside + (kind + LEAST_KIND).log()[:, None]  # -> (N, R, R)
        fit = fit.float().masked_fill(~self.others(regions.exists), -20)
        return fit.logsumexp(-1).to(kind.dtype), fit.argmax(-1)

    def compare(
        self, regions: RegionMatcherRegionFeatures, differs: torch.Tensor, same: torch.Tensor, counted: torch.Tensor
    ) -> torch.Tensor:
        """
        How a region differs from the others of its kind, by looks and place: (N, R). MAttNet has nothing like it.

        Args:
            differs: (N, R, R), how region i differs from region j.
            same: (N, R, R), how likely two regions are of one thing.
            counted: (N, R), for how much each region of the kind counts.
        """
        others = counted[:, None] * (1 - same) * self.others(regions.exists)  # -> (N, R, R)
        return (differs * others).sum(-1) / (others.sum(-1) + 0.5)

    @staticmethod
    def others(exists: torch.Tensor) -> torch.Tensor:
        """Which regions j lie beside region i: (N, R) -> (N, R, R)."""
        itself = torch.eye(exists.shape[1], dtype=torch.bool, device=exists.device)
        return exists[:, None] & ~itself

    def rate_nothing(self, scores: torch.Tensor, kind: torch.Tensor, sentence: torch.Tensor) -> torch.Tensor:
        """The score of "it is none of them", from the words and from how well the regions fit: (N,)."""
        best = scores.amax(1).clamp(min=-20)
        gathered = [kind.amax(1), kind.sum(1).clamp(max=5), best / 5, scores.logsumexp(1).clamp(min=-20) / 5]
        gathered = torch.stack(gathered, 1).to(sentence)  # 4 x (N,) -> (N, 4)
        return self.nothing(torch.cat([self.dropout(sentence), gathered], 1))[:, 0].float()


# Where all regions are unlikely, the likeliest are counted. So even small probabilities have to be exact.
def exact_sigmoid(logits: torch.Tensor) -> torch.Tensor:
    """The sigmoid of float32 logits, of their shape. ONNX Runtime's own is off by 1e-7, a percent of what is small."""
    return (-F.softplus(-logits)).exp()


def any_of(probabilities: torch.Tensor) -> torch.Tensor:
    """1 - prod_k (1 - p_k), (N, R, K) -> (N, R). By pairs, for 1 - p rounds small ones off."""
    while (size := probabilities.shape[-1]) > 1:
        first, second = F.pad(probabilities, (0, size % 2)).chunk(2, -1)
        probabilities = first + second - first * second
    return probabilities[..., 0]


__all__ = ["RegionMatching"]
