"""
MAttNet after its detector: features of regions and words in, scores out.

What needs no words is computed once per region, for any number of expressions. Of the attention over a region's grid,
whose first layer reads [visual; phrase], that is the visual part of the product.

B images of up to R regions, M regions in all, N expressions, S modules, P pairs of an expression and a region; T words,
K neighbours, G = g x g cells of a region's grid, A attributes; C3 and C4 channels of a region's crop and of the
detector's head over it, E of a phrase, D of an embedding.
"""

import torch
from torch import nn

from ...layers.image_index import resolve_image_index
from ...layers.inputs import check_expressions
from .configuration_mattnet import MAttNetConfig
from .matching_modules import LocationModule, MAttNetLanguage, RelationshipModule, SubjectModule
from .outputs_mattnet import MAttNetMatches, MAttNetRegionFeatures
from .region_geometry import location_features, neighbours, relative_locations

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

    def encode_regions(
        self,
        region_maps: torch.Tensor,
        head_maps: torch.Tensor,
        boxes: torch.Tensor,
        categories: torch.Tensor,
        region_mask: torch.Tensor,
        image_sizes: torch.Tensor,
        rows: torch.Tensor | None = None,
        counts: torch.Tensor | None = None,
    ) -> MAttNetRegionFeatures:
        """
        All that needs no words.

        Args:
            region_maps: (M, C3, g, g) crops of the regions, image after image.
            head_maps: (M, C4, g, g) the detector's head over them.
            boxes: (B, R, 4) COCO's [x, y, width, height] in pixels of the original images.
            categories: (B, R).
            region_mask: (B, R) bool, False at padding; M of them are True.
            image_sizes: (B, 2) height and width of the original images.
            rows: (M',) which of the M regions to encode, the others being neighbours only; all if not given.
            counts: (M',) how often each of them counts in the statistics of a training batch.

        Raises:
            ValueError: there are more or fewer maps than regions, or maps of other sizes than the configuration's.
        """
        check_regions(self.config, region_maps, head_maps, boxes, categories, region_mask, image_sizes)
        num_regions, num_neighbours = len(region_maps), self.config.num_neighbours
        dtype = self.language.weights.weight.dtype
        slots = region_mask.flatten().cumsum(0).view_as(region_mask) - 1  # (B, R), of the M regions
        # Which of the B R places each region stands at; unlike nonzero, this has a length known beforehand.
        places = (~region_mask).flatten().int().argsort(dim=0, stable=True)[:num_regions]
        own = slice(None) if rows is None else rows
        places = places[own]  # (M',)

        def take(values):  # (B, R, ...) -> (M', ...)
            return values.flatten(0, 1)[places]

        features = {}
        if "subject" in self.visual:
            features |= self.visual["subject"].encode(region_maps[own].to(dtype), head_maps[own].to(dtype), counts)
        if "location" in self.visual:
            same = neighbours(boxes, categories, region_mask, num_neighbours, "same")
            offsets = relative_locations(boxes, same).flatten(2)  # (B, R, K, 5) -> (B, R, 5K)
            locations = location_features(boxes, image_sizes)
            features["location"] = self.visual["location"].encode(
                take(locations).to(dtype), take(offsets).to(dtype), counts
            )
        if "relationship" in self.visual:
            kinds = "different_then_same" if self.config.same_category_neighbours else "different"
            index = neighbours(boxes, categories, region_mask, num_neighbours, kinds)
            offsets = relative_locations(boxes, index)
            among_all = slots.take_along_dim(index.clamp(min=0).flatten(1), 1).view_as(index)  # (B, R, K)
            features["neighbours"] = take(index)
            features["relationship"] = self.visual["relationship"].encode(
                head_maps.to(dtype).mean((2, 3)),  # (M, C4, g, g) -> (M, C4)
                take(torch.where(index >= 0, among_all, -1)),
                take(offsets).to(dtype),
                counts,
            )
        return MAttNetRegionFeatures(slots=slots.clamp(min=0), region_mask=region_mask, **features)

    def match(
        self,
        features: MAttNetRegionFeatures,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        image_index: torch.Tensor | None = None,
        output_attentions: bool = False,
    ) -> MAttNetMatches:
        """
        Every expression on every region of its image.

        Args:
            features: of B images, from `encode_regions`.
            input_ids: (N, T).
            attention_mask: (N, T), 0 at padding; the padding's id is skipped wherever it stands.
            image_index: (N,) image of each expression; needed unless B = 1 or B = N.
            output_attentions: return the weights of words and cells.
        """
        attention_mask = self._check_words(input_ids, attention_mask)
        num_images, num_regions = features.region_mask.shape
        num_expressions = len(input_ids)
        image_index = resolve_image_index(image_index, num_images, num_expressions, input_ids.device)
        phrases, weights, word_attentions = self.language(input_ids, attention_mask)
        slots = features.slots[image_index]  # (B, R) -> (N, R)
        step = max(1, PAIRS_AT_ONCE // max(1, num_regions))
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            step = num_expressions
        # The regions of a single image serve all expressions as they are.
        whole = num_images == 1 and num_regions == features.num_regions
        parts = []
        for start in range(0, num_expressions, step):
            some = slice(start, start + step)
            regions = features.of_regions(None if whole else slots[some])
            parts.append(self._score(regions, phrases[:, some]))
        module_scores, grids, chosen = (
            None if part[0] is None else torch.cat(part) for part in zip(*parts, strict=True)
        )
        scores = torch.einsum("nrs,ns->nr", module_scores, weights).float()  # Eq. 9
        logits = features.attribute_logits
        side = self.config.grid_size
        return MAttNetMatches(
            scores=scores.masked_fill(~features.region_mask[image_index], -torch.inf),
            module_scores=module_scores,
            module_weights=weights,
            word_attentions=word_attentions if output_attentions else None,
            grid_attention=grids.unflatten(-1, (side, side)) if output_attentions and grids is not None else None,
            neighbours=chosen,
            attribute_logits=None if logits is None else logits[features.slots],  # (M, A) -> (B, R, A)
        )

    def match_pairs(
        self,
        region_inputs: dict[str, torch.Tensor],
        region_index: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
    ) -> MAttNetMatches:
        """
        Each expression on one region: the rows of a training batch, with the batch statistics of the original.

        Args:
            region_inputs: arguments of `encode_regions`, by name.
            region_index: (P,) which of the M regions each pair has; a region of several pairs is encoded once.
            input_ids, attention_mask: (P, T).
        """
        attention_mask = self._check_words(input_ids, attention_mask)
        rows, pair_rows, counts = region_index.unique(return_inverse=True, return_counts=True)
        features = self.encode_regions(**region_inputs, rows=rows, counts=counts)
        phrases, weights, word_attentions = self.language(input_ids, attention_mask)
        regions = features.of_regions(pair_rows[:, None])  # (M', ...) -> (P, 1, ...)
        module_scores, _, chosen = self._score(regions, phrases)
        logits = features.attribute_logits
        return MAttNetMatches(
            scores=torch.einsum("prs,ps->p", module_scores, weights).float(),
            module_scores=module_scores[:, 0],
            module_weights=weights,
            word_attentions=word_attentions,
            neighbours=None if chosen is None else chosen[:, 0],
            attribute_logits=None if logits is None else logits[pair_rows],  # (M', A) -> (P, A)
        )

    def _score(self, regions: MAttNetRegionFeatures, phrases: torch.Tensor):
        """Cosines (N, R, S), and, where there is such a module, attention over cells and chosen neighbours."""
        answers = {
            name: module.score(regions, phrase)
            for (name, module), phrase in zip(self.visual.items(), phrases, strict=True)
        }
        scores = torch.stack([score for score, _ in answers.values()], -1)  # S x (N, R) -> (N, R, S)
        return scores, answers.get("subject", (None, None))[1], answers.get("relationship", (None, None))[1]

    def _check_words(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        check_expressions(input_ids, attention_mask, self.config.vocab_size)
        is_word = input_ids != self.config.pad_token_id
        return is_word if attention_mask is None else is_word & attention_mask.bool()


def check_regions(config, region_maps, head_maps, boxes, categories, region_mask, image_sizes) -> None:
    """Raises ValueError unless the arguments of `encode_regions` fit one another and the configuration."""
    num_regions, side = len(region_maps), config.grid_size
    for name, maps, channels in (
        ("region_maps", region_maps, config.region_size),
        ("head_maps", head_maps, config.head_size),
    ):
        expected = (num_regions, channels, side, side)
        if maps.shape != expected:
            raise ValueError(f"{name} has the shape {tuple(maps.shape)}, expected {expected} by the configuration")
    for name, value, shape in (
        ("boxes", boxes, (*region_mask.shape, 4)),
        ("categories", categories, region_mask.shape),
        ("image_sizes", image_sizes, (len(region_mask), 2)),
    ):
        if value.shape != shape:
            raise ValueError(
                f"{name} has the shape {tuple(value.shape)}, expected {tuple(shape)}: region_mask is (B, R) = "
                f"{tuple(region_mask.shape)}"
            )
    on_cpu = region_mask.device.type == "cpu" and not torch.compiler.is_compiling()
    if on_cpu and (marked := int(region_mask.sum())) != num_regions:
        raise ValueError(f"region_mask marks {marked} regions, but there are maps of {num_regions}")


__all__ = ["MAttNetMatching"]
