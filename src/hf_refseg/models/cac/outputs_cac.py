"""
What CAC keeps of images and answers about expressions.

N expressions, R regions or proposals of an image, F filters, M captions of L words, (h, w) feature map, S cells per
side of a small mask.
"""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput

from ...layers.regions import Regions
from ..mask_rcnn.outputs_mask_rcnn import MaskRcnnImageFeatures


@dataclass
class CacImageFeatures(ModelOutput):
    """
    Everything about B images that needs no words; reusable for any number of expressions.

    Args:
        regions: those that the caller brought; None: the detector proposes some for every expression.
        images: the detector's feature maps, V, and where the images lie in the network's input.
    """

    regions: Regions | None = None
    images: MaskRcnnImageFeatures | None = None

    def with_regions(self, region_boxes=None, region_labels=None, region_masks=None) -> "CacImageFeatures":
        """The same images with regions of the caller, see [`Regions.of`]; without any, as they are.

        Raises:
            ValueError: they have regions already, or the regions do not fit.
        """
        brought = (region_boxes, region_labels, region_masks)
        if all(values is None for values in brought):
            return self
        if self.regions is not None:
            raise ValueError("image_features hold their regions already; give others to get_image_features instead")
        regions = Regions.of(*brought, image_sizes=self.images.geometry.original_sizes)
        return CacImageFeatures(regions=regions, images=self.images)


@dataclass
class CacTextFeatures(ModelOutput):
    """
    Everything about N expressions that needs no image.

    Args:
        filters: (N, F, C) f_i of each part of the map.
        weights: (N, F) g_i, by which their responses are fused; the weight of a single filter is 1.
    """

    filters: torch.FloatTensor | None = None
    weights: torch.FloatTensor | None = None


@dataclass
class CacAnswer(ModelOutput):
    """
    What the detector finds on the modulated map of one expression.

    Args:
        box: (1, 4) xyxy in pixels of the photo; x2 and y2 lie outside.
        region_scores: (R,) of the caller's regions or, where there are none, of the proposals.
        chosen: (1,) the best of them.
        mask: (1, S, S) probabilities in the box; None where the caller brought masks.
    """

    box: torch.FloatTensor | None = None
    region_scores: torch.FloatTensor | None = None
    chosen: torch.LongTensor | None = None
    mask: torch.FloatTensor | None = None


@dataclass
class CacExplanation(ModelOutput):
    """
    What the paper draws: where the words of each expression look, and what comes of it.

    Args:
        filters: the F names of the filters.
        responses: (N, F, h, w) R_i of each filter; zero outside of its part of the map.
        weights: (N, F) g_i, by which they are fused.
        fused_response: (N, h, w) R, which modulates the feature map.
        cell_sizes: (N,) side of a cell of the map in pixels of the photo. Cells start at its top left corner.
    """

    filters: tuple[str, ...] | None = None
    responses: torch.FloatTensor | None = None
    weights: torch.FloatTensor | None = None
    fused_response: torch.FloatTensor | None = None
    cell_sizes: torch.FloatTensor | None = None


@dataclass
class CacCaptions(ModelOutput):
    """
    Captions of M regions or expressions; `processor.batch_decode(captions.sequences, skip_special_tokens=True)` reads
    them.

    Args:
        sequences: (M, L) ids of words, and the padding's id behind the last one.
        log_probs: (M, L) log-probability of each; zero behind the end.
        image_index: (M,) image of each.
    """

    sequences: torch.LongTensor | None = None
    log_probs: torch.FloatTensor | None = None
    image_index: torch.LongTensor | None = None


__all__ = ["CacAnswer", "CacCaptions", "CacExplanation", "CacImageFeatures", "CacTextFeatures"]
