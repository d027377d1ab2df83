"""
HULANet's modules (Wu, Lin, Cohen, Bui, Maji, CVPR 2020), in the paper's order.

The paper's own code is lost and its method section was not at hand: this is a re-implementation from descriptions of
it, and docs/hulanet.md says which choices are ours.

N phrases of T words, K relations of all phrases, C categories or attributes of which D are among the detections of an
image, Q cells and (h, w) places of its grid (see detection_channels.py), S the side of the relationship module's grid;
E channels of the embedding of a part of a phrase.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init
from transformers.utils import ModelOutput

from ...layers.language_encoder import read_both_ways
from .configuration_hulanet import MODULES, HulaNetConfig
from .detection_channels import DetectionCells, DetectionChannels
from .phrase_structure import WordRole

# The channels that are combined: the module maps, their products with each other and themselves, and ones, which are
# counted as a fourth map here.
COMBINED = ((0, 3), (1, 3), (2, 3), (0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2), (3, 3))
INITIAL_SHIFT = -2.0  # of the logits of the modules' maps
COMBINED_NAMES = ("c", "a", "r", "cc", "aa", "rr", "ca", "cr", "ar", "1")


# ---- Phrases ----


@dataclass
class PhraseEmbeddings(ModelOutput):
    """
    What N phrases say. What a phrase does not say is zero.

    Args:
        name: (N, E) what the target is called.
        attributes: (N, E) what is said of it.
        relations: (N, E) the mean of its predicates.
        present: (N, 3) bool, which of the modules have something to read.
        name_category: (N,) category of that very name, -1 for none.
        relation_phrase: (K,) which phrase a relation belongs to; N: to none, it counts nothing.
        predicates: (K, E) the relation itself.
        objects: (K, E) what it is a relation to.
        object_category: (K,) category of that very name, -1 for none.
    """

    name: torch.FloatTensor | None = None
    attributes: torch.FloatTensor | None = None
    relations: torch.FloatTensor | None = None
    present: torch.BoolTensor | None = None
    name_category: torch.LongTensor | None = None
    relation_phrase: torch.LongTensor | None = None
    predicates: torch.FloatTensor | None = None
    objects: torch.FloatTensor | None = None
    object_category: torch.LongTensor | None = None

    def take(self, rows: torch.Tensor) -> "PhraseEmbeddings":
        """Of the phrases `rows` (n,), each at most once, and their relations."""
        number = torch.full((len(self.name),), -1, device=rows.device)
        number[rows] = torch.arange(rows.shape[0], device=rows.device)
        relations = number[self.relation_phrase] >= 0
        of_phrases = ("name", "attributes", "relations", "present", "name_category")
        of_relations = ("predicates", "objects", "object_category")
        return PhraseEmbeddings(
            **{name: self[name][rows] for name in of_phrases},
            **{name: self[name][relations] for name in of_relations},
            relation_phrase=number[self.relation_phrase[relations]],
        )


class RoleLstm(nn.Module):
    """A bidirectional LSTM over a whole phrase, whose states at some of the words are averaged."""

    def __init__(self, config: HulaNetConfig):
        super().__init__()
        self.forward_lstm = nn.LSTM(config.word_embedding_size, config.hidden_size, batch_first=True)
        self.backward_lstm = nn.LSTM(config.word_embedding_size, config.hidden_size, batch_first=True)

    def forward(self, words: torch.Tensor, is_word: torch.Tensor, read: Callable = read_both_ways) -> torch.Tensor:
        """Words (N, T, V), of which those marked in (N, T) are read, by `read`: states (N, T, E)."""
        return read(self.forward_lstm, self.backward_lstm, words, is_word)[0]


def mean_of_words(states: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """(N, T, E) and (N, T) bool -> the mean over the chosen words (N, E), zero where there is none."""
    chosen = chosen.to(states)
    return torch.einsum("nte,nt->ne", states, chosen / chosen.sum(1, keepdim=True).clamp(min=1))


def places_of(marked: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of what is marked in (N, T) bool: (K,) each."""
    return marked.nonzero().unbind(1)


def every_place(marked: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same of all places, marked or not."""
    rows, columns = (torch.arange(length, device=marked.device) for length in marked.shape)
    return rows[:, None].expand(marked.shape).flatten(), columns.expand(marked.shape).flatten()


class PhraseEncoder(nn.Module):
    """Three LSTMs with one word embedding, for what is said in a name, in attributes and in predicates."""

    def __init__(self, config: HulaNetConfig):
        super().__init__()
        self.embeddings = nn.Embedding(config.vocab_size, config.word_embedding_size)
        self.lstms = nn.ModuleDict({name: RoleLstm(config) for name in config.modules})

    def forward(
        self,
        input_ids: torch.Tensor,
        is_word: torch.Tensor,
        word_roles: torch.Tensor,
        word_categories: torch.Tensor,
        read: Callable = read_both_ways,
        find: Callable = places_of,
    ) -> PhraseEmbeddings:
        """
        Args:
            input_ids, is_word, word_roles, word_categories: all (N, T): ids, False at padding, [`WordRole`], and the
                category that words name, -1 for none.
            read, find: by what the LSTMs run over the words, and how the relations are found; an exported graph needs
                another loop, and sizes that do not depend on the phrases.
        """
        words = self.embeddings(input_ids)  # (N, T) -> (N, T, V)
        states = {name: lstm(words, is_word, read) for name, lstm in self.lstms.items()}
        in_name = has_role(word_roles, WordRole.NAME)
        name, absent = (
            mean_of_words(states["category"], in_name),
            words.new_zeros(words.shape[0], states["category"].shape[2]),
        )
        attributes = relations = absent
        present = [in_name.any(1), torch.zeros_like(in_name[:, 0]), torch.zeros_like(in_name[:, 0])]
        if "attribute" in states:
            in_attributes = has_role(word_roles, WordRole.ATTRIBUTE)
            attributes = mean_of_words(states["attribute"], in_attributes)
            present[1] = in_attributes.any(1)
        found = {"predicates": absent[:0], "objects": absent[:0], "object_category": word_categories[:0, 0]}
        phrase = word_categories[:0, 0]
        if "relationship" in states:
            # one relation per last word of an object; the words up to it from the one before on are its own
            is_last = word_roles == WordRole.LAST_OF_OBJECT
            rows, last = find(is_last)  # (N, T) -> (K,) phrases, (K,) places
            before = is_last.long().cumsum(1) - is_last.long()  # (N, T), how many relations a word stands behind
            own = before[rows] == before[rows, last][:, None]  # (K, T)
            in_object = own & has_role(word_roles, WordRole.OBJECT)[rows]
            in_predicate = own & has_role(word_roles, WordRole.PREDICATE)[rows]
            found["predicates"] = mean_of_words(states["relationship"][rows], in_predicate)  # -> (K, E)
            # the category LSTM reads the object by itself, as it would read a name
            # (with an empty row behind: torch's profilers end the process at an LSTM over no rows)
            of_objects = self.lstms["category"](
                F.pad(words[rows], (0, 0, 0, 0, 0, 1)), F.pad(in_object, (0, 0, 0, 1)), read
            )
            found["objects"] = mean_of_words(of_objects[:-1], in_object)  # (K + 1, T, E) -> (K, E)
            found["object_category"] = word_categories[rows, last]
            present[2] = is_last.any(1)
            phrase = rows.where(is_last[rows, last], words.shape[0])
            relations = mean_of_relations(found["predicates"], phrase, words.shape[0])
        category = torch.where(in_name, word_categories, -1).amax(1)  # (N, T) -> (N,)
        return PhraseEmbeddings(
            name=name,
            attributes=attributes,
            relations=relations,
            present=torch.stack(present, 1),  # 3 x (N,) -> (N, 3)
            name_category=category,
            relation_phrase=phrase,
            **found,
        )


def has_role(word_roles: torch.Tensor, role: WordRole) -> torch.Tensor:
    """(N, T) bool, where words have this role, the last one included."""
    return (word_roles == role) | (word_roles == role + 1)


def mean_of_relations(values: torch.Tensor, phrase: torch.Tensor, num_phrases: int) -> torch.Tensor:
    """The mean over the relations of each phrase: (K, ...) and (K,) -> (N, ...), zero for a phrase without any."""
    sums = values.new_zeros(num_phrases + 1, *values.shape[1:]).index_add(0, phrase, values)[:-1]
    counts = values.new_zeros(num_phrases + 1).index_add(0, phrase, values.new_ones(phrase.shape[0]))[:-1]
    return sums / counts.clamp(min=1).view(-1, *[1] * (values.ndim - 1))


# ---- Category and attribute module ----


class PhrasePerceptron(nn.Sequential):
    """Two layers that read an embedding of a phrase."""

    def __init__(self, config: HulaNetConfig, in_channels: int, out_channels: int):
        super().__init__(
            nn.Linear(in_channels, config.attention_size),
            nn.LeakyReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.attention_size, out_channels),
        )


class SigmoidOfAffine(nn.Module):
    """sigmoid(a x + b) with two learned numbers, which makes a heat map of a score map.

    It starts where a place without any evidence is not likely to belong to the target.
    """

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.shift = nn.Parameter(torch.full((1,), INITIAL_SHIFT))

    def initialize(self):
        init.ones_(self.scale)
        init.constant_(self.shift, INITIAL_SHIFT)

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        return (self.scale * scores + self.shift).sigmoid()


class ChannelAttention(nn.Module):
    r"""
    Where things are that the words could mean: S = \sum_k A_k C_k over all categories (or attributes) k, P =
    \sigma(a S + b), with the attention A = \sigma(f(e)) in (0, 1), which is no distribution.

    So a name whose own channel is weak or missing borrows those of similar and more frequent ones, and may be any word.
    """

    def __init__(self, config: HulaNetConfig, num_channels: int, mode: str = "attention"):
        super().__init__()
        self.mode, self.initial_attention = mode, config.initial_attention
        self.perceptron = PhrasePerceptron(config, config.phrase_size, num_channels)
        self.channel_scale = nn.Parameter(torch.ones(num_channels))
        self.heat = SigmoidOfAffine()

    def initialize(self):
        init.ones_(self.channel_scale)
        init.constant_(self.perceptron[-1].bias, math.log(self.initial_attention / (1 - self.initial_attention)))

    def attention(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(N, E) -> (N, C)."""
        return self.perceptron(embeddings).float().sigmoid()

    def forward(
        self, embeddings: torch.Tensor, channels: DetectionChannels, own: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(N, E), and for the "self" baseline the category of each name (N,), -1 for none: heat (N, Q)."""
        if self.mode == "self":
            return (own[:, None] == channels.index).to(channels.maps) @ channels.maps  # (N, D) x (D, Q) -> (N, Q)
        weights = self.attention(embeddings)[:, channels.index]  # (N, C) -> (N, D)
        if self.mode == "top" and weights.shape[1]:
            weights = weights * (weights == weights.amax(1, keepdim=True))
        return self.heat(channels.weighted_sum(weights * self.channel_scale[channels.index].float()))


class AttributeClassifier(nn.Sequential):
    """Attributes of things from the detector's features of their boxes: (R, region_size) -> (R, A) logits."""

    def __init__(self, config: HulaNetConfig):
        super().__init__(
            nn.Linear(config.region_size, config.attribute_size),
            nn.ReLU(),
            nn.Linear(config.attribute_size, config.num_attributes),
        )


# ---- Relationship module ----


class RelationshipModule(nn.Module):
    """
    Where the target can be, from where the object of the relation is: two dilated convolutions over the object's map
    beside the predicate's embedding, which is the same at every place.

    The embedding is 512 of the 513 channels. Where all places hold the same, a convolution is one product with the
    weights of each tap of the kernel, and a sum over the taps that lie inside of the border. So `_everywhere` computes
    it, with a thousandth of the multiplications.
    """

    def __init__(self, config: HulaNetConfig):
        super().__init__()
        self.side = config.relation_grid
        self.kernel, self.dilation = config.relation_kernel, config.relation_dilation
        shape = {"dilation": self.dilation, "padding": self.dilation * (self.kernel // 2)}
        self.convolution = nn.Conv2d(1 + config.phrase_size, config.relation_size, self.kernel, **shape)
        self.output = nn.Conv2d(config.relation_size, 1, self.kernel, **shape)
        self.heat = SigmoidOfAffine()

    def forward(self, object_maps: torch.Tensor, predicates: torch.Tensor) -> torch.Tensor:
        """Heat of the object (K, h, w) and predicates (K, E) -> heat of the target (K, h, w)."""
        # with an empty map behind: a GPU can't resize none, where no phrase has a relation
        maps = F.pad(object_maps[:, None].float(), (0,) * 7 + (1,))  # (K, h, w) -> (K + 1, 1, h, w)
        small = F.interpolate(maps, (self.side, self.side), mode="bilinear", antialias=True)[:-1]  # -> (K, 1, S, S)
        layer = self.convolution
        of_object = F.conv2d(
            small.to(layer.weight.dtype), layer.weight[:, :1], layer.bias, 1, layer.padding, layer.dilation
        )  # (K, 1, S, S) -> (K, G, S, S)
        hidden = F.relu(of_object + self._everywhere(predicates))
        heat = self.heat(self.output(hidden).float())  # (K, G, S, S) -> (K, 1, S, S)
        return F.interpolate(heat, object_maps.shape[1:], mode="bilinear")[:, 0]  # -> (K, h, w)

    def _everywhere(self, predicates: torch.Tensor) -> torch.Tensor:
        """The convolution's answer to the predicates (K, E): (K, G, S, S)."""
        taps = torch.einsum("ke,geyx->kgyx", predicates, self.convolution.weight[:, 1:])
        places = torch.arange(self.side, device=taps.device)
        reach = self.dilation * (torch.arange(self.kernel, device=taps.device) - self.kernel // 2)
        seen = places + reach[:, None]  # (taps, S), the place that a tap sees
        inside = ((seen >= 0) & (seen < self.side)).to(taps)
        return inside.mT @ taps @ inside  # (S, taps) x (K, G, taps, taps) x (taps, S) -> (K, G, S, S)


# ---- Combination ----


class Combination(nn.Module):
    r"""
    O = \sum_t w_t F_t over the three maps, their six products and ones, with weights that the phrase gives and that sum
    to 1. Channels with a module that the phrase does not need, or the model does not have, get none.
    """

    def __init__(self, config: HulaNetConfig):
        super().__init__()
        self.normalize_products = config.normalize_products
        self.perceptron = PhrasePerceptron(config, len(MODULES) * config.phrase_size, len(COMBINED))

    def weights(self, phrases: PhraseEmbeddings) -> torch.Tensor:
        """(N, 10)."""
        said = torch.cat([phrases.name, phrases.attributes, phrases.relations], 1)  # 3 x (N, E) -> (N, 3E)
        there = F.pad(phrases.present, (0, 1), value=True)  # (N, 3) -> (N, 4), ones are always there
        first, second = torch.tensor(COMBINED, device=there.device).unbind(1)
        allowed = there[:, first] & there[:, second]  # (N, 4) -> (N, 10)
        return self.perceptron(said).float().masked_fill(~allowed, -torch.inf).softmax(1)

    def forward(self, maps: list[torch.Tensor | None], weights: torch.Tensor) -> torch.Tensor:
        """Heat of each module (N, h, w), None for one that is not there, and weights (N, 10) -> (N, h, w)."""
        ones = torch.ones_like(maps[0])
        combined = torch.zeros_like(ones)
        for (first, second), weight in zip(COMBINED, weights.unbind(1), strict=True):
            pair = [(*maps, ones)[place] for place in (first, second)]
            if pair[0] is None or pair[1] is None:
                continue
            channel = pair[0] * pair[1] if second < len(MODULES) else pair[0]
            if self.normalize_products and second < len(MODULES):
                channel = channel / channel.amax((1, 2), keepdim=True).clamp(min=1e-6)
            combined = combined + weight[:, None, None] * channel
        return combined


__all__ = [
    "COMBINED_NAMES",
    "AttributeClassifier",
    "ChannelAttention",
    "Combination",
    "DetectionCells",
    "PhraseEmbeddings",
    "PhraseEncoder",
    "RelationshipModule",
    "SigmoidOfAffine",
]
