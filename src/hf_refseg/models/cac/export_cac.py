"""CAC as two graphs: a photo to its feature map, and that and expressions to answers among regions that are given. The
words change the map, so that the regions are looked at by the second graph, once per expression."""

import torch
from torch import nn

from ...layers.image_geometry import exclusive_to_inclusive, finite_logits, paste_probabilities
from ...layers.scanned_lstm import scan_both_ways
from ..mask_rcnn.region_photo_graph import RegionPhotoGraph
from .modeling_cac import CacForReferringSegmentation


class ImageGraph(RegionPhotoGraph):
    """The feature map of one photo, and the regions as they are."""

    feature_names = ("maps", "boxes", "scale", "canvas")

    def forward(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor,
        original_sizes: torch.Tensor,
        image_scales: torch.Tensor,
        region_boxes: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """
        Args:
            pixel_values, pixel_mask, original_sizes, image_scales: as of `see`.
            region_boxes: (1, R, 4) xyxy in pixels of the photo, x2 and y2 outside the box.

        Returns:
            the map V (1, C, h, w), the boxes (R, 4), the scale, and the canvas: zeros (H, W), whose size the masks will
            have.
        """
        images, canvas = self.see(pixel_values, pixel_mask, original_sizes, image_scales)
        return images.maps, region_boxes[0].clone(), image_scales.clone(), canvas


class ExpressionGraph(nn.Module):
    """Answers of N expressions about the photo of [`ImageGraph`]'s features."""

    word_names = ("input_ids", "attention_mask")
    output_names = ("logits", "region_masks", "pred_boxes", "scores", "region_scores", "chosen")

    def __init__(self, model: CacForReferringSegmentation):
        super().__init__()
        self.model = model

    def sides(self, name: str) -> tuple[int, ...]:
        """Which sides of a feature differ from photo to photo."""
        return {"maps": (2, 3), "boxes": (0,), "canvas": (0, 1)}.get(name, ())

    def forward(
        self,
        maps: torch.Tensor,
        boxes: torch.Tensor,
        scale: torch.Tensor,
        canvas: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """The features, and (N, T) twice -> the outputs, as of the model's `forward`."""
        model, detector = self.model, self.model.detector
        _, sentence, _ = model.language(input_ids, attention_mask.bool(), scan_both_ways)
        text, image_index = model.spatial_filters.make_filters(sentence), torch.zeros_like(input_ids[:, 0])
        response, _ = model.spatial_filters(text, maps, [tuple(maps.shape[2:])], image_index)  # -> (N, h, w)
        modulated = maps * model.scale(response)[:, None]  # (1, C, h, w), (N, 1, h, w) -> (N, C, h, w)
        expressions, number = torch.arange(input_ids.shape[0]), boxes.shape[0]
        places = exclusive_to_inclusive(boxes.float()) * scale  # (R, 4) in the network's input
        # every expression on every region: (N, R) -> (N * R, D, S, S)
        index = expressions[:, None].expand(-1, number).flatten()
        logits, _ = detector.head.predict(self.read(modulated, places.repeat(input_ids.shape[0], 1), index))
        probabilities = logits.float().softmax(-1)[:, 1:]  # (N * R, K + 1) -> (N * R, K), without the background
        region_scores, labels = (values.view(-1, number) for values in probabilities.max(1))  # (N * R,) -> (N, R)
        chosen = region_scores.argmax(1)
        labels = labels.gather(1, chosen[:, None])[:, 0]  # (N, R) -> (N,)
        masks = detector.draw(self.read(modulated, places[chosen], expressions), labels)  # -> (N, S, S)
        pasted = paste_probabilities(masks, boxes[chosen].float() * scale, tuple(canvas.shape))
        scores = region_scores.amax(1)
        return finite_logits(pasted), masks, boxes[chosen].float(), scores, region_scores, chosen

    def read(self, maps: torch.Tensor, places: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """The detector's head over parts of the maps (N, C, h, w), (P, 4) of the maps (P,): (P, D, S, S)."""
        return self.model.detector.head(self.model.detector.crop(maps, places, index))


__all__ = ["ExpressionGraph", "ImageGraph"]
