"""
CAC (Chen, Tsai, Wang, Lin, Yang, BMVC 2019): referring expression object segmentation with caption-aware consistency.

A detector makes a feature map of a photo. The words of an expression become filters, each of which looks at one part of
that map (spatial_filters.py); what they find, fused into one response, modulates the map; and on the modulated map the
detector does what it always does, so that it finds the object that is meant and no other. The box it is surest of is
the answer. In training, a captioner (captioner.py) must say the expression again from what the network then sees.

What needs no words happens once per image, and a mask is drawn only for the box that is chosen.

B images of up to R regions, N expressions, T words, H state of the LSTM over words, F filters, C and D channels of
backbone and head, G = g x g cells of a pooled map, (h, w) feature map, (Y, X) the network's input. Boxes are xyxy in
pixels of the photos, x2 and y2 outside the box.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import can_return_tuple

from ...layers.arguments import check_call, check_sources, refuse_beside, refuse_unknown
from ...layers.image_geometry import finite_logits, run_by_size
from ...layers.image_index import resolve_image_index
from ...layers.inputs import check_expressions
from ...layers.language_encoder import LanguageEncoder
from ...layers.regions import Regions
from ...outputs import ReferringSegmentationOutput
from ...saving import SavesItsCode
from ..mask_rcnn.modeling_mask_rcnn import MaskRcnnForInstanceSegmentation
from ..mask_rcnn.outputs_mask_rcnn import MaskRcnnImageFeatures
from ..over_detector import OverDetector
from ..whole_checkpoint import WholeCheckpoint
from .captioner import Captioner, caption_words
from .configuration_cac import CacConfig
from .coverage import cover_by_boxes, cover_by_masks
from .losses_cac import caption_loss, check_objects, response_loss
from .outputs_cac import CacAnswer, CacCaptions, CacExplanation, CacImageFeatures, CacTextFeatures
from .spatial_filters import SpatialFilters


class CacPreTrainedModel(WholeCheckpoint, SavesItsCode, PreTrainedModel):
    config: CacConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_modalities = ("image", "text")
    _no_split_modules = ["CaffeResNetUnit"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """PyTorch's defaults, as the original has them; the detector has its own."""
        super()._init_weights(module)
        if isinstance(module, nn.Linear | nn.LSTM):
            limit = (module.in_features if isinstance(module, nn.Linear) else module.hidden_size) ** -0.5
            for parameter in module.parameters():
                init.uniform_(parameter, -limit, limit)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight)


class CacForReferringSegmentation(OverDetector, CacPreTrainedModel):
    """Masks of what expressions refer to, by a detector whose feature map the words modulate."""

    def __init__(self, config: CacConfig):
        super().__init__(config)
        words = (config.word_embedding_size, config.word_vec_size, config.hidden_size, config.word_dropout)
        self.detector = MaskRcnnForInstanceSegmentation(config.detector_config)
        self.language = LanguageEncoder(config.vocab_size, *words)
        self.spatial_filters = SpatialFilters(config, self.detector.crop_channels)
        has_captioner = "caption" in config.losses
        self.captioner = Captioner(config, 2 * config.detector_config.head_size) if has_captioner else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.language.embeddings

    def set_input_embeddings(self, value: nn.Embedding):
        self.language.embeddings = value

    def train(self, mode: bool = True) -> "CacForReferringSegmentation":
        """The detector's normalizations keep their stored statistics, as in the paper's code."""
        super().train(mode)
        for module in self.detector.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    # ---- Images and words, each by itself ----

    def get_image_features(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        image_scales: torch.Tensor | None = None,
        region_boxes=None,
        region_labels=None,
        region_masks=None,
        **kwargs,
    ) -> CacImageFeatures:
        """
        The feature map V of each image, and the caller's regions, for any number of expressions. Arguments as of
        `forward`; call it with all that the processor returned, `get_image_features(**inputs)`.
        """
        refuse_unknown(self, kwargs)
        images = self.detector.get_image_features(pixel_values, pixel_mask, original_sizes, image_scales)
        return CacImageFeatures(images=images).with_regions(region_boxes, region_labels, region_masks)

    def get_text_features(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> CacTextFeatures:
        """The filters that N expressions make, and the weights that fuse them; arguments as of `forward`."""
        refuse_unknown(self, kwargs)
        _, sentence, _ = self.language(input_ids, self.word_mask(input_ids, attention_mask))  # F_ref: (N, 2H)
        return self.spatial_filters.make_filters(sentence)

    def word_mask(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """(N, T) bool, False at padding."""
        return input_ids != self.config.pad_token_id if attention_mask is None else attention_mask.bool()

    # ---- Words and map ----

    def respond(
        self, images: MaskRcnnImageFeatures, text: CacTextFeatures, image_index: torch.Tensor
    ) -> CacExplanation:
        """What the filters of N expressions find on the maps of their images."""
        fused, responses = self.spatial_filters(text, images.maps, self.map_sizes(images), image_index)
        return CacExplanation(
            filters=self.spatial_filters.names,
            responses=responses,
            weights=text.weights,
            fused_response=fused,
            cell_sizes=self.detector.config.feature_stride / images.geometry.image_scales[image_index],
        )

    def modulate(
        self, images: MaskRcnnImageFeatures, response: torch.Tensor, image_index: torch.Tensor
    ) -> MaskRcnnImageFeatures:
        """X = V sigmoid(R), or V R: the maps of N expressions, `response` (N, h, w), on the images `image_index`."""
        return scale_maps(images, self.scale(response), image_index)

    def scale(self, response: torch.Tensor) -> torch.Tensor:
        """What every cell of V is multiplied by: (N, h, w) -> (N, h, w)."""
        return response.sigmoid() if self.config.modulation == "sigmoid" else response

    def map_sizes(self, images: MaskRcnnImageFeatures) -> list[tuple[int, int]]:
        """(height, width) of each image's own map, without the padding of a batch."""
        return [self.detector.map_size(size) for size in images.geometry.input_sizes]

    # ---- The modulated map to an answer ----

    def candidates(self, modulated: MaskRcnnImageFeatures, regions: Regions | None) -> Regions:
        """
        Where the answer may be, each place with its surest category: all proposals, without suppression.

        Args:
            modulated: maps of N expressions.
            regions: of the caller, of each of the N; then these are the places, and keep the labels that they have.
        """
        detector = self.detector
        if regions is None:
            scored = detector.score(modulated, detector.propose(modulated))
            scores, labels = scored.probabilities().max(1)  # (P, K) -> (P,)
            boxes = scored.boxes[torch.arange(len(labels), device=labels.device), labels + 1]  # (P, K + 1, 4) -> (P, 4)
            found = Regions(boxes, scored.counts, labels, scores)
            # the paper cuts its boxes only where they reach out: one beside the photo would end before it begins
            limits = modulated.geometry.original_sizes[found.image_index].flip(1).repeat(1, 2)  # (P, 4)
            return replace(found, boxes=boxes.clamp(min=0).minimum(limits))
        _, head_maps = detector.describe(modulated, regions)
        logits, _ = detector.head.predict(head_maps)
        probabilities = logits.float().softmax(-1)[:, 1:]  # (M, K + 1) -> (M, K), without the background
        if regions.labels is None:
            scores, labels = probabilities.max(1)
        else:
            detector.check_labels(regions.labels)
            scores, labels = probabilities.gather(1, regions.labels[:, None])[:, 0], regions.labels
        return replace(regions, labels=labels, scores=scores)

    def find(self, modulated: MaskRcnnImageFeatures, regions: Regions | None) -> CacAnswer:
        """The best candidate on the map of one expression, and its mask from a second look; `regions` of its image."""
        found = self.candidates(modulated, regions)
        chosen = found.scores.argmax(0, keepdim=True)  # (R,) -> (1,)
        mask = None
        if found.masks is None:
            best = Regions(found.boxes[chosen], (1,), found.labels[chosen])
            _, head_maps = self.detector.describe(modulated, best)
            mask = self.detector.draw(head_maps, best.labels)
        return CacAnswer(box=found.boxes[chosen].float(), region_scores=found.scores, chosen=chosen, mask=mask)

    # ---- The modulated map back to words ----

    def caption_features(
        self,
        images: MaskRcnnImageFeatures,
        modulated: MaskRcnnImageFeatures,
        image_index: torch.Tensor,
        objects: torch.Tensor,
    ) -> torch.Tensor:
        """
        What the captioner reads: (N, G, 2D).

        Args:
            images: V of B images; modulated: X of N expressions; image_index: (N,).
            objects: (N, h, w) share of each cell that the object covers; a captioner of whole maps does not look at it.
        """
        after = self.head_maps(modulated)  # N x (D, h_i, w_i)
        if self.config.caption_features == "before_and_after":
            of_images = self.head_maps(images)
            pairs = zip([of_images[image] for image in image_index.tolist()], after, strict=True)
        else:
            shares = (share[: maps.shape[1], : maps.shape[2]] for share, maps in zip(objects, after, strict=True))
            pairs = [(maps, maps * (share >= 0.5)) for maps, share in zip(after, shares, strict=True)]
        size = self.config.caption_grid_size
        pooled = [torch.cat([F.adaptive_avg_pool2d(maps, size) for maps in pair]) for pair in pairs]
        return torch.stack(pooled).flatten(2).mT  # N x (2D, g, g) -> (N, 2D, G) -> (N, G, 2D)

    def head_maps(self, images: MaskRcnnImageFeatures) -> list[torch.Tensor]:
        """The detector's head over each whole map, without the padding of a batch: (D, h_i, w_i)."""
        return run_by_size(self.detector.head, images.maps, self.map_sizes(images))  # (n, C, h, w) -> (n, D, h_i, w_i)

    @torch.no_grad()
    def generate_caption(
        self,
        pixel_values: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_index: torch.Tensor | None = None,
        image_features: CacImageFeatures | None = None,
        num_beams: int = 1,
        max_length: int | None = None,
        **kwargs,
    ) -> CacCaptions:
        """
        Words for regions, or for what expressions make the network see.

        Args:
            pixel_values, image_features and the other arguments of `get_image_features`: the images, and regions in
                them. Each region is described: it modulates the map as a perfect response to its name would.
            input_ids, attention_mask, image_index: expressions, as of `forward`, in place of regions: the captioner
                reads the maps that they modulate, as in training.
            num_beams: captions that are kept at every step; 1 says the likeliest word each time.
            max_length: longest caption in words; None: `config.max_length`.

        Raises:
            ValueError: the model has no captioner; neither regions nor expressions, or both; expressions for a
                captioner that reads an object's mask; as `Captioner.generate`.
        """
        if self.captioner is None:
            raise ValueError('the model has no captioner: its config.losses lacks "caption"')
        check_sources({"image_features": image_features}, {"pixel_values": pixel_values, **kwargs})
        if image_features is None:
            image_features = self.get_image_features(pixel_values, **kwargs)
        images, regions = image_features.images, image_features.regions
        if (input_ids is None) == (regions is None):
            raise ValueError("give either regions (region_boxes) or expressions (input_ids): what to describe")
        if regions is not None:
            words = {"attention_mask": attention_mask, "image_index": image_index}
            refuse_beside("beside regions, which are described one by one", words)
            image_index = regions.image_index
            objects = self.cover(images, regions)
            modulated = scale_maps(images, objects.to(images.maps), image_index)
        elif self.config.caption_features == "object":
            raise ValueError("this captioner reads an object's mask: give region_boxes, not input_ids")
        else:
            check_expressions(input_ids, attention_mask, self.config.vocab_size)
            image_index = resolve_image_index(image_index, len(images.maps), len(input_ids), input_ids.device)
            seen = self.respond(images, self.get_text_features(input_ids, attention_mask), image_index)
            objects = seen.fused_response
            modulated = self.modulate(images, objects, image_index)
        read = self.caption_features(images, modulated, image_index, objects)
        max_length = self.config.max_length if max_length is None else max_length
        sequences, log_probs = self.captioner.generate(read, max_length, num_beams)
        return CacCaptions(sequences=sequences, log_probs=log_probs, image_index=image_index)

    def cover(self, images: MaskRcnnImageFeatures, regions: Regions) -> torch.Tensor:
        """Share of each cell that a region covers, by its mask where it has one: (M, h, w)."""
        index, canvas = regions.image_index, tuple(images.maps.shape[-2:])
        of_images = self.map_sizes(images)
        sizes = [of_images[image] for image in index.tolist()]
        if regions.masks is not None:
            return cover_by_masks([mask for of_image in regions.masks for mask in of_image], sizes, canvas)
        return cover_by_boxes(regions.boxes, images.geometry.original_sizes[index], sizes, canvas)

    # ---- Training ----

    def compute_losses(
        self,
        images: MaskRcnnImageFeatures,
        response: torch.Tensor,
        image_index: torch.Tensor,
        words: tuple[torch.Tensor, torch.Tensor],
        masks: torch.Tensor,
        boxes: torch.Tensor,
        categories: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """The terms of `config.losses`: L_roi, L_res and alpha L_cap.

        Args:
            response: (N, h, w) R.
            words: (N, T) ids, and (N, T) bool that is False at padding.
            masks, boxes, categories: (N, Y, X) bool, (N, 4) and (N,), the objects; see `forward`.
        """
        modulated = self.modulate(images, response, image_index)
        map_sizes, losses = self.map_sizes(modulated), {}
        if "roi" in self.config.losses:  # everything else in an image is background
            objects = zip(masks.split(1), boxes.split(1), categories.split(1), strict=True)
            names = ("masks", "boxes", "class_labels")
            labels = [dict(zip(names, of_expression, strict=True)) for of_expression in objects]
            losses |= self.detector.compute_losses(modulated, labels)
        sizes = modulated.geometry.input_sizes
        masks = [mask[:height, :width] for mask, (height, width) in zip(masks, sizes, strict=True)]  # N x (Y_i, X_i)
        if "response" in self.config.losses:
            losses["response"] = response_loss(response, masks, map_sizes)
        if "caption" in self.config.losses:
            objects = cover_by_masks(masks, map_sizes, tuple(response.shape[-2:]))
            read = self.caption_features(images, modulated, image_index, objects)
            spoken, targets, counting = caption_words(*words, self.config.pad_token_id)
            loss = caption_loss(self.captioner(read, spoken), targets, counting)
            losses["caption"] = self.config.caption_loss_weight * loss
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
        image_features: CacImageFeatures | None = None,
        region_boxes=None,
        region_labels=None,
        region_masks=None,
        labels: torch.Tensor | None = None,
        box_labels: torch.Tensor | None = None,
        class_labels: torch.Tensor | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> ReferringSegmentationOutput:
        """
        Args:
            pixel_values: (B, 3, Y, X), the processor's.
            input_ids, attention_mask: (N, T).
            image_index: (N,) image of each expression; needed unless B = 1 or B = N.
            pixel_mask: (B, Y, X), 0 on padding; None where all images have one size.
            original_sizes, image_scales: (B, 2) height and width of the photos and (B,), by which they were enlarged;
                None: the photos are the network's input itself.
            image_features: what `get_image_features` returned, in place of the images.
            region_boxes: regions to choose among, in place of the detector's proposals, in pixels of the photos:
                (B, R, 4), or per image (R_i, 4), in tensors, arrays or lists. The chosen one keeps its box.
            region_labels: their categories, (B, R) or per image (R_i,), whose probabilities are compared; None: the
                surest category of each.
            region_masks: their masks, per image (R_i, H_i, W_i) bool at the original size, or SAM's list of dicts. With
                them alone, the boxes are drawn around them; without them, the detector draws a mask in the chosen box.
            labels: to train, (N, Y, X) masks of the objects at the size of the network's input, in {0, 1}.
            box_labels: to train, (N, 4) xyxy their boxes in pixels of the network's input, x2 and y2 outside the box.
            class_labels: to train, (N,) their categories, keys of the detector's `id2label`.
            output_attentions: return a [`CacExplanation`]; None: as `config.output_attentions` says.

        Returns:
            `logits` (N, Y, X), `grid_logits` (N, h, w) which are R, `pred_boxes`, `scores`, `region_scores`, `chosen`,
            and `region_masks` or `given_masks`; in training `loss`, `losses` and `grid_logits`.

        Raises:
            ValueError: input that does not fit, an image without any region, images beside `image_features`, or regions
                beside others or in a training step. TypeError: an unknown argument.
        """
        given = {"pixel_values": pixel_values, "pixel_mask": pixel_mask}
        given |= {"original_sizes": original_sizes, "image_scales": image_scales}
        check_call(self, kwargs, input_ids, {"image_features": image_features}, given)
        check_expressions(input_ids, attention_mask, self.config.vocab_size)
        if labels is None:
            refuse_beside("without labels", {"box_labels": box_labels, "class_labels": class_labels})
        if image_features is None:
            image_features = self.get_image_features(**given)
        image_features = image_features.with_regions(region_boxes, region_labels, region_masks)
        images, regions = image_features.images, image_features.regions
        if labels is not None and regions is not None:
            raise ValueError("a training step (labels) takes no regions: the detector learns to propose them")
        image_index = resolve_image_index(image_index, len(images.maps), len(input_ids), input_ids.device)
        seen = self.respond(images, self.get_text_features(input_ids, attention_mask), image_index)
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        drawn = {"grid_logits": seen.fused_response, "explanation": seen if output_attentions else None}
        if labels is not None:
            shape = (len(input_ids), *images.geometry.canvas)
            check_objects(labels, box_labels, class_labels, shape, self.detector.config.num_labels)
            objects = (labels > 0.5, box_labels, class_labels)
            words = (input_ids, self.word_mask(input_ids, attention_mask))
            losses = self.compute_losses(images, seen.fused_response, image_index, words, *objects)
            return ReferringSegmentationOutput(
                loss=sum(losses.values()), losses=losses, image_index=image_index, **drawn
            )
        return ReferringSegmentationOutput(
            **self.answer(images, regions, seen.fused_response, image_index),
            **drawn,
            image_index=image_index,
            original_sizes=images.geometry.original_sizes,
        )

    def answer(
        self,
        images: MaskRcnnImageFeatures,
        regions: Regions | None,
        response: torch.Tensor,
        image_index: torch.Tensor,
    ) -> dict[str, torch.Tensor | tuple[torch.Tensor, ...]]:
        """
        The fields of the output that say what was found for N expressions, `response` (N, h, w).

        One expression at a time: the crops of 300 proposals fill a machine, and memory is that of one expression.
        """
        if regions is not None:
            regions.require_some(image_index)
        answers = []
        for row in torch.arange(len(response), device=response.device).split(1):
            of_image = None if regions is None else regions.take(image_index[row])
            answers.append(self.find(self.modulate(images, response[row], image_index[row]), of_image))
        boxes, chosen = (torch.cat([answer[name] for answer in answers]) for name in ("box", "chosen"))
        scores = pad_sequence([answer.region_scores for answer in answers], True, -torch.inf)  # N x (R_i,) -> (N, R)
        if regions is None or regions.masks is None:
            masks = {"region_masks": torch.cat([answer.mask for answer in answers])}
            probabilities = images.geometry.paste(masks["region_masks"], boxes, image_index)  # (N, S, S) -> (N, Y, X)
        else:
            masks = {"given_masks": regions.given_masks(image_index, chosen)}
            probabilities = images.geometry.resize(masks["given_masks"], image_index)  # N x (H_i, W_i) -> (N, Y, X)
        found = {"pred_boxes": boxes, "chosen": chosen, "region_scores": scores, "scores": scores.amax(1)}
        return {"logits": finite_logits(probabilities), **found, **masks}


def scale_maps(images: MaskRcnnImageFeatures, scale: torch.Tensor, image_index: torch.Tensor) -> MaskRcnnImageFeatures:
    """The maps of the images `image_index` (N,), multiplied cell by cell by `scale` (N, h, w)."""
    maps = images.maps[image_index] * scale[:, None]  # (B, C, h, w), (N, 1, h, w) -> (N, C, h, w)
    return images.with_maps(maps, image_index)


__all__ = ["CacForReferringSegmentation", "CacPreTrainedModel"]
