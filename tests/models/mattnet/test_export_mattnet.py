"""What the two graphs compute is what the matching answers; tests/onnx_graphs exports them."""

import pytest
import torch

from hf_refseg.layers.regions import Regions
from hf_refseg.models.mattnet.export_mattnet import ExpressionGraph, ImageGraph
from tests.tiny import VOCAB_SIZE, tiny_mattnet


@torch.no_grad()
@pytest.mark.parametrize("modules", [["subject", "location", "relationship"], ["location", "relationship"]])
def test_the_graphs_answer_as_the_matching(modules):
    torch.manual_seed(0)
    model = tiny_mattnet(modules=modules)
    inputs = ImageGraph(model).example(None)
    words = torch.randint(1, VOCAB_SIZE, (6, 4))
    regions = Regions(inputs["region_boxes"][0], (5,), inputs["region_labels"][0])
    maps = (inputs["region_crops"][0], inputs["region_head_maps"][0])
    encoded = model.matching.encode_regions(regions, *maps, inputs["original_sizes"])
    expected = model.matching.match(regions, encoded, model.matching.encode_words(words)).scores

    features = ImageGraph(model)(*inputs.values())
    scores, best, chosen = ExpressionGraph(model)(*features, words, torch.ones_like(words))
    torch.testing.assert_close(scores, expected)
    assert scores.shape == (6, 5) and torch.equal(chosen, expected.argmax(1)) and torch.equal(best, scores.amax(1))
