"""
NanoDet-Plus (RangiLyu 2021), a detector of 1.2 million parameters for photos, with a mask head of this package's.

A trunk makes a pyramid of feature maps. Every point of it says how much there is of each category, and where a box
around it would lie. The same five steps as of Mask R-CNN follow, each of which takes any regions: `propose` reads the
points' boxes; `score` brings these into the photos; `choose` keeps the sure ones that do not overlap, as regions;
`describe` crops the maps at these; and `draw` makes a mask of each. Beside them `score_categories` says what any region
looks like, of all categories at once, and `pool` averages the trunk's maps in it: all that a system needs that chooses
among regions and has a mask drawn of the chosen one alone.

B images, P points and M regions of all images, R regions of one; K categories, C channels of the mask head, D of what
masks are drawn from; S cells per side of a crop. Boxes are xyxy, x2 and y2 outside: those of points lie in the
network's input, those of regions in the photos.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import can_return_tuple

from ...layers.box_averages import average_in_boxes
from ...layers.image_geometry import ImageGeometry, run_by_size
from ...layers.inputs import check_pixel_values
from ...layers.regions import Regions
from ...saving import SavesItsCode
from ..backbones import load_backbone
from ..region_detector import RegionDetector
from ..shufflenet_pan.modeling_shufflenet_pan import SIDE_MULTIPLE
from ..whole_checkpoint import WholeCheckpoint
from .configuration_nanodet import NanoDetConfig
from .detection_head import STRIDES, DetectionHead, PointPredictions, decode_sides, list_points, place_points
from .losses_nanodet import crop_masks, mask_losses, move_sides
from .mask_head import FUSED_STRIDE, MaskHead, MaskLogits, best_outlines, without_margin
from .outputs_nanodet import ImageMaps, NanoDetImageFeatures, NanoDetOutput, PointBoxes


class NanoDetPreTrainedModel(WholeCheckpoint, SavesItsCode, PreTrainedModel):
    config: NanoDetConfig
    base_model_prefix = "detector"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _no_split_modules = ["ShuffleUnit", "GhostBottleneck"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        slope = self.config.backbone_config.negative_slope
        if isinstance(module, nn.Conv2d | nn.Linear):
            init.kaiming_normal_(module.weight, a=slope, mode="fan_in", nonlinearity="leaky_relu")
            if module.bias is not None:
                init.zeros_(module.bias)
        if isinstance(module, PointPredictions | MaskLogits):
            module.initialize()


class NanoDetForInstanceSegmentation(RegionDetector, NanoDetPreTrainedModel):
    """Boxes, categories and masks of the things in photos."""

    masks_by_category = False

    def __init__(self, config: NanoDetConfig):
        super().__init__(config)
        self.backbone = load_backbone(config)
        self.heads = nn.ModuleList(DetectionHead(config) for _ in STRIDES)
        self.mask_head = MaskHead(config) if config.has_masks else None
        self.post_init()

    @property
    def crop_channels(self) -> int:
        """Channels C of a region's crop."""
        return self.config.mask_hidden_size

    # ---- Images to feature maps ----

    def get_image_features(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        image_scales: torch.Tensor | None = None,
        **kwargs,
    ) -> NanoDetImageFeatures:
        """
        The maps of B images, and where these lie in the network's input; call it with all that the processor returned,
        `get_image_features(**inputs)`. Arguments as of `forward`.

        Only images of one size run together, so that a detection does not depend on what else is in the batch. Sides
        that are no multiples of 32 are padded with zeros, as convolutions do.
        """
        check_pixel_values(pixel_values)
        geometry = ImageGeometry.of(pixel_values, pixel_mask, original_sizes, image_scales)
        images = run_by_size(self.encode_images, pixel_values.to(self.dtype), geometry.input_sizes)
        return NanoDetImageFeatures(tuple(images), geometry, self.read_points(images, geometry.input_sizes))

    def encode_images(self, pixel_values: torch.Tensor) -> list[ImageMaps]:
        """(B, 3, H, W) of images of one size, without padding -> their B maps."""
        missing = [-side % SIDE_MULTIPLE for side in pixel_values.shape[-2:]]
        pixel_values = F.pad(pixel_values, (0, missing[1], 0, missing[0]))  # (B, 3, H, W) -> (B, 3, H', W')
        if pixel_values.device.type == "cpu" or pixel_values.is_cuda:
            pixel_values = pixel_values.contiguous(memory_format=torch.channels_last)
        stem, stage, *pyramid = self.backbone(pixel_values).feature_maps
        # the pixels around every fourth one, which is the center of a cell of the stem's map
        pixels = F.avg_pool2d(pixel_values, 5, 4, padding=2, count_include_pad=False)  # -> (B, 3, H' / 4, W' / 4)
        predictions = [head(level) for head, level in zip(self.heads, pyramid, strict=True)]
        columns = (torch.cat([stem, pixels], dim=1), stage, zip(*pyramid, strict=True), zip(*predictions, strict=True))
        return [ImageMaps(*of_image) for of_image in zip(*columns, strict=True)]

    def network_boxes(self, features: NanoDetImageFeatures, regions: Regions) -> tuple[torch.Tensor, ...]:
        """The boxes of regions in the network's input, of each image: B x (R, 4) float32."""
        return regions.split(regions.boxes.float() * features.geometry.image_scales[regions.image_index, None])

    # ---- Propose: feature maps to a box for each point ----

    def propose(self, features: NanoDetImageFeatures) -> PointBoxes:
        """What every point in B images sees, in the network's input. `get_image_features` has read it already."""
        return features.points

    @torch.no_grad()
    def read_points(self, images: Sequence[ImageMaps], sizes: Sequence[tuple[int, int]]) -> PointBoxes:
        """The same of the maps of B images, whose height and width in the network's input are `sizes`."""
        boxes, scores = [], []
        for maps, (height, width) in zip(images, sizes, strict=True):
            levels = [  # without the points on what fills a side up to 32
                level[:, : -(-height // stride), : -(-width // stride)]
                for level, stride in zip(maps.predictions, STRIDES, strict=True)
            ]
            values = list_points(levels)
            logits, sides = values[:, : self.config.num_labels], values[:, self.config.num_labels :]
            of_image = decode_sides(sides, *place_points(levels))
            limits = torch.tensor([width, height] * 2, device=of_image.device)
            boxes.append(of_image.clamp(min=0).minimum(limits))
            scores.append(logits.float().sigmoid())
        return PointBoxes(torch.cat(boxes), torch.cat(scores), tuple(map(len, boxes)))

    # ---- Score: boxes of points in the photos ----

    def score(self, features: NanoDetImageFeatures, proposals: PointBoxes) -> PointBoxes:
        """The same in the photos. A point has said its categories together with its box, so nothing is read again."""
        geometry, image_index = features.geometry, proposals.image_index
        boxes = proposals.boxes / geometry.image_scales[image_index, None]
        limits = geometry.original_sizes.flip(1).repeat(1, 2)[image_index]  # (B, 2) -> (P, 4) width, height, twice
        return replace(proposals, boxes=boxes.minimum(limits))

    # ---- Choose: boxes of points to regions ----

    def _choose_in_image(
        self, boxes: torch.Tensor, class_scores: torch.Tensor, threshold: float, at_least_one: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(P, 4) and (P, K) to boxes (R, 4), scores (R,) and categories (R,)."""
        from torchvision.ops import batched_nms, nms

        config = self.config
        class_scores = class_scores.where((boxes[:, 2:] > boxes[:, :2]).all(1)[:, None], 0)  # not of boxes without area
        if at_least_one:
            threshold = min(threshold, class_scores.max().item())
        points, labels = ((class_scores >= threshold) & (class_scores > 0)).nonzero(as_tuple=True)
        scores, order = class_scores[points, labels].sort(descending=True, stable=True)
        scores, order = scores[: config.pre_nms_top_n], order[: config.pre_nms_top_n]
        boxes, labels = boxes[points[order]], labels[order]
        kept = batched_nms(boxes, scores, labels, config.nms_threshold)
        kept = kept[nms(boxes[kept], scores[kept], config.any_class_nms_threshold)][: config.max_detections]
        return boxes[kept], scores[kept], labels[kept]

    # ---- What any regions are like ----

    @torch.no_grad()
    def score_categories(self, features: NanoDetImageFeatures, regions: Regions) -> torch.Tensor:
        """
        How much any regions of B images look like each category: (M, K) float32 in [0, 1].

        The points whose boxes overlap a region most vote: each with its score, times the overlap.
        """
        points, scores = self.propose(features), []
        for boxes, of_points, class_scores in zip(
            self.network_boxes(features, regions),
            points.boxes.split(points.counts),
            points.class_scores.split(points.counts),
            strict=True,
        ):
            scores.append(self.ask_points(boxes, of_points, class_scores))
        return torch.cat(scores)

    def ask_points(self, boxes: torch.Tensor, of_points: torch.Tensor, class_scores: torch.Tensor) -> torch.Tensor:
        """The vote of `score_categories` in one image: regions (R, 4), points (P, 4) and (P, K) -> (R, K)."""
        from torchvision.ops import box_iou

        overlaps = box_iou(boxes, of_points)  # (R, P)
        weights, voters = overlaps.topk(min(self.config.num_voters, of_points.shape[0]), dim=1)  # (R, voters)
        return (class_scores[voters] * weights[:, :, None]).amax(1)  # (P, K) -> (R, voters, K) -> (R, K)

    def pool(self, features: NanoDetImageFeatures, regions: Regions) -> torch.Tensor:
        """
        Averages in regions of the trunk's maps, the first stage and three levels of the pyramid: (M, F). All but the
        coarsest are averaged in the upper and the lower half of the regions, too: a shirt is above the trousers.
        """
        pooled = []
        for maps, boxes in zip(features.images, self.network_boxes(features, regions), strict=True):
            parts = torch.cat([boxes, *halves(boxes)])  # (R, 4) -> (3R, 4)
            fine, middle, coarse = maps.pyramid[:3]
            levels = zip((maps.stage, fine, middle), (FUSED_STRIDE, *STRIDES), strict=False)
            averages = torch.cat([average_in_boxes(level, parts, stride) for level, stride in levels], dim=1)
            whole, upper, lower = averages.unflatten(0, (3, -1))  # (3R, F') -> 3 x (R, F')
            pooled.append(torch.cat([whole, average_in_boxes(coarse, boxes, STRIDES[2]), upper, lower], dim=1))
        return torch.cat(pooled)

    @property
    def summary_channels(self) -> int:
        """Numbers F that `pool` says of a region."""
        stage, level = self.config.backbone_config.hidden_sizes[0], self.config.backbone_config.pyramid_size
        return stage + 3 * level + 2 * (stage + 2 * level)

    def summarize(self, features: NanoDetImageFeatures, regions: Regions) -> tuple[torch.Tensor, torch.Tensor]:
        """Class scores (M, K) and averages (M, F) of any regions: what words are matched with."""
        return self.score_categories(features, regions), self.pool(features, regions)

    # ---- Describe and draw: any regions to crops and masks ----

    def describe(
        self, features: NanoDetImageFeatures, regions: Regions, class_scores: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Crops (M, C, S, S) of any regions of B images, and what their masks are drawn from, (M, D, S, S).

        Args:
            class_scores: (M, K), as of `score_categories`, which is asked if they are None.

        Raises:
            ValueError: the detector has no mask head.
        """
        mask_head = self._require_mask_head()
        if class_scores is None:
            class_scores = self.score_categories(features, regions)
        of_images = zip(features.images, self.network_boxes(features, regions), strict=True)
        crops, detail = zip(*(mask_head.crop(maps, boxes) for maps, boxes in of_images), strict=True)
        crops = torch.cat(crops)
        return without_margin(crops), mask_head(crops, torch.cat(detail), class_scores)

    def describe_with_labels(
        self, features: NanoDetImageFeatures, regions: Regions
    ) -> tuple[Regions, torch.Tensor, torch.Tensor]:
        """The same, and the regions with the category that they look most like where nobody has said one."""
        class_scores = self.score_categories(features, regions)
        if regions.labels is None:
            regions = replace(regions, labels=class_scores.argmax(1))
        return regions, *self.describe(features, regions, class_scores)

    def _require_mask_head(self) -> MaskHead:
        if self.mask_head is None:
            raise ValueError(
                "this NanoDet finds boxes and has no mask head (config.has_masks is False), as the published weights; "
                "train one over it: hf-refseg train nanodet_coco_masks --detector FOLDER"
            )
        return self.mask_head

    def draw(self, head_maps: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """
        Masks of regions in their boxes: (M, D, S, S) -> (M, 2S, 2S). Above 0.5 lies the mask with the largest expected
        IoU, see `best_outlines`.

        Args:
            head_maps: as of `describe`.
            labels: (M,) categories; not read, for the class scores are in the maps. Other detectors need them.
        """
        logits = self._require_mask_head().draw(head_maps)
        return best_outlines(logits, self.config.mask_odds).sigmoid()

    # ---- Training ----

    def compute_losses(self, features: NanoDetImageFeatures, labels: list[dict]) -> dict[str, torch.Tensor]:
        """The two losses of the mask head, over the boxes of all images; `labels` as of `forward`."""
        config, scales = self.config, features.geometry.image_scales
        boxes, targets = [], []
        for truth, scale in zip(labels, scales, strict=True):
            true_boxes = truth["boxes"].float()
            candidates = torch.cat([true_boxes, move_sides(true_boxes, config.jitter)])
            order = torch.randperm(len(candidates), device=candidates.device)[: config.masks_per_image]
            instances = order % max(len(true_boxes), 1)  # the moved ones come in the order of the true ones
            boxes.append(candidates[order] / scale)
            targets.append(crop_masks(truth["masks"], instances, candidates[order], 2 * config.crop_size))
        regions = Regions(torch.cat(boxes), tuple(map(len, boxes)))
        _, head_maps = self.describe(features, regions)
        logits = self.mask_head.draw(head_maps)
        return mask_losses(logits, torch.cat(targets), config.mask_positive_weight, config.mask_dice_weight)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        image_scales: torch.Tensor | None = None,
        image_features: NanoDetImageFeatures | None = None,
        labels: list[dict[str, torch.Tensor]] | None = None,
        score_threshold: float | None = None,
        at_least_one: bool = False,
        return_dict: bool | None = None,
        **kwargs,
    ) -> NanoDetOutput:
        """
        Args:
            pixel_values: (B, 3, H, W), the processor's.
            pixel_mask: (B, H, W), 0 on padding; None where all images have one size.
            original_sizes, image_scales: (B, 2) height and width of the photos in pixels and (B,), by which they were
                enlarged; None: the photos are the network's input itself.
            image_features: what `get_image_features` returned, in place of `pixel_values`.
            labels: to train the mask head, per image a dict of `boxes` (G, 4) xyxy and `masks` (G, H, W) bool, both in
                pixels of the network's input, x2 and y2 outside. The processor makes them. Boxes and categories are not
                trained: they keep the published weights.
            score_threshold: in place of the configuration's.
            at_least_one: give an image without detection the surest of what is below the threshold (MAttNet).

        Raises:
            ValueError: neither images nor features are given; another number of labels than of images; labels for a
                detector without a mask head; only one of `original_sizes` and `image_scales`.
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
            return NanoDetOutput(loss=sum(losses.values()), losses=losses, image_features=image_features)
        regions = self.detect(image_features, score_threshold, at_least_one)
        class_scores, masks = self.score_categories(image_features, regions), None
        if self.mask_head is not None:
            _, head_maps = self.describe(image_features, regions, class_scores)
            masks = self.draw(head_maps, regions.labels)
        return NanoDetOutput(
            pred_boxes=regions.boxes,
            scores=regions.scores,
            class_labels=regions.labels,
            class_scores=class_scores,
            region_features=self.pool(image_features, regions),
            mask_probabilities=masks,
            image_index=regions.image_index,
            original_sizes=image_features.geometry.original_sizes,
            image_features=image_features,
        )


def halves(boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The upper and the lower half of boxes (R, 4)."""
    x1, y1, x2, y2 = boxes.unbind(1)
    middle = (y1 + y2) / 2
    return torch.stack([x1, y1, x2, middle], 1), torch.stack([x1, middle, x2, y2], 1)


__all__ = ["NanoDetForInstanceSegmentation", "NanoDetPreTrainedModel"]
