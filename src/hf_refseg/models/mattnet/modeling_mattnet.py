"""
MAttNet (Yu, Lin, Shen, Yang, Lu, Bansal, Berg, CVPR 2018), from photo and expressions to masks.

A detector proposes regions (or the caller brings them); each expression is matched with each region of its image by
what it is, where it lies and what lies beside it (matching.py, matching_modules.py); the best region's mask is the
answer. All that needs no words happens once per image, and a mask is drawn only for the regions that are chosen.

B images of up to R regions, M regions in all, N expressions, T words, S modules; C3 and C4 channels of a region's crop
and of the detector's head over it; boxes are xyxy in pixels of the original images, x2 and y2 outside the box.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput, can_return_tuple

from ...layers.image_index import resolve_image_index
from ...layers.inputs import check_expressions
from ...layers.normalize_scale import NormalizeScale
from ...losses import attribute_loss, ranking_loss
from ...outputs import ReferringSegmentationOutput
from ...processing.mask_pasting import paste_probabilities
from ..mask_rcnn.modeling_mask_rcnn import MaskRcnnForInstanceSegmentation
from ..mask_rcnn.outputs_mask_rcnn import MaskRcnnImageFeatures
from .configuration_mattnet import MAttNetConfig
from .matching import MAttNetMatching
from .outputs_mattnet import MAttNetExplanation, MAttNetMatches, MAttNetRegionFeatures
from .regions import Regions, pad_regions

# What the mask probability of a pixel outside the chosen box counts as in the logits, so that they stay finite.
LEAST_PROBABILITY = 1e-6


@dataclass
class MAttNetImageFeatures(ModelOutput):
    """
    Everything about B images that needs no words; reusable for any number of expressions.

    Args:
        matching: what the modules read of each region.
        regions: boxes, categories and, where the caller brought them, masks.
        head_maps: (M, C4, g, g), from which the mask of a chosen region is drawn.
        input_sizes: (height, width) of each image in the network's input, without padding.
        canvas: (H, W) of the network's input.
        original_sizes: (B, 2) height and width of the original images.
        image_scales: (B,), by which they were enlarged.
    """

    matching: MAttNetRegionFeatures | None = None
    regions: Regions | None = None
    head_maps: torch.FloatTensor | None = None
    input_sizes: tuple[tuple[int, int], ...] | None = None
    canvas: tuple[int, int] | None = None
    original_sizes: torch.LongTensor | None = None
    image_scales: torch.FloatTensor | None = None


class MAttNetPreTrainedModel(PreTrainedModel):
    config: MAttNetConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_modalities = ("image", "text")
    _no_split_modules = ["CaffeResNetUnit"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """PyTorch's defaults, as the original has them, but 1 for the batch normalisations (there U(0, 1))."""
        super()._init_weights(module)
        if isinstance(module, nn.Linear | nn.LSTM):
            limit = (module.in_features if isinstance(module, nn.Linear) else module.hidden_size) ** -0.5
            for parameter in module.parameters():
                init.uniform_(parameter, -limit, limit)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight)
        elif isinstance(module, NormalizeScale):
            module.initialise()


class MAttNetForReferringSegmentation(MAttNetPreTrainedModel):
    """Masks of what expressions mean, by choosing among regions."""

    def __init__(self, config: MAttNetConfig):
        super().__init__(config)
        self.detector = MaskRcnnForInstanceSegmentation(config.detector_config)
        if config.region_size != self.detector.crop_channels:
            raise ValueError(
                f"region_size is {config.region_size}, but the detector's feature map has "
                f"{self.detector.crop_channels} channels; make them equal"
            )
        self.matching = MAttNetMatching(config)
        self.post_init()

    @classmethod
    def from_parts(
        cls, detector: MaskRcnnForInstanceSegmentation, matching: MAttNetMatching
    ) -> "MAttNetForReferringSegmentation":
        """A detector and a matching that were made or trained apart; neither is copied.

        Raises:
            ValueError: the matching reads regions of other sizes than the detector's.
        """
        values = {**matching.config.to_diff_dict(), "detector_config": detector.config}
        values.pop("model_type", None)
        with torch.device("meta"):
            model = cls(MAttNetConfig(**values))
        model.detector, model.matching = detector, matching
        model.matching.config = model.config
        return model.train(matching.training)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.matching.language.encoder.embeddings

    def set_input_embeddings(self, value: nn.Embedding):
        self.matching.language.encoder.embeddings = value

    def train(self, mode: bool = True) -> "MAttNetForReferringSegmentation":
        """The detector stays as it is, also its batch normalisations: in the paper nothing in it is trained."""
        super().train(mode)
        self.detector.eval()
        return self

    # ---- Images to regions ----

    @torch.no_grad()
    def find_regions(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        image_scales: torch.Tensor | None = None,
        region_boxes: torch.Tensor | Sequence[torch.Tensor] | None = None,
        region_labels: torch.Tensor | Sequence[torch.Tensor] | None = None,
        region_masks: Sequence[torch.Tensor] | None = None,
    ) -> tuple[MaskRcnnImageFeatures, Regions, torch.Tensor, torch.Tensor]:
        """
        The regions of B images and what the detector says of each; arguments as of `forward`.

        Returns:
            the detector's features, the regions, their crops (M, C3, g, g) and head outputs (M, C4, g, g).
        """
        maps = self.detector.get_image_features(pixel_values, pixel_mask)
        if region_boxes is None:
            found = self.detector.detect(maps, image_scales, original_sizes, at_least_one=True, draw_masks=False)
            counts = torch.bincount(found.image_index, minlength=len(maps.input_sizes)).tolist()
            boxes, labels = found.pred_boxes.split(counts), found.class_labels.split(counts)
            return maps, pad_regions(boxes, labels), found.crops, found.head_features
        regions = pad_regions(region_boxes, region_labels, region_masks, original_sizes)
        crops, head_maps = self.detector.describe_regions(maps, regions.unpadded_boxes(), image_scales)
        if regions.labels is None:
            probabilities = self.detector.head.predict(head_maps)[0]  # (M, K + 1)
            regions = regions.with_labels(probabilities[:, 1:].argmax(-1))
        return maps, regions, crops, head_maps

    def get_image_features(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        image_scales: torch.Tensor | None = None,
        region_boxes: torch.Tensor | Sequence[torch.Tensor] | None = None,
        region_labels: torch.Tensor | Sequence[torch.Tensor] | None = None,
        region_masks: Sequence[torch.Tensor] | None = None,
    ) -> MAttNetImageFeatures:
        """All that needs no words; arguments as of `forward`."""
        sizes, scales = self._image_geometry(pixel_values, pixel_mask, original_sizes, image_scales)
        maps, regions, crops, head_maps = self.find_regions(
            pixel_values, pixel_mask, sizes, scales, region_boxes, region_labels, region_masks
        )
        return MAttNetImageFeatures(
            matching=self.matching.encode_regions(**self._region_inputs(regions, crops, head_maps, sizes)),
            regions=regions,
            head_maps=head_maps,
            input_sizes=maps.input_sizes,
            canvas=tuple(pixel_values.shape[-2:]),
            original_sizes=sizes,
            image_scales=scales,
        )

    @staticmethod
    def _region_inputs(regions: Regions, crops: torch.Tensor, head_maps: torch.Tensor, sizes: torch.Tensor) -> dict:
        return {
            "region_maps": crops,
            "head_maps": head_maps,
            "boxes": regions.xywh(),
            "categories": regions.labels,
            "region_mask": regions.mask,
            "image_sizes": sizes,
        }

    def _image_geometry(self, pixel_values, pixel_mask, original_sizes, image_scales):
        """(B, 2) and (B,): given, or those of the network's input."""
        num_images, device = len(pixel_values), pixel_values.device
        if original_sizes is None and pixel_mask is None:
            original_sizes = torch.tensor([pixel_values.shape[-2:]] * num_images, device=device)
        elif original_sizes is None:
            original_sizes = torch.stack([pixel_mask.any(2).sum(1), pixel_mask.any(1).sum(1)], 1)
        if image_scales is None:
            image_scales = torch.ones(num_images, device=device)
        return original_sizes.to(device), image_scales.to(device).float()

    # ---- Answers ----

    def draw_masks(self, features: MAttNetImageFeatures, places: torch.Tensor) -> torch.Tensor | tuple:
        """Masks of chosen regions, `places` (N, 2) image and region: (N, M, M) probabilities, or the caller's own."""
        regions = features.regions
        if regions.masks is not None:
            return tuple(regions.masks[image][region] for image, region in places.tolist())
        rows = features.matching.slots[places[:, 0], places[:, 1]]
        labels = regions.labels[places[:, 0], places[:, 1]]
        return self.detector.mask_branch(features.head_maps[rows], labels).sigmoid()

    def mask_logits(
        self,
        features: MAttNetImageFeatures,
        masks: torch.Tensor | tuple,
        boxes: torch.Tensor,
        image_index: torch.Tensor,
    ) -> torch.Tensor:
        """The chosen masks in the network's input: (N, H, W) logits, those of no chance outside the boxes."""
        scales = features.image_scales[image_index]
        if isinstance(masks, tuple):
            whole = []
            for mask, image in zip(masks, image_index.tolist(), strict=True):
                size, mask = features.input_sizes[image], mask.to(boxes)[None, None]
                mask = nn.functional.interpolate(mask, size, mode="bilinear", antialias=True)[0, 0]
                space = (0, features.canvas[1] - size[1], 0, features.canvas[0] - size[0])
                whole.append(nn.functional.pad(mask, space))
            probabilities = torch.stack(whole)
        else:
            probabilities = paste_probabilities(masks, boxes * scales[:, None], features.canvas)
        return probabilities.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY).logit()

    def compute_loss(
        self, scores: torch.Tensor, attribute_logits: torch.Tensor | None, attribute_labels: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """
        The ranking loss of right pairs against wrong regions and wrong sentences (Eq. 10), and the attribute loss.

        Args:
            scores: (3P,) of the right pairs, those with a wrong region and those with a wrong sentence.
            attribute_logits, attribute_labels: (3P, A) and (P, A).
        """
        config = self.config
        weights = (config.rank_margin, config.visual_rank_weight, config.language_rank_weight)
        losses = {"rank": ranking_loss(scores, *weights)}
        if attribute_labels is not None and attribute_logits is not None:
            weights = config.attribute_weights
            weights = None if weights is None else torch.tensor(weights, device=scores.device)
            loss = attribute_loss(attribute_logits[: len(attribute_labels)], attribute_labels, weights)
            losses["attributes"] = config.attribute_loss_weight * loss
        return losses

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_index: torch.Tensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        image_scales: torch.Tensor | None = None,
        image_features: MAttNetImageFeatures | None = None,
        region_boxes: torch.Tensor | Sequence[torch.Tensor] | None = None,
        region_labels: torch.Tensor | Sequence[torch.Tensor] | None = None,
        region_masks: Sequence[torch.Tensor] | None = None,
        region_mask: torch.Tensor | None = None,
        region_index: torch.Tensor | None = None,
        attribute_labels: torch.Tensor | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> ReferringSegmentationOutput:
        """
        Args:
            pixel_values: (B, 3, H, W), the processor's.
            input_ids, attention_mask: (N, T), padded on the right.
            image_index: (N,) image of each expression; needed unless B = 1 or B = N.
            pixel_mask: (B, H, W), 0 on padding; None where all images have one size.
            original_sizes: (B, 2) height and width of the original images; None: those of the network's input.
            image_scales: (B,), by which the images were enlarged; None: 1.
            image_features: what `get_image_features` returned, in place of the images and regions.
            region_boxes: regions to choose among, in place of the detector's: per image (R_i, 4), or (B, R, 4).
            region_labels: their categories, per image (R_i,); the detector's own guess if not given. They decide which
                regions are of the same kind, and which of the detector's masks is drawn.
            region_masks: their masks, per image (R_i, H_i, W_i) bool at the original size; drawn if not given.
            region_mask: (B, R) bool, False where `region_boxes` (B, R, 4) are padding.
            region_index: to train, (3P,) the region of each pair, counted over all images without padding: P right
                ones, P wrong ones, and the right ones again; `input_ids` (3P, T) are then P right, P right and P wrong
                expressions. [`MAttNetCollator`] makes them.
            attribute_labels: (P, A) in {0, 1}; rows of zeros take no part.
            output_attentions: return a [`MAttNetExplanation`]; None: as `config.output_attentions` says.

        Returns:
            `logits` (N, H, W), `pred_boxes`, `scores`, `region_scores`, `chosen`, `region_masks` or
            `given_masks`; in training `loss`, `losses` ("rank",
            "attributes") and `scores` (3P,).

        Raises:
            ValueError: input that does not fit, an image without any region, or a training step without regions.
        """
        if input_ids is None:
            raise ValueError("the model needs input_ids: what to look for")
        check_expressions(input_ids, attention_mask, self.config.vocab_size)
        if image_features is None and pixel_values is None:
            raise ValueError("give pixel_values or image_features")
        if image_features is not None and region_boxes is not None and region_index is None:
            raise ValueError("image_features hold their regions: give region_boxes to get_image_features instead")
        if region_mask is not None:
            region_boxes = [boxes[mask] for boxes, mask in zip(region_boxes, region_mask.bool(), strict=True)]
            if region_labels is not None:
                region_labels = [labels[mask] for labels, mask in zip(region_labels, region_mask.bool(), strict=True)]
        if region_index is not None:
            images = (pixel_values, pixel_mask, original_sizes, image_scales)
            regions = (region_boxes, region_labels, region_index)
            return self._training_step(images, regions, (input_ids, attention_mask), attribute_labels)
        if image_features is None:
            image_features = self.get_image_features(
                pixel_values, pixel_mask, original_sizes, image_scales, region_boxes, region_labels, region_masks
            )
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        regions = image_features.regions
        image_index = resolve_image_index(image_index, len(regions.mask), len(input_ids), input_ids.device)
        regions.require_some(image_index)
        matches = self.matching.match(
            image_features.matching, input_ids, attention_mask, image_index, output_attentions
        )
        chosen = matches.scores.argmax(1)  # Eq. 9: (N, R) -> (N,)
        boxes = regions.boxes[image_index, chosen]  # (B, R, 4) -> (N, 4)
        masks = self.draw_masks(image_features, torch.stack([image_index, chosen], 1))
        explanation = None
        if output_attentions:
            explanation = self.explain(matches, chosen, regions.boxes[image_index])
        return ReferringSegmentationOutput(
            logits=self.mask_logits(image_features, masks, boxes, image_index),
            pred_boxes=boxes,
            scores=matches.scores.amax(1),
            region_scores=matches.scores,
            chosen=chosen,
            region_masks=None if isinstance(masks, tuple) else masks,
            given_masks=masks if isinstance(masks, tuple) else None,
            image_index=image_index,
            original_sizes=image_features.original_sizes,
            explanation=explanation,
        )

    def _training_step(
        self, images: tuple, regions: tuple, words: tuple, attribute_labels
    ) -> ReferringSegmentationOutput:
        region_boxes, region_labels, region_index = regions
        if images[0] is None or region_boxes is None or region_labels is None:
            raise ValueError("a training step (region_index) needs pixel_values, region_boxes and region_labels too")
        pixel_values, pixel_mask, *geometry = images
        sizes, scales = self._image_geometry(pixel_values, pixel_mask, *geometry)
        _, found, crops, head_maps = self.find_regions(
            pixel_values, pixel_mask, sizes, scales, region_boxes, region_labels
        )
        if len(region_index) != len(words[0]) or len(region_index) % 3:
            raise ValueError(
                f"region_index names {len(region_index)} pairs, input_ids holds {len(words[0])} expressions; give "
                "three times as many of each as there are right pairs"
            )
        if region_index.device.type == "cpu" and not 0 <= region_index.min() <= region_index.max() < len(crops):
            raise ValueError(
                f"region_index runs from {region_index.min()} to {region_index.max()}, but there are {len(crops)} "
                "regions"
            )
        inputs = self._region_inputs(found, crops, head_maps, sizes)
        matches = self.matching.match_pairs(inputs, region_index, *words)
        losses = self.compute_loss(matches.scores, matches.attribute_logits, attribute_labels)
        return ReferringSegmentationOutput(loss=sum(losses.values()), losses=losses, scores=matches.scores)

    def explain(self, matches: MAttNetMatches, chosen: torch.Tensor, region_boxes: torch.Tensor) -> MAttNetExplanation:
        """What the modules thought of the chosen regions (N,) among all of their images, `region_boxes` (N, R, 4)."""
        rows = torch.arange(len(chosen), device=chosen.device)
        grid, neighbors = matches.grid_attention, matches.neighbours
        return MAttNetExplanation(
            modules=tuple(self.config.modules),
            word_attentions=matches.word_attentions,
            module_weights=matches.module_weights,
            module_scores=matches.module_scores,
            grid_attention=None if grid is None else grid[rows, chosen],  # (N, R, g, g) -> (N, g, g)
            neighbours=None if neighbors is None else neighbors[rows, chosen],  # (N, R) -> (N,)
            chosen=chosen,
            region_boxes=region_boxes,
        )


__all__ = ["MAttNetForReferringSegmentation", "MAttNetImageFeatures", "MAttNetPreTrainedModel"]
