"""Systems with a detector of their own choose among the regions that NanoDet found."""

import pytest
import torch

from hf_refseg.models.nanodet.image_processing_nanodet import NanoDetImageProcessor
from tests.tiny import tiny_cac, tiny_hulanet, tiny_nanodet

SIZE = 64
WORDS = torch.tensor([[5, 6], [7, 4]])


@pytest.fixture(scope="module")
def found():
    torch.manual_seed(0)
    detector = tiny_nanodet(max_detections=6)
    with torch.no_grad():
        outputs = detector(torch.randn(1, 3, SIZE, SIZE))
    (found,) = NanoDetImageProcessor().post_process_instance_segmentation(outputs)
    segments = found["segments_info"]
    assert len(segments) > 1 and found["segmentation"].flatten(1).any(1).all()
    return {
        "region_boxes": [torch.tensor([segment["box"] for segment in segments])],
        "region_labels": [torch.tensor([segment["label_id"] for segment in segments])],
        "region_masks": [found["segmentation"]],
    }


@torch.no_grad()
def test_cac_answers_with_one_of_its_masks(found):
    torch.manual_seed(0)
    outputs = tiny_cac()(torch.randn(1, 3, SIZE, SIZE), WORDS, **found)
    for mask, box, chosen in zip(outputs.given_masks, outputs.pred_boxes, outputs.chosen.tolist(), strict=True):
        assert torch.equal(mask, found["region_masks"][0][chosen])
        torch.testing.assert_close(box, found["region_boxes"][0][chosen])


@torch.no_grad()
def test_hulanet_attends_to_them(found):
    torch.manual_seed(0)
    outputs = tiny_hulanet()(torch.randn(1, 3, SIZE, SIZE), WORDS, **found)
    assert outputs.detection_counts == (len(found["region_boxes"][0]),)
    assert torch.equal(outputs.given_detection_masks[0], found["region_masks"][0])
    assert outputs.logits.shape == (2, SIZE, SIZE) and outputs.region_scores.isfinite().all()
