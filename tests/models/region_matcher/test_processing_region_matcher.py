"""From the region matcher's outputs to masks: an answer without regions has none."""

import torch
from PIL import Image

from hf_refseg.models.nanodet.image_processing_nanodet import NanoDetImageProcessor
from hf_refseg.models.region_matcher.processing_region_matcher import RegionMatcherProcessor
from hf_refseg.outputs import ReferringSegmentationOutput
from hf_refseg.processing.tokenization import tokenizer_from_sentences


def make_processor() -> RegionMatcherProcessor:
    images = NanoDetImageProcessor(size={"shortest_edge": 64, "longest_edge": 64})
    return RegionMatcherProcessor(images, tokenizer_from_sentences(["the red dog"], padding_side="right"))


def test_words_are_padded_behind():
    inputs = make_processor()(images=Image.new("RGB", (40, 30)), text=["red dog!", "the red dog"])
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert make_processor()(text=["dog", "red dog"])["attention_mask"].tolist() == [[1, 0], [1, 1]]


def test_nothing_is_an_empty_mask_without_a_box():
    boxes = torch.tensor([[4.0, 4, 24, 24], [4, 4, 24, 24]])
    outputs = ReferringSegmentationOutput(
        logits=torch.zeros(2, 64, 64),
        pred_boxes=boxes,
        scores=torch.tensor([0.8, 0.1]),
        region_masks=torch.stack([torch.ones(8, 8), torch.zeros(8, 8)]),
        no_target_scores=torch.tensor([0.1, 0.75]),
        image_index=torch.tensor([0, 0]),
        original_sizes=torch.tensor([[30, 40]]),
    )
    found, nothing = make_processor().post_process_referring_segmentation(outputs)
    assert found["mask"].sum() == 400 and found["box"] == [4, 4, 24, 24] and found["score"] > 0.79
    assert not nothing["mask"].any() and nothing["box"] is None and nothing["no_target_score"] == 0.75
