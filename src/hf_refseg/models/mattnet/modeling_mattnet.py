"""
MAttNet (Yu, Lin, Shen, Yang, Lu, Bansal, Berg, CVPR 2018), from photo and expressions to masks.

A detector proposes regions (or the caller brings them); each expression is matched with each region of its image by
what it is, where it lies and what lies beside it (matching.py, matching_modules.py); the best region's mask is the
answer. All that needs no words happens once per image, and a mask is drawn only for the regions that are chosen.

B images of up to R regions, M regions in all, N expressions, T words, S modules; C3 and C4 channels of a region's crop
and of the detector's head over it, on g x g cells. Boxes are xyxy in pixels of the photos, x2 and y2 outside the box.
"""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput, can_return_tuple

from ...layers.arguments import check_call, check_sources, refuse_beside, refuse_unknown, require_all
from ...layers.image_geometry import finite_logits
from ...layers.image_index import resolve_image_index
from ...layers.inputs import values_are_readable
from ...layers.normalize_scale import NormalizeScale
from ...layers.regions import Regions
from ...losses import attribute_loss, ranking_loss
from ...outputs import ReferringSegmentationOutput
from ...saving import SavesItsCode
from ..detectors import make_detector
from ..over_detector import OverFrozenDetector
from ..whole_checkpoint import WholeCheckpoint
from .configuration_mattnet import MAttNetConfig
from .matching import MAttNetMatching
from .outputs_mattnet import MAttNetExplanation, MAttNetImageFeatures, MAttNetMatches, MAttNetTextFeatures

REGIONS_OF_A_STEP = ["region_boxes", "region_labels"]  # what a training step is told of them


class MAttNetPreTrainedModel(WholeCheckpoint, SavesItsCode, PreTrainedModel):
    config: MAttNetConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_modalities = ("image", "text")
    _no_split_modules = ["CaffeResNetUnit"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """PyTorch's defaults, as the original has them, but 1 for the batch normalizations (there U(0, 1))."""
        super()._init_weights(module)
        if isinstance(module, nn.Linear | nn.LSTM):
            limit = (module.in_features if isinstance(module, nn.Linear) else module.hidden_size) ** -0.5
            for parameter in module.parameters():
                init.uniform_(parameter, -limit, limit)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight)
        elif isinstance(module, NormalizeScale):
            module.initialize()


class MAttNetForReferringSegmentation(OverFrozenDetector, MAttNetPreTrainedModel):
    """Masks of what expressions mean, by choosing among regions."""

    def __init__(self, config: MAttNetConfig):
        super().__init__(config)
        self.detector = make_detector(config.detector_config)
        if config.region_size != self.detector.crop_channels:
            raise ValueError(
                f"region_size is {config.region_size}, but the detector's feature map has "
                f"{self.detector.crop_channels} channels; make them equal"
            )
        self.matching = MAttNetMatching(config)
        self.post_init()
        self.train()

    @classmethod
    def from_parts(cls, detector: PreTrainedModel, matching: MAttNetMatching) -> "MAttNetForReferringSegmentation":
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

    # ---- Images and words, each by itself ----

    def get_image_features(
        self,
        pixel_values: torch.Tensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        image_scales: torch.Tensor | None = None,
        region_boxes: torch.Tensor | Sequence | None = None,
        region_labels: torch.Tensor | Sequence | None = None,
        region_masks: torch.Tensor | Sequence | None = None,
        detector_features: ModelOutput | None = None,
        **kwargs,
    ) -> MAttNetImageFeatures:
        """
        All that needs no words, for any number of expressions. Arguments as of `forward`; call it with all that the
        processor returned, `get_image_features(**inputs)`: without the sizes and scales of the photos the boxes and
        masks are those of the network's input.
        """
        refuse_unknown(self, kwargs)
        images = {"pixel_mask": pixel_mask, "original_sizes": original_sizes, "image_scales": image_scales}
        check_sources({"detector_features": detector_features}, {"pixel_values": pixel_values, **images})
        if detector_features is None:
            detector_features = self.detector.get_image_features(pixel_values, pixel_mask, original_sizes, image_scales)
        regions, crops, head_maps = self.detector.find_regions(
            detector_features, region_boxes, region_labels, region_masks, at_least_one=True
        )
        geometry = detector_features.geometry
        return MAttNetImageFeatures(
            regions=regions,
            matching=self.matching.encode_regions(regions, crops, head_maps, geometry.original_sizes),
            head_maps=head_maps,
            geometry=geometry,
        )

    def get_text_features(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> MAttNetTextFeatures:
        """All that needs no image: what each module is asked, and how much it counts; arguments as of `forward`."""
        refuse_unknown(self, kwargs)
        return self.matching.encode_words(input_ids, attention_mask)

    # ---- Answers ----

    def draw_answers(
        self, features: MAttNetImageFeatures, image_index: torch.Tensor, chosen: torch.Tensor
    ) -> dict[str, torch.Tensor | tuple[torch.Tensor, ...]]:
        """
        Box and mask of the region `chosen` (N,) of each expression's image, and the mask in the network's input.

        Returns:
            pred_boxes (N, 4), logits (N, H, W), and region_masks (N, 2g, 2g), or given_masks where the caller brought
            masks.
        """
        regions, geometry = features.regions, features.geometry
        rows = regions.rows(image_index, chosen)  # (N,) of the M regions
        boxes = regions.boxes[rows].float()  # (M, 4) -> (N, 4)
        if regions.masks is None:
            masks = {"region_masks": self.detector.draw(features.head_maps[rows], regions.labels[rows])}
            probabilities = geometry.paste(masks["region_masks"], boxes, image_index)  # (N, 2g, 2g) -> (N, H, W)
        else:
            masks = {"given_masks": regions.given_masks(image_index, chosen)}
            probabilities = geometry.resize(masks["given_masks"], image_index)  # N x (H_i, W_i) -> (N, H, W)
        return {"pred_boxes": boxes, "logits": finite_logits(probabilities), **masks}

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
        region_boxes: torch.Tensor | Sequence | None = None,
        region_labels: torch.Tensor | Sequence | None = None,
        region_masks: torch.Tensor | Sequence | None = None,
        detector_features: ModelOutput | None = None,
        region_crops: torch.Tensor | None = None,
        region_head_maps: torch.Tensor | None = None,
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
            original_sizes, image_scales: (B, 2) height and width of the photos and (B,), by which they were enlarged;
                None: the photos are the network's input itself.
            image_features: what `get_image_features` returned, in place of the images and regions.
            region_boxes: regions to choose among, in place of the detector's, in pixels of the photos: (B, R, 4), or
                per image (R_i, 4), in tensors, arrays or lists.
            region_labels: their categories, (B, R) or per image (R_i,); the detector's guess if not given. They say
                which regions are of the same kind, and which of the detector's masks is drawn.
            region_masks: their masks, per image (R_i, H_i, W_i) bool at the original size, or SAM's list of dicts. With
                them alone, the boxes are drawn around them; without them, the detector draws masks in the boxes.
            detector_features: what `detector.get_image_features` returned, in place of the images: to ask about the
                detector's regions and about others without encoding the images twice.
            region_crops, region_head_maps: to train, (M, C, S, S) and (M, D, S, S) that the detector's `describe` said
                of `region_boxes`, in place of the images; then `original_sizes` are needed.
            region_index: to train, (3P,) the region of each pair, counted over all images: P right ones, P wrong ones,
                and the right ones again; `input_ids` (3P, T) are then P right, P right and P wrong expressions.
            attribute_labels: (P, A) in {0, 1}; rows of zeros take no part.
            output_attentions: return a [`MAttNetExplanation`]; None: as `config.output_attentions` says.

        Returns:
            `logits` (N, H, W), `pred_boxes`, `scores`, `region_scores`, `chosen`, and `region_masks` or `given_masks`;
            in training `loss`, `losses` ("rank", "attributes") and `scores` (3P,).

        Raises:
            ValueError: input that does not fit, an image without any region, images or regions beside `image_features`,
                or a training step without regions. TypeError: an unknown argument, such as `labels`: MAttNet learns to
                choose among regions, not to draw masks.
        """
        images = {"pixel_mask": pixel_mask, "original_sizes": original_sizes, "image_scales": image_scales}
        described = {"region_crops": region_crops, "region_head_maps": region_head_maps}
        features = {"image_features": image_features, "detector_features": detector_features}
        given = {"pixel_values": pixel_values, **images}
        if region_crops is not None:
            features["region_crops"] = region_crops
            given.pop("original_sizes")
        check_call(self, kwargs, input_ids, features, given)
        text = self.get_text_features(input_ids, attention_mask)
        brought = {"region_boxes": region_boxes, "region_labels": region_labels, "region_masks": region_masks}
        brought = {name: value for name, value in brought.items() if value is not None}
        if region_index is not None:
            if image_features is not None or detector_features is not None or list(brought) != REGIONS_OF_A_STEP:
                raise ValueError(
                    "a training step (region_index) needs pixel_values, region_boxes and region_labels too, and takes "
                    "no image_features, detector_features or region_masks"
                )
            refuse_beside(
                "in a training step (region_index)",
                {"image_index": image_index, "output_attentions": output_attentions or None},
            )
            if region_crops is None:
                refuse_beside("without region_crops", {"region_head_maps": region_head_maps})
                encoded = self.detector.get_image_features(pixel_values, **images)
                regions, region_crops, region_head_maps = self.detector.find_regions(encoded, **brought)
                original_sizes = encoded.geometry.original_sizes
            else:
                require_all({**described, "original_sizes": original_sizes}, "a training step on described regions")
                regions = Regions.of(**brought, image_sizes=original_sizes)
            return self._training_step(
                regions, region_crops, region_head_maps, original_sizes, region_index, text, attribute_labels
            )
        refuse_beside("without region_index", described)
        if attribute_labels is not None:
            raise ValueError("attribute_labels are those of a training step: give region_index too")
        if image_features is None:
            image_features = self.get_image_features(
                pixel_values, **images, **brought, detector_features=detector_features
            )
        elif brought:
            raise ValueError(
                f"image_features hold their regions already; give {', '.join(brought)} to get_image_features instead"
            )
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        regions = image_features.regions
        image_index = resolve_image_index(image_index, len(regions.counts), len(input_ids), input_ids.device)
        regions.require_some(image_index)
        matches = self.matching.match(regions, image_features.matching, text, image_index, output_attentions)
        chosen = matches.scores.argmax(1)  # Eq. 9: (N, R) -> (N,)
        explanation = None
        if output_attentions:
            boxes = regions.pad(regions.boxes)[image_index]  # (M, 4) -> (B, R, 4) -> (N, R, 4)
            explanation = self.explain(text, matches, chosen, boxes)
        return ReferringSegmentationOutput(
            **self.draw_answers(image_features, image_index, chosen),
            scores=matches.scores.amax(1),  # (N, R) -> (N,)
            region_scores=matches.scores,
            chosen=chosen,
            image_index=image_index,
            original_sizes=image_features.geometry.original_sizes,
            explanation=explanation,
        )

    def _training_step(
        self,
        regions: Regions,
        crops: torch.Tensor,
        head_maps: torch.Tensor,
        image_sizes: torch.Tensor,
        region_index: torch.Tensor,
        text: MAttNetTextFeatures,
        attribute_labels: torch.Tensor | None,
    ) -> ReferringSegmentationOutput:
        """The losses of P right pairs; regions and what is known of them as of `MAttNetMatching.encode_regions`."""
        num_expressions, num_regions = len(text.module_weights), len(regions.boxes)
        if len(region_index) != num_expressions or len(region_index) % 3:
            raise ValueError(
                f"region_index names {len(region_index)} pairs, input_ids holds {num_expressions} expressions; give "
                "three times as many of each as there are right pairs"
            )
        if values_are_readable(region_index) and not 0 <= region_index.min() <= region_index.max() < num_regions:
            raise ValueError(
                f"region_index runs from {region_index.min()} to {region_index.max()}, but there are {num_regions} "
                "regions"
            )
        matches = self.matching.match_pairs(regions, crops, head_maps, image_sizes, region_index, text)
        losses = self.compute_loss(matches.scores, matches.attribute_logits, attribute_labels)
        return ReferringSegmentationOutput(loss=sum(losses.values()), losses=losses, scores=matches.scores)

    def explain(
        self, text: MAttNetTextFeatures, matches: MAttNetMatches, chosen: torch.Tensor, region_boxes: torch.Tensor
    ) -> MAttNetExplanation:
        """What the modules thought of the chosen regions (N,) among all of their images, `region_boxes` (N, R, 4)."""
        rows = torch.arange(len(chosen), device=chosen.device)
        grid, neighbors = matches.grid_attention, matches.neighbors
        return MAttNetExplanation(
            modules=tuple(self.config.modules),
            word_attentions=text.word_attentions,
            module_weights=text.module_weights,
            module_scores=matches.module_scores,
            grid_attention=None if grid is None else grid[rows, chosen],  # (N, R, g, g) -> (N, g, g)
            neighbors=None if neighbors is None else neighbors[rows, chosen],  # (N, R) -> (N,)
            chosen=chosen,
            region_boxes=region_boxes.float(),
        )


__all__ = ["MAttNetForReferringSegmentation", "MAttNetPreTrainedModel"]
