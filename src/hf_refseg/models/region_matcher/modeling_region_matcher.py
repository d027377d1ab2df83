"""
A sibling of MAttNet (Yu et al., CVPR 2018) for photos, made for this package: from photo and expressions to masks.

As there, a detector proposes regions (or the caller brings them), and modules rate how well each region fits an
expression. What is new: the class scores of the detector beside its one label, regions of a kind by degrees, a
comparison with the others of the kind, the answers "none of them" and "several", and word vectors that are fixed, so
that words that no training sentence holds are understood by their neighbors (matching.py, word_reader.py).

B images of up to R regions, M regions in all, N expressions of T words; S cells per side of a region's mask, A of an
answer's. Boxes are xyxy in pixels of the photos, x2 and y2 outside the box.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput, can_return_tuple

from ...layers.arguments import check_call, refuse_beside, refuse_unknown, require_all
from ...layers.image_geometry import finite_logits, paste_probabilities
from ...layers.image_index import resolve_image_index
from ...layers.inputs import check_pixel_values, values_are_readable
from ...layers.regions import Regions
from ...outputs import ReferringSegmentationOutput
from ...saving import SavesItsCode
from ..detectors import make_detector
from ..over_detector import OverFrozenDetector
from ..whole_checkpoint import WholeCheckpoint
from .configuration_region_matcher import RegionMatcherConfig
from .losses_region_matcher import matching_losses
from .matching import RegionMatching
from .outputs_region_matcher import (
    RegionChoice,
    RegionMatcherExplanation,
    RegionMatcherImageFeatures,
    RegionMatcherTextFeatures,
    RegionMatches,
)
from .region_colors import color_shares, region_colors
from .word_reader import MODULES, CategoryNames, WordVectors

CERTAINTY = 0.2  # power of how sure the detector is of a region, where the best of those that overlap is chosen
LEAST_LIKELY = 0.3  # of the likeliest region's probability, from which on another one may be the best


class RegionMatcherPreTrainedModel(WholeCheckpoint, SavesItsCode, PreTrainedModel):
    config: RegionMatcherConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_modalities = ("image", "text")
    _no_split_modules = ["ShuffleUnit", "GhostBottleneck", "CaffeResNetUnit"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """PyTorch's defaults, and what the modules say of themselves."""
        super()._init_weights(module)
        if isinstance(module, nn.Linear | nn.LSTM):
            limit = (module.in_features if isinstance(module, nn.Linear) else module.hidden_size) ** -0.5
            for parameter in module.parameters():
                init.uniform_(parameter, -limit, limit)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=0.5)
        elif isinstance(module, WordVectors | CategoryNames):
            module.initialize()
        elif isinstance(module, RegionMatching):
            init.constant_(module.score_power, 0.0)
            init.constant_(module.kind_weight, 1.0)
            init.constant_(module.kind_power, math.log(math.e - 1))  # softplus makes 1 of it
            init.copy_(module.kind_line, torch.tensor([1.0, 0.0]))


class RegionMatcherForReferringSegmentation(OverFrozenDetector, RegionMatcherPreTrainedModel):
    """Masks of what expressions mean, by choosing among regions."""

    def __init__(self, config: RegionMatcherConfig):
        super().__init__(config)
        self.detector = make_detector(config.detector_config)
        self.matching = RegionMatching(config, config.detector_config.num_labels, self.detector.summary_channels)
        self.post_init()
        self.train()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.matching.reader.vectors.learned

    def set_input_embeddings(self, value: nn.Embedding):
        self.matching.reader.vectors.learned = value

    @property
    def color_settings(self) -> tuple:
        """What `color_shares` needs beside pixels."""
        return self.config.pixel_means, self.config.pixel_scales, self.config.color_levels

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
        **kwargs,
    ) -> RegionMatcherImageFeatures:
        """
        All that needs no words, for any number of expressions. Arguments as of `forward`; call it with all that the
        processor returned, `get_image_features(**inputs)`: without the sizes and scales of the photos the boxes and
        masks are those of the network's input.
        """
        refuse_unknown(self, kwargs)
        check_pixel_values(pixel_values)
        seen = self.detector.get_image_features(pixel_values, pixel_mask, original_sizes, image_scales)
        geometry = seen.geometry
        if region_boxes is None and region_labels is None and region_masks is None:
            regions = self.detector.detect(seen, at_least_one=True)
        else:
            sizes = geometry.original_sizes
            if region_masks is not None or not self.detector.masks_by_category:
                refuse_beside("where no mask is drawn by its category", {"region_labels": region_labels})
            regions = Regions.of(region_boxes, region_labels, region_masks, image_sizes=sizes)
            if regions.labels is not None:
                self.detector.check_labels(regions.labels)
        descriptions, class_scores = self.describe(pixel_values, seen, regions)
        if regions.labels is None:
            regions = replace(regions, labels=class_scores.argmax(1))
        exists = regions.pad(torch.ones(len(regions.boxes), dtype=torch.bool, device=pixel_values.device), False)
        matching = self.matching.encode_regions(
            regions.pad(descriptions), regions.pad(regions.boxes), exists, geometry.original_sizes
        )
        return RegionMatcherImageFeatures(regions, matching, seen, class_scores, geometry)

    @torch.no_grad()
    def describe(
        self, pixel_values: torch.Tensor, seen: ModelOutput, regions: Regions
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        What is known of regions without any words; nothing in it is trained, so that it may be computed once and kept.

        Args:
            pixel_values: (B, 3, H, W).
            seen: what the detector made of them.
            regions: of the B images, M in all.

        Returns:
            descriptions (M, D): class scores, the detector's features, and colors, one after the other; and the class
            scores by themselves (M, K).
        """
        scales = seen.geometry.image_scales[regions.image_index, None]
        class_scores, features = self.detector.summarize(seen, regions)
        boxes = regions.split(regions.boxes.float() * scales)
        colors = [
            region_colors(color_shares(image[:, :height, :width], *self.color_settings), of_image)
            for image, (height, width), of_image in zip(pixel_values, seen.geometry.input_sizes, boxes, strict=True)
        ]
        return torch.cat([class_scores, features.float(), torch.cat(colors)], 1), class_scores

    def get_text_features(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> RegionMatcherTextFeatures:
        """All that needs no image: what each module is asked, and how much it counts; arguments as of `forward`."""
        refuse_unknown(self, kwargs)
        return self.matching.encode_words(input_ids, attention_mask)

    # ---- Answers ----

    def choose(self, matches: RegionMatches, overlaps: torch.Tensor, class_scores: torch.Tensor) -> RegionChoice:
        """
        The regions that the answers are made of.

        None where "none of them" is likelier than `config.nothing_threshold`. Else the best one, and where the words
        mean several, all that are likelier than "none of them".

        A detector finds a thing more than once, and these regions share its likelihood. So the score of an answer is
        its expected overlap with what is meant. The best is the likely region for which this, times a small power of
        how sure the detector is of it, is largest.

        Args:
            overlaps: (N, R, R) IoU of the regions of each expression's image.
            class_scores: (N, R, K) of these regions.
        """
        scores, nothing = matches.scores, matches.nothing[:, None]
        probabilities = torch.cat([scores, nothing], 1).softmax(1)  # -> (N, R + 1)
        probabilities, nothing_probability = probabilities[:, :-1], probabilities[:, -1]
        # by the regions alone, so that there is a best one where nothing is meant, too
        likely = scores.softmax(1)
        overlap = torch.einsum("nij,nj->ni", overlaps.to(likely), likely)  # -> (N, R)
        unlikely = likely < LEAST_LIKELY * likely.amax(1, keepdim=True)
        certainty = class_scores.amax(-1) ** CERTAINTY  # (N, R, K) -> (N, R)
        best = (overlap * certainty).masked_fill(unlikely, -1).argmax(1, keepdim=True)  # -> (N, 1)
        several = (matches.several > 0)[:, None] & (scores > nothing)
        answers = several.scatter(1, best, True) & (nothing_probability <= self.config.nothing_threshold)[:, None]
        return RegionChoice(
            answers=answers,
            best=best[:, 0],
            expected=overlap.gather(1, best)[:, 0] * (1 - nothing_probability),
            probabilities=probabilities,
            nothing=nothing_probability,
        )

    def draw_answers(
        self, features: RegionMatcherImageFeatures, image_index: torch.Tensor, answers: torch.Tensor, best: torch.Tensor
    ) -> dict[str, torch.Tensor | tuple[torch.Tensor, ...]]:
        """
        Box and mask of the regions `answers` (N, R) of each expression, and the mask in the network's input.

        Args:
            best: (N,) the best region, whose box is that of an answer without regions.

        Returns:
            pred_boxes (N, 4), logits (N, H, W), and region_masks (N, A, A), or given_masks where the caller brought
            masks.
        """
        regions, geometry = features.regions, features.geometry
        boxes = regions.pad(regions.boxes.float())[image_index]  # (M, 4) -> (B, R, 4) -> (N, R, 4)
        answer_boxes = self.frame_answers(boxes, answers, best)
        if regions.masks is not None:
            masks = tuple(
                (regions.masks[image] & of_image[: len(regions.masks[image]), None, None]).any(0)
                for image, of_image in zip(image_index.tolist(), answers, strict=True)
            )
            probabilities = geometry.resize(masks, image_index)  # N x (H_i, W_i) -> (N, H, W)
            return {"pred_boxes": answer_boxes, "logits": finite_logits(probabilities), "given_masks": masks}
        masks = self.join_masks(features, image_index, answers, answer_boxes)
        probabilities = geometry.paste(masks, answer_boxes, image_index)  # (N, A, A) -> (N, H, W)
        return {"pred_boxes": answer_boxes, "logits": finite_logits(probabilities), "region_masks": masks}

    @staticmethod
    def frame_answers(boxes: torch.Tensor, answers: torch.Tensor, best: torch.Tensor) -> torch.Tensor:
        """The box around the regions (N, R, 4) of each answer (N, R), or of the likeliest (N,) without any: (N, 4)."""
        shown = answers | torch.zeros_like(answers).scatter(1, best[:, None], True)  # (N, R)
        low = boxes[..., :2].masked_fill(~shown[..., None], torch.inf).amin(1)  # (N, R, 4) -> (N, 2)
        high = boxes[..., 2:].masked_fill(~shown[..., None], -torch.inf).amax(1)
        return torch.cat([low, high], 1)

    def join_masks(
        self,
        features: RegionMatcherImageFeatures,
        image_index: torch.Tensor,
        answers: torch.Tensor,
        answer_boxes: torch.Tensor,
    ) -> torch.Tensor:
        """The masks of all regions of each answer (N, R) in its box (N, 4), one over the other: (N, A, A)."""
        regions = features.regions
        if values_are_readable(answers):
            expressions, index = answers.nonzero(as_tuple=True)  # -> 2 x (P,)
        else:  # of all pairs, those that are no answers count nothing
            every = torch.ones_like(answers).nonzero_static(size=answers.numel())
            expressions, index = every.unbind(1)
        last = features.matching.exists.sum(1)[image_index[expressions]] - 1
        rows = regions.rows(image_index[expressions], index.minimum(last))
        small = self.draw(features, rows) * answers[expressions, index][:, None, None]  # -> (P, S, S)
        drawn = self.draw_in_frames(small, regions.boxes[rows].float(), answer_boxes[expressions])
        masks = drawn.new_zeros(len(answers), *drawn.shape[1:])
        return masks.scatter_reduce(0, expressions[:, None, None].expand_as(drawn), drawn, "amax")

    def draw_in_frames(self, small: torch.Tensor, boxes: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Masks (P, S, S) that fill boxes (P, 4), as masks that fill the frames (P, 4) of answers: (P, A, A)."""
        side = self.config.mask_size
        cells = side / (frames[:, 2:] - frames[:, :2]).clamp(min=1e-6)  # per pixel
        boxes = (boxes - frames[:, :2].repeat(1, 2)) * cells.repeat(1, 2)
        return paste_probabilities(small, boxes, (side, side))

    def draw(self, features: RegionMatcherImageFeatures, rows: torch.Tensor) -> torch.Tensor:
        """Mask probabilities of the regions `rows` (P,) in their boxes, each drawn once: (P, S, S)."""
        regions, readable = features.regions, values_are_readable(rows)
        drawn, places = rows.unique(return_inverse=True) if readable else (slice(None), rows)
        counts = regions.counts
        if readable:
            counts = tuple(regions.image_index[drawn].bincount(minlength=len(counts)).tolist())
        some = Regions(regions.boxes[drawn], counts, regions.labels[drawn])
        _, head_maps = self.detector.describe(features.detector_features, some, features.class_scores[drawn])
        return self.detector.draw(head_maps, some.labels)[places]

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
        image_features: RegionMatcherImageFeatures | None = None,
        region_boxes: torch.Tensor | Sequence | None = None,
        region_labels: torch.Tensor | Sequence | None = None,
        region_masks: torch.Tensor | Sequence | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        region_descriptions: torch.Tensor | None = None,
        region_counts: torch.Tensor | None = None,
        target_overlaps: torch.Tensor | None = None,
        target_numbers: torch.Tensor | None = None,
        target_categories: torch.Tensor | None = None,
        region_kinds: torch.Tensor | None = None,
        names_color: torch.Tensor | None = None,
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
            region_labels: their categories, (B, R) or per image (R_i,), by which Mask R-CNN draws; the detector's guess
                if not given. Neither NanoDet nor given masks need them: there they are refused.
            region_masks: their masks, per image (R_i, H_i, W_i) bool at the original size, or SAM's list of dicts.
            output_attentions: return a [`RegionMatcherExplanation`]; None: as `config.output_attentions` says.
            region_descriptions: to train, (B, R, D) of `describe`, in place of the images; then `region_boxes` are
                (B, R, 4), `region_counts` (B,) says how many regions each image has, and `original_sizes` are needed.
            target_overlaps: to train, (N, R) IoU of each region with what is meant.
            target_numbers: (N,) how many things are meant; 0: there is no such thing in the photo.
            target_categories: (N,) the detector's category of what is meant, -1 where it has none.
            region_kinds: (N, R), whether each region is a thing of this category: 1, 0, or -1 where it is not known.
            names_color: (N,) bool, whether the words name a color.

        Returns:
            `logits` (N, H, W), `pred_boxes`, `scores`, `region_scores`, `chosen`, `no_target_scores`, and
            `region_masks` or `given_masks`; in training `loss` and `losses` ("choice", "category", "kind", "number",
            "color") and no masks.

        Raises:
            ValueError: input that does not fit, an image without any region, images or regions beside `image_features`,
                or a training step that lacks a part. TypeError: an unknown argument.
        """
        images = {"pixel_mask": pixel_mask, "original_sizes": original_sizes, "image_scales": image_scales}
        described = {"region_labels": region_labels, "region_masks": region_masks, "pixel_mask": pixel_mask}
        given = {"pixel_values": pixel_values, **images}
        if region_descriptions is not None:
            parts = {"region_boxes": region_boxes, "region_counts": region_counts, "original_sizes": original_sizes}
            require_all({"region_descriptions": region_descriptions, **parts}, "regions that were described before")
            refuse_beside("beside region_descriptions", {**described, "image_scales": image_scales})
            given.pop("original_sizes")
        else:
            refuse_beside("without region_descriptions", {"region_counts": region_counts})
        features = {"image_features": image_features, "region_descriptions": region_descriptions}
        check_call(self, kwargs, input_ids, features, given)
        text = self.get_text_features(input_ids, attention_mask)
        brought = {"region_boxes": region_boxes, "region_labels": region_labels, "region_masks": region_masks}
        brought = {name: value for name, value in brought.items() if value is not None}
        targets = {
            "target_overlaps": target_overlaps,
            "target_numbers": target_numbers,
            "target_categories": target_categories,
            "region_kinds": region_kinds,
            "names_color": names_color,
        }
        if region_descriptions is not None:
            exists = torch.arange(region_boxes.shape[1], device=input_ids.device) < region_counts[:, None]  # (B, R)
            matching = self.matching.encode_regions(region_descriptions, region_boxes, exists, original_sizes)
        elif image_features is None:
            image_features = self.get_image_features(pixel_values, **images, **brought)
            matching = image_features.matching
        elif brought:
            raise ValueError(
                f"image_features hold their regions already; give {', '.join(brought)} to get_image_features instead"
            )
        else:
            matching = image_features.matching
        image_index = resolve_image_index(image_index, len(matching.exists), len(input_ids), input_ids.device)
        if image_features is not None:
            image_features.regions.require_some(image_index)
        matches = self.matching.match(matching, text, image_index)
        if any(target is not None for target in targets.values()):
            require_all(targets, "a training step")
            losses = matching_losses(self.config, matches, *targets.values())
            return ReferringSegmentationOutput(
                loss=sum(losses.values()), losses=losses, region_scores=matches.scores, image_index=image_index
            )
        if image_features is None:
            raise ValueError("region_descriptions are for a training step: give the targets too, or pixel_values")
        regions = matching.take(image_index)
        choice = self.choose(matches, regions.overlaps, regions.class_scores)
        explanation = None
        if self.config.output_attentions if output_attentions is None else output_attentions:
            boxes = image_features.regions.pad(image_features.regions.boxes)[image_index]  # -> (N, R, 4)
            explanation = RegionMatcherExplanation(
                modules=MODULES,
                word_attentions=text.word_attentions,
                module_weights=text.module_weights,
                module_scores=matches.module_scores,
                kind=matches.kind,
                probabilities=choice.probabilities,
                nothing=choice.nothing,
                several=matches.several.sigmoid(),
                answers=choice.answers,
                neighbors=matches.neighbors.take_along_dim(choice.best[:, None], 1)[:, 0],  # (N, R) -> (N,)
                chosen=choice.best,
                region_boxes=boxes.float(),
            )
        return ReferringSegmentationOutput(
            **self.draw_answers(image_features, image_index, choice.answers, choice.best),
            scores=choice.expected,
            region_scores=matches.scores,
            chosen=choice.best,
            no_target_scores=choice.nothing,
            image_index=image_index,
            original_sizes=image_features.geometry.original_sizes,
            explanation=explanation,
        )


__all__ = ["RegionMatcherForReferringSegmentation", "RegionMatcherPreTrainedModel"]
