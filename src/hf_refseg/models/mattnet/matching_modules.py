"""
The parts of MAttNet's matching (Yu, Lin, Shen, Yang, Lu, Bansal, Berg, CVPR 2018), in the paper's order.

An expression is split by attention into three phrases, for what the object is (subject), where it lies (location) and
what lies beside it (relationship), each with a weight. Each visual module says by a cosine how well a phrase fits a
region. What it needs no words for is its `encode`, once per region; the rest is its `score`.

M regions, N expressions, R regions of an image; T words, K neighbors, G cells of a region's grid; C3 and C4 channels
of a region's crop and of the detector's head over it, V = C4 + D visual channels, E of a phrase, D of an embedding.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from ...layers.language_encoder import LanguageEncoder, read_both_ways
from ...layers.normalize_scale import NormalizeScale
from ...layers.phrase_attention import PhraseAttention
from .configuration_mattnet import MAttNetConfig
from .outputs_mattnet import MAttNetRegionFeatures, MAttNetTextFeatures

# Numbers of the subject's hidden layer that are made at once on a CPU: what fits its cache costs a tenth of what does
# not, whose memory is mapped anew each time.
CACHED_NUMBERS = 2**18


# ---- Language (Sec. 3.1) ----


class MAttNetLanguage(nn.Module):
    """The phrase of each module and its weight."""

    def __init__(self, config: MAttNetConfig):
        super().__init__()
        self.encoder = LanguageEncoder(
            config.vocab_size,
            config.word_embedding_size,
            config.word_vec_size,
            config.hidden_size,
            config.word_dropout,
        )
        self.weights = nn.Linear(2 * config.hidden_size, len(config.modules))
        self.phrases = nn.ModuleDict({name: PhraseAttention(2 * config.hidden_size) for name in config.modules})

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, read: Callable = read_both_ways
    ) -> MAttNetTextFeatures:
        """Words (N, T) to the phrase of each module and its weight; `read` as of [`LanguageEncoder`]."""
        context, hidden, embedded = self.encoder(input_ids, attention_mask, read)
        attended = [attend(context, embedded, attention_mask) for attend in self.phrases.values()]
        word_attentions = torch.stack([attention for attention, _ in attended], 1)  # S x (N, T) -> (N, S, T)
        phrases = torch.stack([phrase for _, phrase in attended])  # S x (N, E) -> (S, N, E)
        return MAttNetTextFeatures(phrases, self.weights(hidden).softmax(-1), word_attentions)


# ---- Matching function (Sec. 3.2.1, F in Eq. 7) ----


class RowBatchNorm(nn.BatchNorm1d):
    """
    Batch normalization of (M, ..., C) whose statistics count row i `counts[i]` times.

    The original computes the visual side anew for every pair of a training batch. Here it is computed once per region,
    and a region of several pairs weighs as much as it does there.
    """

    def forward(self, features: torch.Tensor, counts: torch.Tensor | None = None) -> torch.Tensor:
        """(M, ..., C) and (M,) -> (M, ..., C)."""
        rows = features.reshape(-1, features.shape[-1])  # (M, ..., C) -> (rows, C)
        if counts is None or not self.training:
            return super().forward(rows).view_as(features)
        wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
        times = counts.repeat_interleave(len(rows) // len(features)).to(wide)  # (M,) -> (rows,)
        total = times.sum()
        mean = times @ wide / total  # (rows,) x (rows, C) -> (C,)
        centered = wide - mean
        variance = times @ centered.square() / total  # (rows,) x (rows, C) -> (C,)
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            unbiased = variance * total / (total - 1).clamp(min=1)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        normalized = centered * (variance + self.eps).rsqrt() * self.weight + self.bias
        return normalized.to(features.dtype).view_as(features)


class MatchingEmbedding(nn.Module):
    """The two-layer perceptron that takes one side into the space where cosines are compared, at unit length."""

    def __init__(self, input_size: int, config: MAttNetConfig):
        super().__init__()
        self.hidden = nn.Linear(input_size, config.matching_size)
        self.hidden_norm = RowBatchNorm(config.matching_size)
        self.dropout = nn.Dropout(config.matching_dropout)
        self.output = nn.Linear(config.matching_size, config.matching_size)
        self.output_norm = RowBatchNorm(config.matching_size)

    def forward(self, features: torch.Tensor, counts: torch.Tensor | None = None) -> torch.Tensor:
        """(M, ..., C) -> (M, ..., D)."""
        hidden = self.dropout(F.relu(self.hidden_norm(self.hidden(features), counts)))
        return F.normalize(self.output_norm(self.output(hidden), counts), dim=-1)


# ---- Visual modules (Sec. 3.2) ----


def fast_tanh(values: torch.Tensor) -> torch.Tensor:
    """tanh; in float32 on a CPU as 2 sigmoid(2x) - 1, which torch computes six times as fast and within 1e-7."""
    if values.device.type != "cpu" or values.dtype != torch.float32:
        return values.tanh()
    return torch.sigmoid(values * 2) * 2 - 1


class SubjectModule(nn.Module):
    """What it is: attributes, and the cells of the region that the phrase looks at (Sec. 3.2.1)."""

    def __init__(self, config: MAttNetConfig):
        super().__init__()
        size, phrase_size = config.matching_size, config.word_vec_size
        visual_size = config.head_size + size
        self.region_normalizer = NormalizeScale(config.region_size, config.init_norm)
        self.head_normalizer = NormalizeScale(config.head_size, config.init_norm)
        self.attribute_normalizer = NormalizeScale(size, config.init_norm)
        self.phrase_normalizer = NormalizeScale(phrase_size, config.init_norm)
        self.fusion = nn.Linear(config.region_size + config.head_size, size)
        self.fusion_norm = RowBatchNorm(size)
        self.dropout = nn.Dropout(config.visual_dropout)
        self.attribute_classifier = nn.Linear(size, config.num_attributes) if config.attributes else None
        self.attention_hidden = nn.Linear(visual_size + phrase_size, size)
        self.attention_score = nn.Linear(size, 1)
        self.visual_embedding = MatchingEmbedding(visual_size, config)
        self.language_embedding = MatchingEmbedding(phrase_size, config)

    def encode(
        self, region_maps: torch.Tensor, head_maps: torch.Tensor, counts: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """Maps (M, C3, g, g) and (M, C4, g, g) to the word-free fields of [`MAttNetRegionFeatures`]."""
        crop = self.region_normalizer(region_maps.flatten(2).mT)  # (M, C3, g, g) -> (M, G, C3)
        head = self.head_normalizer(head_maps.flatten(2).mT)  # (M, C4, g, g) -> (M, G, C4)
        fused = F.relu(self.fusion_norm(self.fusion(torch.cat([crop, head], -1)), counts))  # -> (M, G, D)
        visual = torch.cat([head, self.attribute_normalizer(fused)], -1)  # (M, G, C4) + (M, G, D) -> (M, G, V)
        visual_weight = self.attention_hidden.weight[:, : visual.shape[-1]]
        encoded = {"visual": visual, "attention_projection": F.linear(visual, visual_weight)}  # (M, G, V) -> (M, G, D)
        if self.attribute_classifier is not None:
            pooled = self.dropout(fused.mean(1))  # (M, G, D) -> (M, D)
            encoded["attribute_logits"] = self.attribute_classifier(pooled)  # (M, D) -> (M, A)
        return encoded

    def attend(self, projection: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        """Visual part (N, R, G, D) and phrase's part (N, D) of the hidden layer to attention (N, R, G), Eq. 3."""
        parts = [(projection, query)]
        if query.device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            step = max(1, CACHED_NUMBERS // max(1, projection[0].numel()))
            parts = zip(projection.split(step), query.split(step), strict=True)
        # (n, R, G, D) + (n, D) -> (n, R, G, D)
        hidden = (fast_tanh(some + part[:, None, None]) for some, part in parts)
        scores = torch.cat([self.attention_score(some)[..., 0] for some in hidden])  # (n, R, G, D) -> (N, R, G)
        return scores.softmax(-1)

    def score(self, regions: MAttNetRegionFeatures, phrase: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Phrases (N, E) on regions (N or 1, R, ...): cosines (N, R) and attention over the cells (N, R, G)."""
        query = self.phrase_normalizer(phrase)
        query = F.linear(query, self.attention_hidden.weight[:, -query.shape[-1] :], self.attention_hidden.bias)
        attention = self.attend(regions.attention_projection.expand(query.shape[0], -1, -1, -1), query)
        pooled = torch.einsum("nrg,nrgv->nrv", attention, regions.visual)  # Eq. 4: -> (N, R, V)
        language = self.language_embedding(phrase)  # (N, E) -> (N, D)
        return torch.einsum("nrd,nd->nr", self.visual_embedding(pooled), language), attention


class LocationModule(nn.Module):
    """Where it is: in the image, and from the nearest regions of its own category (Sec. 3.2.2)."""

    def __init__(self, config: MAttNetConfig):
        super().__init__()
        self.num_neighbors = config.num_neighbors
        self.location_normalizer = NormalizeScale(5, config.init_norm)
        self.offset_normalizer = NormalizeScale(5 * config.num_neighbors, config.init_norm)
        self.fusion = nn.Linear(5 + 5 * config.num_neighbors, config.matching_size)
        self.visual_embedding = MatchingEmbedding(config.matching_size, config)
        self.language_embedding = MatchingEmbedding(config.word_vec_size, config)

    def encode(self, locations: torch.Tensor, offsets: torch.Tensor, counts: torch.Tensor | None) -> torch.Tensor:
        """Own location (M, 5) and offsets to K regions of the same category (M, 5K) to embeddings (M, D)."""
        features = [self.location_normalizer(locations), self.offset_normalizer(offsets)]
        return self.visual_embedding(self.fusion(torch.cat(features, -1)), counts)  # (M, 5 + 5K) -> (M, D)

    def score(self, regions: MAttNetRegionFeatures, phrase: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Phrases (N, E) on regions (N or 1, R, ...): cosines (N, R)."""
        return (regions.location * self.language_embedding(phrase)[:, None]).sum(-1), None  # -> (N, R)


class RelationshipModule(nn.Module):
    """What lies beside it: the one of K neighbors that fits best (Sec. 3.2.3)."""

    def __init__(self, config: MAttNetConfig):
        super().__init__()
        self.num_neighbors, self.head_size = config.num_neighbors, config.head_size
        self.visual_normalizer = NormalizeScale(config.head_size, config.init_norm)
        self.offset_normalizer = NormalizeScale(5, config.init_norm)
        self.fusion = nn.Linear(config.head_size + 5, config.matching_size)
        self.visual_embedding = MatchingEmbedding(config.matching_size, config)
        self.language_embedding = MatchingEmbedding(config.word_vec_size, config)

    def encode(
        self, head_means: torch.Tensor, neighbor_rows: torch.Tensor, offsets: torch.Tensor, counts: torch.Tensor | None
    ) -> torch.Tensor:
        """
        Embeddings (M', K, D) of the neighbors of M' regions; a missing neighbor's are those of zero features.

        Args:
            head_means: (M, C4) of all regions.
            neighbor_rows: (M', K) which of them each neighbor is, -1 for none.
            offsets: (M', K, 5) where it lies.
        """
        visual_weight, offset_weight = self.fusion.weight.split([self.head_size, 5], 1)
        visual = F.linear(self.visual_normalizer(head_means), visual_weight)  # (M, C4) -> (M, D), once for all
        visual = visual[neighbor_rows.clamp(min=0)] * (neighbor_rows >= 0)[..., None]  # (M, D) -> (M', K, D)
        features = visual + F.linear(self.offset_normalizer(offsets), offset_weight, self.fusion.bias)
        return self.visual_embedding(features, counts)  # (M', K, D) -> (M', K, D)

    def score(self, regions: MAttNetRegionFeatures, phrase: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Phrases (N, E) on regions (N or 1, R, ...): cosines (N, R) and the chosen neighbors (N, R)."""
        # In training the original embeds the phrase once per neighbor, each time with another dropout.
        repeats = self.num_neighbors if self.training else 1
        language = self.language_embedding(phrase[:, None].expand(-1, repeats, -1))  # (N, E) -> (N, K or 1, D)
        cosines = (regions.relationship * language[:, None]).sum(-1)  # (N|1, R, K, D) -> (N, R, K)
        # A missing neighbor scores 0, not -inf: it wins where all others speak against the phrase.
        best, index = (cosines * (regions.neighbors >= 0)).max(-1)  # Eq. 8: (N, R, K) -> (N, R)
        chosen = regions.neighbors.expand(phrase.shape[0], -1, -1).gather(-1, index[..., None])[..., 0]
        return best, chosen


__all__ = ["LocationModule", "MAttNetLanguage", "RelationshipModule", "SubjectModule"]
