"""What the two graphs compute is what the model answers; tests/onnx_graphs exports them."""

import pytest
import torch
import torch.nn.functional as F

from hf_refseg.models.region_matcher.export_region_matcher import ExpressionGraph, ImageGraph
from tests.tiny import VOCAB_SIZE, tiny_mask_rcnn_config, tiny_nanodet, tiny_region_matcher


@torch.no_grad()
@pytest.mark.parametrize("nothing", [-20.0, 20.0], ids=["something", "nothing"])
def test_the_graphs_answer_as_the_model(nothing):
    torch.manual_seed(0)
    # All points vote: with random weights many have the same box, and which of these few would be is not specified.
    detector = tiny_nanodet(pre_nms_top_n=60, max_detections=9, num_voters=1000)
    model = tiny_region_matcher(detector_config=detector.config)
    model.detector.load_state_dict(detector.state_dict())
    torch.nn.init.constant_(model.matching.nothing[-1].bias, nothing)
    torch.nn.init.normal_(model.matching.several.weight, std=5)  # some mean several
    pixels, words = torch.rand(1, 3, 51, 70), torch.randint(1, VOCAB_SIZE, (6, 4))
    sizes = {"original_sizes": torch.tensor([[102, 140]]), "image_scales": torch.tensor([0.5])}
    expected = model(pixels, words, torch.ones_like(words), **sizes)

    inputs = [F.pad(values, (0, 26, 0, 13)) for values in (pixels, torch.ones(1, 51, 70, dtype=torch.long))]
    features = ImageGraph(model)(*inputs, *sizes.values())
    answers = dict(zip(ExpressionGraph.output_names, ExpressionGraph(model)(*features, words, words > 0), strict=True))
    assert answers["logits"].shape == (6, 64, 96)
    answers["logits"] = answers["logits"][:, :51, :70]
    answers["region_scores"] = answers["region_scores"][:, : expected.region_scores.shape[1]]
    for name, values in answers.items():
        torch.testing.assert_close(values, expected[name], rtol=0, atol=1e-5)
    assert answers["region_masks"].any() == (nothing < 0)


def test_another_detector_is_refused():
    model = tiny_region_matcher(detector_config=tiny_mask_rcnn_config())
    with pytest.raises(ValueError, match="the detector is refseg_mask_rcnn, whose regions no graph can find"):
        ImageGraph(model)
