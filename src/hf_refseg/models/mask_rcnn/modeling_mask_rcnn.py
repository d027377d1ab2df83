"""
Mask R-CNN (He et al., ICCV 2017) with a ResNet C4 head, as it lies below MAttNet (Yu et al. 2018) and CAC (Chen 2019).

A backbone makes a feature map of stride 16. Five steps follow, each of which takes any feature map and any regions:
`propose` finds boxes in the map; `score` reads a 7x7 crop of each with the last stage of the ResNet and says its
category and a better box; `choose` keeps the sure ones that do not overlap, as regions; `describe` crops and reads
these; and `draw` makes a 14x14 mask of each. The original drew the masks of all 300 proposals and threw them away.

B images, A anchors per cell, P proposals and M regions of all images, K categories, C and D channels of backbone and
head, S cells per side of a crop, (h, w) feature map. Proposals lie in the network's input and have both corners inside
(see boxes.py), regions lie in the photos (see layers/image_geometry.py).
"""

from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import can_return_tuple

from ...layers.frozen_convolution import FrozenBatchNorm2d
from ...layers.image_geometry import ImageGeometry, exclusive_to_inclusive, inclusive_to_exclusive, run_by_size
from ...layers.image_index import packed_image_index
from ...layers.inputs import check_pixel_values
from ...layers.regions import Regions
from ...layers.roi_crop import crop_regions
from ...saving import SavesItsCode
from ..backbones import load_backbone
from ..region_detector import RegionDetector
from ..whole_checkpoint import WholeCheckpoint
from .boxes import (
    clip_boxes,
    clip_boxes_outwards,
    decode_boxes,
    make_anchors,
    shift_anchors,
    suppress,
    suppress_until,
)
from .configuration_mask_rcnn import MaskRcnnConfig
from .detector_modules import MaskBranch, RegionHead, RegionProposalNetwork
from .outputs_mask_rcnn import MaskRcnnImageFeatures, MaskRcnnOutput, Proposals, ProposalScores
from .training_targets import detection_losses, proposal_losses, sample_regions

SCORE_STEP = 0.1  # by which the threshold goes down for an image without detections


class MaskRcnnPreTrainedModel(WholeCheckpoint, SavesItsCode, PreTrainedModel):
    config: MaskRcnnConfig
    base_model_prefix = "detector"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _no_split_modules = ["CaffeResNetUnit"]
    supports_gradient_checkpointing = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, FrozenBatchNorm2d):
            module.initialize()
        for layer, std in self.small_layers():
            if module is layer:
                init.normal_(module.weight, std=std)
                init.zeros_(module.bias)

    def small_layers(self) -> list[tuple[nn.Module, float]]:
        """Layers that start from small weights, and the standard deviation of these (the original's)."""
        return []


class MaskRcnnForInstanceSegmentation(RegionDetector, MaskRcnnPreTrainedModel):
    """Boxes, categories and masks of the things in images."""

    masks_by_category = True

    def __init__(self, config: MaskRcnnConfig):
        super().__init__(config)
        self.backbone = load_backbone(config)
        channels = self.backbone.channels[-1]
        self.rpn = RegionProposalNetwork(config, channels)
        self.head = RegionHead(config, channels)
        self.mask_branch = MaskBranch(config)
        self.post_init()

    def small_layers(self) -> list[tuple[nn.Module, float]]:
        rpn, head = self.rpn, self.head
        layers = [rpn.convolution, rpn.class_logits, rpn.box_deltas, head.class_logits, self.mask_branch.mask_logits]
        return [*((layer, 0.01) for layer in layers), (head.box_deltas, 0.001)]

    @property
    def crop_channels(self) -> int:
        """Channels C of the feature map and its crops."""
        return self.backbone.channels[-1]

    # ---- Images to feature maps ----

    def get_image_features(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        image_scales: torch.Tensor | None = None,
        **kwargs,
    ) -> MaskRcnnImageFeatures:
        """
        The feature maps of B images, and where these lie in the network's input; call it with all that the processor
        returned, `get_image_features(**inputs)`. Arguments as of `forward`.

        Only images of one size run through the backbone together: padding that enters a convolution
        leaks into an image's border, and a detection must not depend on what else is in the batch.
        """
        check_pixel_values(pixel_values)
        geometry = ImageGeometry.of(pixel_values, pixel_mask, original_sizes, image_scales)
        pixel_values, sizes = pixel_values.to(self.dtype), geometry.input_sizes
        if len(set(sizes)) == 1:
            height, width = sizes[0]
            maps = self._feature_map(pixel_values[:, :, :height, :width])
        else:
            parts = run_by_size(self._feature_map, pixel_values, sizes)
            limits = [max(part.shape[dim] for part in parts) for dim in (1, 2)]
            maps = torch.stack(  # B x (C, h_i, w_i) -> (B, C, h, w)
                [F.pad(part, (0, limits[1] - part.shape[2], 0, limits[0] - part.shape[1])) for part in parts]
            )
        return MaskRcnnImageFeatures(maps=maps, geometry=geometry)

    def _feature_map(self, pixel_values: torch.Tensor) -> torch.Tensor:
        if pixel_values.device.type == "cpu" or pixel_values.is_cuda:
            pixel_values = pixel_values.contiguous(memory_format=torch.channels_last)
        maps = self.backbone(pixel_values).feature_maps[-1]  # (B, 3, H, W) -> (B, C, h, w)
        if maps.shape[-2:] != self.map_size(tuple(pixel_values.shape[-2:])):
            raise ValueError(
                f"the backbone makes a map of {tuple(maps.shape[-2:])} from an input of "
                f"{tuple(pixel_values.shape[-2:])}, which is not a stride of config.feature_stride="
                f"{self.config.feature_stride}; set feature_stride, or the backbone's out_features"
            )
        return maps

    def map_size(self, input_size: tuple[int, int]) -> tuple[int, int]:
        """Cells (h, w) that an input of (H, W) pixels has."""
        return tuple(-(-length // self.config.feature_stride) for length in input_size)

    # ---- Propose: feature maps to boxes of anything ----

    def anchors(self, map_size: tuple[int, int], device: torch.device) -> torch.Tensor:
        """All anchors of a map: (h * w * A, 4), in pixels of the network's input."""
        config = self.config
        anchors = make_anchors(config.anchor_base_size, list(config.anchor_ratios), list(config.anchor_scales))
        return shift_anchors(anchors.to(device), *map_size, config.feature_stride)

    @torch.no_grad()
    def select_proposals(
        self, logits: torch.Tensor, deltas: torch.Tensor, input_size: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        The best proposals of one image: boxes (P, 4) in pixels of the network's input and scores (P,), best first.

        Args:
            logits: (h * w * A, 2).
            deltas: (h * w * A, 4).
            input_size: (H, W) of the image in the network's input.
        """
        config = self.config
        before = config.train_pre_nms_top_n if self.training else config.pre_nms_top_n
        after = config.train_post_nms_top_n if self.training else config.post_nms_top_n
        anchors = self.anchors(self.map_size(input_size), logits.device)
        boxes = decode_boxes(anchors, deltas.float())
        boxes = clip_boxes(boxes, torch.tensor(input_size, device=boxes.device))
        scores, order = logits.float().softmax(-1)[:, 1].sort(descending=True, stable=True)
        boxes, scores = boxes[order[:before]], scores[:before]
        kept = suppress_until(inclusive_to_exclusive(boxes), scores, config.rpn_nms_threshold, after)
        return boxes[kept], scores[kept]

    def propose(self, features: MaskRcnnImageFeatures) -> Proposals:
        """Where the region proposal network sees anything in the maps of B images."""
        logits, deltas = self.rpn(features.maps)
        found, anchor_values = [], []
        for image, input_size in enumerate(features.geometry.input_sizes):
            height, width = self.map_size(input_size)
            of_image = [  # (h, w, A, 2) -> (h_i * w_i * A, 2), without the cells of the padding
                values[image, :height, :width].flatten(0, 2) for values in (logits, deltas)
            ]
            anchor_values.append(of_image)
            found.append(self.select_proposals(*of_image, input_size))
        boxes, scores = zip(*found, strict=True)
        counts = tuple(len(of_image) for of_image in boxes)
        return Proposals(torch.cat(boxes), torch.cat(scores), counts, *map(tuple, zip(*anchor_values, strict=True)))

    # ---- Score: proposals to categories and better boxes ----

    def crop(self, maps: torch.Tensor, boxes: torch.Tensor, image_index: torch.Tensor) -> torch.Tensor:
        """
        The parts of maps (B, C, h, w) in boxes: (R, C, S, S).

        Args:
            boxes: (R, 4), both corners inside, in pixels of the network's input.
            image_index: (R,) the map of each box.
        """
        config = self.config
        return crop_regions(maps, boxes, image_index, config.feature_stride, config.crop_size, config.crop)

    def score(self, features: MaskRcnnImageFeatures, proposals: Proposals) -> ProposalScores:
        """The probability of every category at every proposal, and the box that each category would have there."""
        geometry, image_index = features.geometry, proposals.image_index
        crop = partial(self.crop, boxes=proposals.boxes, image_index=image_index)
        num_points = len(proposals.boxes) * self.config.crop_size**2
        logits, deltas = self.head.predict(self.head.read_map(features.maps, crop, num_points))
        # The paper decodes after it has divided by the scale, so that a pixel more of width is one of the photo.
        boxes = proposals.boxes / geometry.image_scales[image_index, None]
        std = torch.tensor(self.config.box_std, device=deltas.device)
        boxes = decode_boxes(boxes[:, None], deltas.float() * std)  # (P, 1, 4) -> (P, K + 1, 4)
        boxes = clip_boxes_outwards(boxes, geometry.original_sizes[image_index, None])
        return ProposalScores(logits, inclusive_to_exclusive(boxes), proposals.counts)

    # ---- Choose: scored proposals to regions ----

    def _choose_in_image(
        self, boxes: torch.Tensor, probabilities: torch.Tensor, threshold: float, at_least_one: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(P, K + 1, 4) and (P, K) to boxes (N, 4), scores (N,) and categories (N,)."""
        while at_least_one and threshold > 0 and not (probabilities >= threshold).any():  # at 0 only NaN is left out
            threshold = max(threshold - SCORE_STEP, 0.0)
        # What is below the threshold suppresses nothing that is above it, so it may go before the suppression.
        proposals, categories = (probabilities >= threshold).nonzero(as_tuple=True)
        chosen = []
        for category in categories.unique().tolist():
            rows = proposals[categories == category]
            kept = suppress(boxes[rows, category + 1], probabilities[rows, category], self.config.nms_threshold, True)
            chosen += [(row, category) for row in rows[kept].tolist()]
        rows, categories = torch.tensor(chosen, dtype=torch.long, device=boxes.device).reshape(-1, 2).unbind(1)
        scores = probabilities[rows, categories]
        if len(scores) > self.config.max_detections:
            best = scores.argsort(descending=True, stable=True)[: self.config.max_detections].sort().values
            rows, categories, scores = rows[best], categories[best], scores[best]
        return boxes[rows, categories + 1], scores, categories

    # ---- Describe and draw: any regions to what is known of them ----

    @property
    def summary_channels(self) -> int:
        """Numbers that `summarize` says of a region beside its class scores: C of the crop and D of the head."""
        return self.crop_channels + self.config.head_size

    def summarize(self, features: MaskRcnnImageFeatures, regions: Regions) -> tuple[torch.Tensor, torch.Tensor]:
        """Class scores (M, K) and averages (M, C + D) of any regions: what words are matched with."""
        crops, head_maps = self.describe(features, regions)
        logits, _ = self.head.predict(head_maps)  # (M, D, S, S) -> (M, K + 1)
        return logits.float().softmax(1)[:, 1:], torch.cat([crops.mean((2, 3)), head_maps.mean((2, 3))], 1)

    def describe(
        self, features: MaskRcnnImageFeatures, regions: Regions, class_scores: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Crops (M, C, S, S) of any regions of B images, and the head's maps (M, D, S, S) of them; `class_scores` are
        not read, for the masks of each category are drawn apart. NanoDet needs them."""
        image_index = regions.image_index
        crops = self.crop(features.maps, features.geometry.to_network(regions.boxes, image_index), image_index)
        return crops, self.head(crops)

    def describe_with_labels(
        self, features: MaskRcnnImageFeatures, regions: Regions
    ) -> tuple[Regions, torch.Tensor, torch.Tensor]:
        """The same, and the regions with the head's likeliest category where nobody has said one."""
        crops, head_maps = self.describe(features, regions)
        if regions.labels is None:
            logits, _ = self.head.predict(head_maps)  # (M, D, S, S) -> (M, K + 1)
            regions = replace(regions, labels=logits[:, 1:].argmax(-1))
        return regions, crops, head_maps

    def draw(self, head_maps: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """
        Mask probabilities of regions in their boxes: (M, D, S, S) and categories (M,) -> (M, 2S, 2S).

        Raises:
            ValueError: (where `values_are_readable`) a category that the detector does not have.
        """
        self.check_labels(labels)
        return self.mask_branch(head_maps, labels).sigmoid()

    # ---- Training ----

    def compute_losses(self, features: MaskRcnnImageFeatures, labels: list[dict]) -> dict[str, torch.Tensor]:
        """The five losses, each a mean over images; `labels` as of `forward`."""
        proposals = self.propose(features)
        terms = {"rpn_class": [], "rpn_box": []}
        samples = []
        sizes, proposed = features.geometry.input_sizes, proposals.boxes.split(proposals.counts)
        for image, (size, truth) in enumerate(zip(sizes, labels, strict=True)):
            anchors = self.anchors(self.map_size(size), features.maps.device)
            predictions = (proposals.logits[image], proposals.deltas[image])
            boxes = exclusive_to_inclusive(truth["boxes"].float())
            class_loss, box_loss = proposal_losses(self.config, anchors, *predictions, boxes, size)
            terms["rpn_class"].append(class_loss)
            terms["rpn_box"].append(box_loss)
            samples.append(sample_regions(self.config, proposed[image], boxes, truth["class_labels"]))
        image_index = packed_image_index([len(sample.boxes) for sample in samples], features.maps.device)
        boxes = torch.cat([sample.boxes for sample in samples])
        head_features = self.head(self.crop(features.maps, boxes, image_index))
        logits, deltas = self.head.predict(head_features)
        losses = {name: torch.stack(values).mean() for name, values in terms.items()}

        def draw(rows: torch.Tensor, class_labels: torch.Tensor) -> torch.Tensor:
            return self.mask_branch(head_features[rows], class_labels)

        masks = [of_image["masks"] for of_image in labels]
        return losses | detection_losses(self.config, samples, logits, deltas, masks, draw)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        image_scales: torch.Tensor | None = None,
        image_features: MaskRcnnImageFeatures | None = None,
        labels: list[dict[str, torch.Tensor]] | None = None,
        score_threshold: float | None = None,
        at_least_one: bool = False,
        return_dict: bool | None = None,
        **kwargs,
    ) -> MaskRcnnOutput:
        """
        Args:
            pixel_values: (B, 3, H, W), the processor's.
            pixel_mask: (B, H, W), 0 on padding; None where all images have one size.
            original_sizes, image_scales: (B, 2) height and width of the photos in pixels and (B,), by which they were
                enlarged; None: the photos are the network's input itself.
            image_features: what `get_image_features` returned, in place of `pixel_values`.
            labels: per image a dict of `boxes` (G, 4) xyxy and `masks` (G, H, W) bool, both in pixels of the network's
                input, x2 and y2 outside, and `class_labels` (G,), keys of `config.id2label`. The processor makes them.
            score_threshold: in place of the configuration's.
            at_least_one: lower the threshold for an image until it has a detection (MAttNet).

        Raises:
            ValueError: neither images nor features are given; another number of labels than of images; only one of
                `original_sizes` and `image_scales`.
        """
        image_features = self.images_of_call(
            kwargs,
            image_features,
            labels,
            {"score_threshold": score_threshold, "at_least_one": at_least_one or None},
            pixel_values=pixel_values,
            pixel_mask=pixel_mask,
            original_sizes=original_sizes,
            image_scales=image_scales,
        )
        if labels is not None:
            losses = self.compute_losses(image_features, labels)
            return MaskRcnnOutput(loss=sum(losses.values()), losses=losses, image_features=image_features)
        regions = self.detect(image_features, score_threshold, at_least_one)
        crops, head_maps = self.describe(image_features, regions)
        return MaskRcnnOutput(
            pred_boxes=regions.boxes,
            scores=regions.scores,
            class_labels=regions.labels,
            mask_probabilities=self.draw(head_maps, regions.labels),
            image_index=regions.image_index,
            crops=crops,
            head_features=head_maps,
            original_sizes=image_features.geometry.original_sizes,
            image_features=image_features,
        )


__all__ = ["MaskRcnnForInstanceSegmentation", "MaskRcnnPreTrainedModel"]
