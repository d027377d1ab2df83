"""
HULANet (Wu, Lin, Cohen, Bui, Maji: PhraseCut, CVPR 2020), from photo and phrases to masks.

A re-implementation from descriptions of the paper: its code is lost and there are no reference outputs. The choices
that are ours are named in docs/hulanet.md.

A detector finds things of many categories, surely or not (or the caller brings them). Each phrase is split into a name,
attributes and relations; a module for each makes a heat map of where the target could be (phrase_modules.py), and their
weighted combination is the answer, which may be several things at once. All that needs no words happens once per image.

B images, M detections in all, R of the image that has most, N phrases of T words; (h, w) the grid of an image, one cell
per `grid_stride` pixels; (H, W) the network's input.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import can_return_tuple

from ...layers.arguments import check_call, refuse_beside, refuse_unknown
from ...layers.image_geometry import ImageGeometry, finite_logits, paste_probabilities
from ...layers.image_index import resolve_image_index
from ...layers.inputs import check_expressions, check_labels, check_pixel_values, input_dtype
from ...layers.regions import Regions
from ...outputs import ReferringSegmentationOutput
from ...saving import SavesItsCode
from ..mask_rcnn.modeling_mask_rcnn import MaskRcnnForInstanceSegmentation
from ..over_detector import OverFrozenDetector
from ..whole_checkpoint import WholeCheckpoint
from .configuration_hulanet import MODULES, HulaNetConfig
from .hulanet_head import HulaNetHead, HulaNetMaps
from .losses_hulanet import instance_attribute_loss, map_loss
from .outputs_hulanet import HulaNetExplanation, HulaNetImageFeatures
from .phrase_modules import ChannelAttention, PhraseEmbeddings, SigmoidOfAffine
from .phrase_structure import WordRole


class HulaNetPreTrainedModel(WholeCheckpoint, SavesItsCode, PreTrainedModel):
    config: HulaNetConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_modalities = ("image", "text")
    _no_split_modules = ["CaffeResNetUnit"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """PyTorch's defaults, and what the modules say of themselves."""
        super()._init_weights(module)
        if isinstance(module, nn.Linear | nn.LSTM | nn.Conv2d):
            fan_in = module.hidden_size if isinstance(module, nn.LSTM) else module.weight[0].numel()
            for parameter in module.parameters():
                init.uniform_(parameter, -(fan_in**-0.5), fan_in**-0.5)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight)
        elif isinstance(module, ChannelAttention | SigmoidOfAffine):
            module.initialize()


class HulaNetForReferringSegmentation(OverFrozenDetector, HulaNetPreTrainedModel):
    """Masks of what phrases mean, out of what was detected."""

    def __init__(self, config: HulaNetConfig):
        super().__init__(config)
        self.detector = MaskRcnnForInstanceSegmentation(config.detector_config)
        self.head = HulaNetHead(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.head.phrases.embeddings

    def set_input_embeddings(self, value: nn.Embedding):
        self.head.phrases.embeddings = value

    # ---- Images to detections ----

    @torch.no_grad()
    def get_image_features(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        image_scales: torch.Tensor | None = None,
        region_boxes: torch.Tensor | Sequence[torch.Tensor] | None = None,
        region_labels: torch.Tensor | Sequence[torch.Tensor] | None = None,
        region_masks: Sequence[torch.Tensor] | None = None,
        region_scores: Sequence[torch.Tensor] | None = None,
        region_features: Sequence[torch.Tensor] | None = None,
        **kwargs,
    ) -> HulaNetImageFeatures:
        """
        All that needs no words; arguments as of `forward`.

        The detector runs only for what the caller does not bring: with boxes (or masks), labels, masks and features of
        all regions it does not run at all.
        """
        refuse_unknown(self, kwargs)
        check_pixel_values(pixel_values)
        images = (pixel_values, pixel_mask, original_sizes, image_scales)
        geometry, regions = ImageGeometry.of(*images), None
        if region_boxes is not None or region_labels is not None or region_masks is not None:
            regions = Regions.of(region_boxes, region_labels, region_masks, image_sizes=geometry.original_sizes)
            regions = replace(regions, scores=self._given_scores(region_scores, regions))
        else:
            of_regions = {"region_scores": region_scores, "region_features": region_features}
            refuse_beside("without regions (region_boxes or region_masks)", of_regions)
        features = None if region_features is None else torch.cat(list(region_features)).to(pixel_values.device)
        needs_features, small = features is None and "attribute" in self.config.modules, None
        if regions is None or regions.labels is None or regions.masks is None or needs_features:
            maps = self.detector.get_image_features(*images)
            regions = self.detector.detect(maps) if regions is None else regions
            regions, crops, head_maps = self.detector.describe_with_labels(maps, regions)
            small = self.detector.draw(head_maps, regions.labels)
            features = pool_regions(crops, head_maps, small) if features is None else features
        small = small if regions.masks is None else None
        return HulaNetImageFeatures(
            detections=self._encode_detections(regions, small, features, geometry),
            regions=regions,
            region_masks=small,
            geometry=geometry,
        )

    @staticmethod
    def _given_scores(scores: Sequence[torch.Tensor] | None, regions: Regions) -> torch.Tensor:
        """(M,): the caller's, or 1 for regions that somebody is sure of."""
        if scores is None:
            return torch.ones(len(regions.boxes), device=regions.boxes.device)
        given = [torch.as_tensor(of_image).float() for of_image in scores]
        if tuple(map(len, given)) != regions.counts:
            raise ValueError(
                f"region_scores has {[len(of_image) for of_image in given]} entries per image, there are "
                f"{list(regions.counts)} regions; give one per region"
            )
        return torch.cat(given).to(regions.boxes.device)

    def _encode_detections(self, regions: Regions, small, features, geometry: ImageGeometry) -> tuple:
        columns = [
            (None,) * len(regions.counts) if values is None else regions.split(values)
            for values in (regions.boxes, small, regions.labels, regions.scores, features)
        ]
        detections = []
        for image, (boxes, probabilities, labels, scores, of_image) in enumerate(zip(*columns, strict=True)):
            size, photo = self.grid_size(geometry.input_sizes[image]), geometry.original_sizes[image]
            if regions.masks is not None:
                masks = sample_masks(regions.masks[image], size)
            else:
                masks = masks_on_grid(probabilities, boxes, photo, size)
            detections.append(self.head.encode_detections(masks, labels, scores, of_image))
        return tuple(detections)

    def grid_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The cells (h, w) of an input of (height, width) pixels."""
        return tuple(max(side // self.config.grid_stride, 1) for side in size)

    # ---- Phrases ----

    def get_text_features(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        word_roles: torch.Tensor | None = None,
        word_categories: torch.Tensor | None = None,
        **kwargs,
    ) -> PhraseEmbeddings:
        """All that needs no image; arguments as of `forward`."""
        refuse_unknown(self, kwargs)
        check_expressions(input_ids, attention_mask, self.config.vocab_size)
        is_word = input_ids != self.config.pad_token_id
        is_word = is_word if attention_mask is None else is_word & attention_mask.bool()
        if word_roles is None:
            word_roles = torch.where(is_word, WordRole.NAME, WordRole.NONE)
        if word_categories is None:
            word_categories = torch.full_like(input_ids, -1)
        for name, values in (("word_roles", word_roles), ("word_categories", word_categories)):
            if values.shape != input_ids.shape:
                raise ValueError(
                    f"{name} has the shape {tuple(values.shape)}, input_ids {tuple(input_ids.shape)}: both are (N, T)"
                )
        return self.head.phrases(input_ids, is_word, word_roles, word_categories)

    # ---- Answers ----

    def to_logits(self, maps: torch.Tensor) -> torch.Tensor:
        """Probabilities to logits that are 0 at the configuration's `mask_threshold`."""
        threshold = self.config.mask_threshold
        logits = finite_logits(maps)
        return logits if threshold == 0.5 else logits - math.log(threshold / (1 - threshold))

    def compute_loss(self, maps: HulaNetMaps, present: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """
        The losses of the phrases of one image, each their sum.

        Args:
            maps: of n phrases.
            present: (n, 3) bool, which modules have something to read.
            labels: (n, height, width) the masks in the network's input, without padding.
        """
        config, losses = self.config, {}
        targets = F.adaptive_avg_pool2d(labels.float(), maps.combined.shape[1:])  # (n, height, width) -> (n, h, w)
        for place, name in enumerate(MODULES):
            if name in config.modules and config.module_loss_weight:
                loss = map_loss(maps[name], targets, config.positive_weight)
                losses[name] = config.module_loss_weight * (loss * present[:, place]).sum()
        if config.final_loss_weight:
            losses["combined"] = (
                config.final_loss_weight * map_loss(maps.combined, targets, config.positive_weight).sum()
            )
        return losses

    def classifier_loss(self, images: tuple, instance_boxes: Sequence, instance_attributes: Sequence) -> torch.Tensor:
        """The loss of the attribute classifier on instances whose attributes are known; arguments as of `forward`."""
        with torch.no_grad():
            maps = self.detector.get_image_features(*images)
            instances = Regions.of(instance_boxes, image_sizes=maps.geometry.original_sizes)
            instances, crops, head_maps = self.detector.describe_with_labels(maps, instances)
            small = self.detector.draw(head_maps, instances.labels)  # -> (G, S, S)
            features = pool_regions(crops, head_maps, small)  # -> (G, C + D)
        labels = torch.cat(list(instance_attributes)).to(features.device)
        classifier = self.head.attribute_classifier
        logits = classifier(features.to(input_dtype(classifier[0])))  # (G, C + D) -> (G, A)
        return instance_attribute_loss(logits, labels, self.config.attribute_weights)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_index: torch.Tensor | None = None,
        word_roles: torch.Tensor | None = None,
        word_categories: torch.Tensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        image_scales: torch.Tensor | None = None,
        image_features: HulaNetImageFeatures | None = None,
        region_boxes: torch.Tensor | Sequence[torch.Tensor] | None = None,
        region_labels: torch.Tensor | Sequence[torch.Tensor] | None = None,
        region_masks: Sequence[torch.Tensor] | None = None,
        region_scores: Sequence[torch.Tensor] | None = None,
        region_features: Sequence[torch.Tensor] | None = None,
        labels: torch.Tensor | None = None,
        instance_boxes: Sequence[torch.Tensor] | None = None,
        instance_attributes: Sequence[torch.Tensor] | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        phrase_structure: Sequence[dict] | None = None,
        **kwargs,
    ) -> ReferringSegmentationOutput:
        """
        Args:
            pixel_values: (B, 3, H, W), the processor's.
            input_ids, attention_mask: (N, T).
            image_index: (N,) image of each phrase; needed unless B = 1 or B = N.
            word_roles: (N, T) what each word says, see [`WordRole`]; None: every word belongs to the name.
            word_categories: (N, T) the category that the words of a name name, -1 for none; None: none.
            pixel_mask: (B, H, W), 0 on padding; None where all images have one size.
            original_sizes, image_scales: (B, 2) height and width of the photos and (B,), by which they were enlarged;
                None: the photos are the network's input itself.
            image_features: what `get_image_features` returned, in place of the images and regions.
            region_boxes: detections, in place of the detector's: per image (R_i, 4), or (B, R, 4).
            region_labels: their categories, per image (R_i,); the detector's guess if not given.
            region_masks: their masks, per image (R_i, H_i, W_i) bool at the size of the photo; drawn if not given.
            region_scores: their scores in [0, 1], per image (R_i,); 1 if not given.
            region_features: features of which attributes are told, per image (R_i, region_size); the detector's if not
                given.
            labels: (N, H, W) masks of the targets in the network's input, to train.
            instance_boxes, instance_attributes: to train the classifier of attributes, per image (G_i, 4) boxes of
                things and (G_i, A) in {0, 1}, which attributes they have.
            output_attentions: return [`HulaNetExplanation`]; None: as the configuration says.
            phrase_structure: the processor's, for people to read; `word_roles` says the same.

        Returns:
            `logits` (N, H, W), `grid_logits`, `region_scores` (N, R), the mean of the map inside each detection, and
            the detections; with labels `loss` and `losses` ("category", "attribute", "relationship", "combined", and
            "attributes" of the classifier).

        Raises:
            ValueError: input that does not fit, or that would not be read. TypeError: an unknown argument.
        """
        given = {"pixel_values": pixel_values, "pixel_mask": pixel_mask}
        given |= {"original_sizes": original_sizes, "image_scales": image_scales}
        check_call(self, kwargs, input_ids, {"image_features": image_features}, given)
        if word_roles is None:
            refuse_beside("without word_roles, which the processor makes of it", {"phrase_structure": phrase_structure})
        instances = {"instance_boxes": instance_boxes, "instance_attributes": instance_attributes}
        if labels is None or image_features is not None:
            refuse_beside("without pixel_values and labels", instances)
        elif (instance_boxes is None) != (instance_attributes is None):
            raise ValueError("instance_boxes and instance_attributes describe the same things: give both, or neither")
        regions = (region_boxes, region_labels, region_masks, region_scores, region_features)
        if image_features is None:
            image_features = self.get_image_features(*given.values(), *regions)
        elif any(values is not None for values in regions):
            raise ValueError("image_features hold their regions: give regions to get_image_features instead")
        phrases = self.get_text_features(input_ids, attention_mask, word_roles, word_categories)
        geometry = image_features.geometry
        image_index = resolve_image_index(image_index, len(geometry.input_sizes), len(input_ids), input_ids.device)
        answers = self._ground(image_features, phrases, image_index)
        outputs = self._assemble(answers, image_features, image_index)
        if labels is not None:
            check_labels(labels, outputs.logits)
            losses = {}
            for image, rows, some, maps in answers:
                height, width = geometry.input_sizes[image]
                of_image = self.compute_loss(maps, some.present, labels[rows, :height, :width])
                losses = {name: losses.get(name, 0) + loss for name, loss in of_image.items()}
            outputs.losses = {name: loss / len(input_ids) for name, loss in losses.items()}
            if instance_attributes is not None:
                loss = self.classifier_loss(tuple(given.values()), instance_boxes, instance_attributes)
                outputs.losses["attributes"] = self.config.attribute_loss_weight * loss
            outputs.loss = sum(outputs.losses.values())
        if self.config.output_attentions if output_attentions is None else output_attentions:
            outputs.explanation = self._explain(answers, phrases, geometry)
        return outputs

    def _ground(self, features: HulaNetImageFeatures, phrases: PhraseEmbeddings, image_index: torch.Tensor) -> list:
        """Per image: its number, the rows of its phrases, what they say and their maps."""
        if len(features.detections) == 1:
            rows = torch.arange(len(image_index), device=image_index.device)
            return [(0, rows, phrases, self.head.ground(features.detections[0], phrases))]
        answers = []
        for image, detections in enumerate(features.detections):
            rows = (image_index == image).nonzero()[:, 0]
            some = phrases.take(rows)
            answers.append((image, rows, some, self.head.ground(detections, some)))
        return answers

    def _assemble(
        self, answers: list, features: HulaNetImageFeatures, image_index: torch.Tensor
    ) -> ReferringSegmentationOutput:
        """The answers of all images, in the order of the phrases."""
        geometry, regions = features.geometry, features.regions
        logits, grid_logits, scores = [], [], []
        for image, _, _, maps in answers:
            detections = features.detections[image]
            # where nothing was detected there is nothing that a phrase could mean
            combined = maps.combined if regions.counts[image] else torch.zeros_like(maps.combined)
            whole = F.interpolate(combined[:, None].float(), geometry.input_sizes[image], mode="bilinear")[:, 0]
            logits.append(self.to_logits(pad_maps(whole, geometry.canvas)))  # (n, height, width) -> (n, H, W)
            grid_logits.append(self.to_logits(pad_maps(combined, self.grid_size(geometry.canvas))))
            inside = self.to_logits(detections.cells.mean_inside(combined.float())).sigmoid()  # (n, h, w) -> (n, R_i)
            scores.append(F.pad(inside, (0, max(regions.counts) - inside.shape[1]), value=-torch.inf))
        order = torch.cat([rows for _, rows, _, _ in answers]).argsort()
        logits, grid_logits, scores = (torch.cat(values)[order] for values in (logits, grid_logits, scores))
        return ReferringSegmentationOutput(
            logits=logits.to(self.dtype),
            grid_logits=grid_logits.to(self.dtype),
            region_scores=scores,
            image_index=image_index,
            original_sizes=geometry.original_sizes,
            detection_boxes=regions.boxes,
            detection_masks=features.region_masks,
            given_detection_masks=regions.masks,
            detection_counts=regions.counts,
        )

    def _explain(self, answers: list, phrases: PhraseEmbeddings, geometry: ImageGeometry) -> HulaNetExplanation:
        order, grid = torch.cat([rows for _, rows, _, _ in answers]).argsort(), self.grid_size(geometry.canvas)

        def collect(name: str) -> torch.Tensor | None:
            parts = [getattr(maps, name) for _, _, _, maps in answers]
            return None if parts[0] is None else torch.cat([pad_maps(part, grid) for part in parts])[order]

        has_attributes = "attribute" in self.config.modules
        sizes = {image: self.grid_size(geometry.input_sizes[image]) for image, _, _, _ in answers}
        labels = self.config.detector_config.id2label
        return HulaNetExplanation(
            category_maps=collect("category"),
            attribute_maps=collect("attribute"),
            relationship_maps=collect("relationship"),
            object_maps=collect("objects"),
            combined_maps=collect("combined"),
            present=phrases.present,
            weights=torch.cat([maps.weights for _, _, _, maps in answers])[order],
            category_attention=self.head.category.attention(phrases.name),
            attribute_attention=self.head.attribute.attention(phrases.attributes) if has_attributes else None,
            grid_sizes=torch.tensor([sizes[image] for image, rows, _, _ in answers for _ in rows])[order.cpu()],
            categories=tuple(labels[index] for index in range(len(labels))),
            attributes=tuple(self.config.attribute_labels or ()) if has_attributes else None,
        )


def pool_regions(crops: torch.Tensor, head_maps: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """
    What attributes are told from: the means of crops (M, C, s, s) and head maps (M, D, t, t) inside of masks (M, S, S),
    in [0, 1]: (M, C + D).

    The head is made for categories, and colors get lost in it; what lies around a thing says nothing of its looks.
    """
    pooled = []
    for maps in (crops, head_maps):
        shares = F.adaptive_avg_pool2d(masks[:, None], maps.shape[-2:])[:, 0].to(maps)  # (M, S, S) -> (M, s, s)
        shares = shares / shares.sum((1, 2), keepdim=True).clamp(min=1e-6)
        pooled.append(torch.einsum("mcyx,myx->mc", maps, shares))
    return torch.cat(pooled, 1)


def masks_on_grid(
    probabilities: torch.Tensor, boxes: torch.Tensor, photo: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """Small masks (R, S, S) in boxes (R, 4) of a photo of (2,) height and width, on its grid: (R, h, w) bool."""
    cells = torch.stack([side * photo.new_ones(()) for side in size])  # traced, too, where a size is not known yet
    scale = cells / photo  # (2,) cells per pixel of the photo
    return paste_probabilities(probabilities, boxes.float() * scale.flip(0).repeat(2), size) > 0.5


def sample_masks(masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Masks (R, H, W) on a grid of `size` (h, w): a cell belongs to a mask if the pixel at its center does."""
    rows, columns = (
        ((torch.arange(cells, device=masks.device) + 0.5) * (pixels / cells)).long()
        for cells, pixels in zip(size, masks.shape[1:], strict=True)
    )
    return masks.index_select(1, rows).index_select(2, columns)


def pad_maps(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Zeros at the right and bottom: (N, h, w) -> (N, *size)."""
    return F.pad(maps, (0, size[1] - maps.shape[2], 0, size[0] - maps.shape[1]))


__all__ = ["HulaNetForReferringSegmentation", "HulaNetPreTrainedModel"]
