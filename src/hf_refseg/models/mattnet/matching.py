"""
MAttNet after its detector: features of regions and words in, scores out.

What needs no words is computed once per region, for any number of expressions. Of the attention over a region's grid,
whose first layer reads [visual; phrase], that is the visual part of the product.

B images of up to R regions, M regions in all, N expressions, S modules, P pairs of an expression and a region; T words,
K neighbors, G = g x g cells of a region's grid, A attributes; C3 and C4 channels of a region's crop and of the
detector's head over it, E of a phrase, D of an embedding.
"""

import torch
from torch import nn

from ...layers.image_index import resolve_image_index
from ...layers.inputs import check_expressions, input_dtype
from ...layers.regions import Regions
from .configuration_mattnet import MAttNetConfig
from .matching_modules import LocationModule, MAttNetLanguage, RelationshipModule, SubjectModule
from .outputs_mattnet import MAttNetMatches, MAttNetRegionFeatures, MAttNetTextFeatures
from .region_geometry import location_features, neighbor_rows, relative_locations

# Pairs of expression and region whose grids are attended at once in inference: what lies between is (pairs, G, D).
PAIRS_AT_ONCE = 256

MODULES = {"subject": SubjectModule, "location": LocationModule, "relationship": RelationshipModule}


class MAttNetMatching(nn.Module):
    """All of MAttNet after the detector: features of regions and words in, scores out."""

    def __init__(self, config: MAttNetConfig):
        super().__init__()
        self.config = config
        self.language = MAttNetLanguage(config)
        self.visual = nn.ModuleDict({name: MODULES[name](config) for name in config.modules})

    def encode_words(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> MAttNetTextFeatures:
        """
        All that needs no image.

        Args:
            input_ids: (N, T).
            attention_mask: (N, T), 0 at padding; the padding's id is skipped wherever it stands.
        """
        check_expressions(input_ids, attention_mask, self.config.vocab_size)
        is_word = input_ids != self.config.pad_token_id
        return self.language(input_ids, is_word if attention_mask is None else is_word & attention_mask.bool())

    def encode_regions(
        self,
        regions: Regions,
        crops: torch.Tensor,
        head_maps: torch.Tensor,
        image_sizes: torch.Tensor,
        rows: torch.Tensor | None = None,
        counts: torch.Tensor | None = None,
    ) -> MAttNetRegionFeatures:
        """
        All that needs no words.

        Args:
            regions: of B images, with labels.
            crops: (M, C3, g, g) of the feature map at the regions.
            head_maps: (M, C4, g, g) the detector's head over them.
            image_sizes: (B, 2) height and width of the photos.
            rows: (M',) which of the M regions to encode, the others being neighbors only; all if not given.
            counts: (M',) how often each of them counts in the statistics of a training batch.

        Raises:
            ValueError: there are more or fewer maps than regions, or maps of other sizes than the configuration's.
        """
        check_maps(self.config, regions, crops, head_maps)
        dtype, num_neighbors = input_dtype(self.language.weights), self.config.num_neighbors
        own = slice(None) if rows is None else rows
        features = {}
        if "subject" in self.visual:
            features |= self.visual["subject"].encode(crops[own].to(dtype), head_maps[own].to(dtype), counts)
        if "location" in self.visual:
            locations = location_features(regions.boxes, image_sizes[regions.image_index])
            same = neighbor_rows(regions, num_neighbors, "same")
            offsets = relative_locations(regions.boxes, same).flatten(1)  # (M, K, 5) -> (M, 5K)
            features["location"] = self.visual["location"].encode(
                locations[own].to(dtype), offsets[own].to(dtype), counts
            )
        if "relationship" in self.visual:
            kinds = "different_then_same" if self.config.same_category_neighbors else "different"
            beside = neighbor_rows(regions, num_neighbors, kinds)
            offsets = relative_locations(regions.boxes, beside)
            starts = regions.starts[regions.image_index, None]  # (B,) -> (M, 1)
            features["neighbors"] = torch.where(beside >= 0, beside - starts, -1)[own]
            features["relationship"] = self.visual["relationship"].encode(
                head_maps.to(dtype).mean((2, 3)),  # (M, C4, g, g) -> (M, C4)
                beside[own],
                offsets[own].to(dtype),
                counts,
            )
        return MAttNetRegionFeatures(**features)

    def match(
        self,
        regions: Regions,
        features: MAttNetRegionFeatures,
        text: MAttNetTextFeatures,
        image_index: torch.Tensor | None = None,
        output_attentions: bool = False,
    ) -> MAttNetMatches:
        """
        Every expression on every region of its image.

        Args:
            regions: of B images; features: what `encode_regions` made of them.
            text: of N expressions, from `encode_words`.
            image_index: (N,) image of each expression; needed unless B = 1 or B = N.
            output_attentions: return the weights of the cells.
        """
        num_images, num_expressions, device = len(regions.counts), len(text.module_weights), regions.boxes.device
        image_index = resolve_image_index(image_index, num_images, num_expressions, device)
        exists = regions.pad(torch.ones(len(regions.boxes), dtype=torch.bool, device=device), False)  # (B, R)
        rows = regions.pad(torch.arange(len(regions.boxes), device=device))  # (B, R)
        step = max(1, PAIRS_AT_ONCE // max(1, rows.shape[1]))
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            step = num_expressions
        parts = []
        for start in range(0, num_expressions, step):
            some = slice(start, start + step)
            # the regions of a single image serve all expressions as they are
            taken = features.take(None if num_images == 1 else rows[image_index[some]])
            parts.append(self.score(taken, text.phrases[:, some]))
        module_scores, grids, chosen = (
            None if part[0] is None else torch.cat(part) for part in zip(*parts, strict=True)
        )
        scores = torch.einsum("nrs,ns->nr", module_scores, text.module_weights).float()  # Eq. 9
        logits, side = features.attribute_logits, self.config.grid_size
        return MAttNetMatches(
            scores=scores.masked_fill(~exists[image_index], -torch.inf),
            module_scores=module_scores,
            grid_attention=grids.unflatten(-1, (side, side)) if output_attentions and grids is not None else None,
            neighbors=chosen,
            attribute_logits=None if logits is None else logits[rows],  # (M, A) -> (B, R, A)
        )

    def match_pairs(
        self,
        regions: Regions,
        crops: torch.Tensor,
        head_maps: torch.Tensor,
        image_sizes: torch.Tensor,
        region_index: torch.Tensor,
        text: MAttNetTextFeatures,
    ) -> MAttNetMatches:
        """
        Each expression on one region: the rows of a training batch, with the batch statistics of the original.

        Args:
            regions, crops, head_maps, image_sizes: as of `encode_regions`.
            region_index: (P,) which of the M regions each pair has; a region of several pairs is encoded once.
            text: of the P expressions.
        """
        rows, pair_rows, counts = region_index.unique(return_inverse=True, return_counts=True)
        features = self.encode_regions(regions, crops, head_maps, image_sizes, rows, counts)
        module_scores, _, chosen = self.score(features.take(pair_rows[:, None]), text.phrases)  # of (P, 1) regions
        logits = features.attribute_logits
        return MAttNetMatches(
            scores=torch.einsum("prs,ps->p", module_scores, text.module_weights).float(),
            module_scores=module_scores[:, 0],
            neighbors=None if chosen is None else chosen[:, 0],
            attribute_logits=None if logits is None else logits[pair_rows],  # (M', A) -> (P, A)
        )

    def score(self, regions: MAttNetRegionFeatures, phrases: torch.Tensor):
        """Cosines (N, R, S), and, where there is such a module, attention over cells and chosen neighbors."""
        answers = {
            name: module.score(regions, phrase)
            for (name, module), phrase in zip(self.visual.items(), phrases, strict=True)
        }
        scores = torch.stack([score for score, _ in answers.values()], -1)  # S x (N, R) -> (N, R, S)
        return scores, answers.get("subject", (None, None))[1], answers.get("relationship", (None, None))[1]


def check_maps(config: MAttNetConfig, regions: Regions, crops: torch.Tensor, head_maps: torch.Tensor) -> None:
    """Raises ValueError unless there are as many maps as regions, of the sizes that the configuration says."""
    num_regions, side = regions.boxes.shape[0], config.grid_size
    for name, maps, channels in (("crops", crops, config.region_size), ("head_maps", head_maps, config.head_size)):
        expected = (num_regions, channels, side, side)
        if maps.shape != expected:
            raise ValueError(
                f"{name} has the shape {tuple(maps.shape)}, expected {expected} for {num_regions} regions and this "
                "configuration"
            )


__all__ = ["MAttNetMatching"]
