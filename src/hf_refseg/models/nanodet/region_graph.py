"""
NanoDet's regions of one photo in an exported graph, where no size may depend on what is in the photo.

So there are always `max_detections` regions, and the last of them may be none; and the photo is padded to sides of
multiples of 32 before, where `modeling_nanodet` pads it itself. What is found is the same.

P points, R regions, K categories. Boxes are xyxy, x2 and y2 outside, in the network's input or in the photo.
"""

import torch
import torch.nn.functional as F

from ...layers.regions import Regions
from .configuration_nanodet import NanoDetConfig
from .detection_head import decode_sides, list_points, place_points
from .modeling_nanodet import NanoDetForInstanceSegmentation
from .outputs_nanodet import ImageMaps, NanoDetImageFeatures


def find_regions(
    detector: NanoDetForInstanceSegmentation, features: NanoDetImageFeatures, input_size: torch.Tensor
) -> tuple[Regions, torch.Tensor, torch.Tensor]:
    """
    What `detect` and `score_categories` find.

    Args:
        features: of one photo.
        input_size: (2,) its height and width in the network's input, without padding.

    Returns:
        the R regions, which of them there are (R,) bool, and their class scores (R, K).
    """
    geometry = features.geometry
    boxes, class_scores = read_points(detector.config, features.images[0], input_size)
    limits = geometry.original_sizes[0].flip(0).repeat(2)  # height, width -> width, height, twice
    of_photo = (boxes / geometry.image_scales).minimum(limits)
    points, exists = choose(detector.config, of_photo, class_scores)
    regions = Regions(of_photo[points], (detector.config.max_detections,))
    (network_boxes,) = detector.network_boxes(features, regions)
    return regions, exists, detector.ask_points(network_boxes, boxes, class_scores)


def read_points(config: NanoDetConfig, maps: ImageMaps, input_size: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes (P, 4) in the network's input and class scores (P, K) of all points; zeros of those on the padding."""
    places, strides = place_points(maps.predictions)
    logits, sides = list_points(maps.predictions).split([config.num_labels, 4 * config.num_bins], 1)
    limits = input_size.flip(0)  # height, width -> width, height
    boxes = decode_sides(sides, places, strides).clamp(min=0).minimum(limits.repeat(2))
    inside = (places < limits).all(1, keepdim=True)  # (P, 1)
    return boxes * inside, logits.sigmoid() * inside


def choose(config: NanoDetConfig, boxes: torch.Tensor, class_scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The points (R,) of the regions, the surest first, and which of these there are (R,) bool."""
    from torchvision.ops import nms

    class_scores = class_scores.where((boxes[:, 2:] > boxes[:, :2]).all(1)[:, None], 0)  # not of boxes without area
    threshold = class_scores.max().clamp(max=config.score_threshold)
    class_scores = class_scores.where(class_scores >= threshold, 0)
    scores, order = class_scores.flatten().topk(config.pre_nms_top_n)  # (P, K) -> (P * K,) -> (pre_nms_top_n,)
    points, labels = order // config.num_labels, order % config.num_labels
    boxes = boxes[points]
    apart = labels[:, None] * (boxes.max() + 1)  # boxes of two categories do not overlap
    kept = nms(boxes + apart, scores, config.nms_threshold)
    kept = kept[nms(boxes[kept], scores[kept], config.any_class_nms_threshold)]
    most = config.max_detections
    points, scores = (F.pad(values[kept], (0, most))[:most] for values in (points, scores))
    return points, scores > 0


__all__ = ["find_regions"]
