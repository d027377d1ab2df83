"""Regions without sizes that depend on the photo are those of the model."""

import pytest
import torch
import torch.nn.functional as F

from hf_refseg.layers.image_geometry import ImageGeometry
from hf_refseg.models.nanodet.outputs_nanodet import NanoDetImageFeatures
from hf_refseg.models.nanodet.region_graph import find_regions
from tests.tiny import tiny_nanodet


@torch.no_grad()
@pytest.mark.parametrize(("most", "threshold"), [(7, 0.01), (40, 0.6), (5, 1.0)])
@pytest.mark.parametrize("size", [(64, 96), (51, 70)])
def test_the_same_regions(size, most, threshold):
    """More than there is room for, fewer, and the one that an image gets where none is sure."""
    torch.manual_seed(0)
    detector = tiny_nanodet(pre_nms_top_n=60, max_detections=most, score_threshold=threshold)
    pixels, scale, photo = torch.rand(1, 3, *size), torch.tensor([0.5]), torch.tensor([[2 * side for side in size]])
    expected = detector(pixels, original_sizes=photo, image_scales=scale, at_least_one=True)

    padded = F.pad(pixels, (0, -size[1] % 32, 0, -size[0] % 32))
    canvas = tuple(padded.shape[2:])
    features = NanoDetImageFeatures(
        images=tuple(detector.encode_images(padded)), geometry=ImageGeometry((canvas,), canvas, photo, scale)
    )
    regions, exists, class_scores = find_regions(detector, features, torch.tensor(size))
    found = len(expected.pred_boxes)
    assert exists.tolist() == [True] * found + [False] * (most - found)
    torch.testing.assert_close(regions.boxes[:found], expected.pred_boxes)
    torch.testing.assert_close(class_scores[:found], expected.class_scores)
