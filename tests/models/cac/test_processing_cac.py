"""What CAC reads of rows, and the targets of its training."""

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from hf_refseg.data import ReferringSegmentationCollator, RefShapes
from hf_refseg.data.refshapes.scene import CATEGORIES
from hf_refseg.models.cac.processing_cac import CacProcessor
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from tests.tiny import tiny_cac, tiny_mask_rcnn_config


@pytest.fixture
def processor() -> CacProcessor:
    image_processor = MaskRcnnImageProcessor(size={"shortest_edge": 96, "longest_edge": 160})
    tokenizer = tokenizer_from_sentences(["the left red dog"], padding_side="right")
    return CacProcessor(image_processor, tokenizer, categories=CATEGORIES)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)


def mask_of(box, size=(48, 64)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def test_boxes_are_scaled_with_both_corners_inside(processor, photo):
    """As the original: (x, y, x + w - 1, y + h - 1) times the scale, here 2."""
    boxes = [[4, 6, 20, 30], [10, 0, 64, 48]]
    inputs = processor(
        photo, ["left dog", "red"], segmentation_maps=[mask_of(box) for box in boxes], boxes=boxes, class_labels=[3, 0]
    )
    assert inputs["box_labels"].tolist() == [[8, 12, 39, 59], [20, 0, 127, 95]]
    assert inputs["class_labels"].tolist() == [3, 0] and inputs["labels"].shape == (2, 96, 128)


def test_a_row_gives_box_and_category_of_its_object(processor):
    rows = [row for row in RefShapes(num_samples=8, size=64) if len(row["ann_ids"]) == 1][:3]
    batch = ReferringSegmentationCollator(processor, sentence="all")(rows)
    sentences = [row for row in rows for _ in row["sentences"]]
    assert batch["class_labels"].tolist() == [CATEGORIES.index(row["category"]) for row in sentences]
    scale = 96 / 64
    for box, row in zip(batch["box_labels"], sentences, strict=True):
        expected = (torch.tensor(row["boxes"][0]) - torch.tensor([0, 0, 1, 1])) * scale + torch.tensor([0, 0, 1, 1])
        torch.testing.assert_close(box, expected)
    detector = tiny_mask_rcnn_config(num_labels=len(CATEGORIES))
    loss = tiny_cac(vocab_size=len(processor.tokenizer), detector_config=detector)(**batch).loss
    assert torch.isfinite(loss)


def test_an_evaluation_reads_no_targets(processor):
    (row,) = list(RefShapes(num_samples=1, size=64))
    batch = ReferringSegmentationCollator(processor, labels=False)([row])
    assert {"labels", "box_labels", "class_labels"}.isdisjoint(batch)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segmentation_maps": None}, "needs segmentation_maps, boxes and class_labels: give all three"),
        ({"class_labels": None}, "needs segmentation_maps, boxes and class_labels: give all three"),
        ({"boxes": [[4, 6, 20, 30]]}, "1 boxes for 2 expressions; give one per expression"),
        (
            {"boxes": [[4, 6, 20, 30], None]},
            r"boxes\[1\] is None: CAC is trained on expressions that refer to one object",
        ),
        ({"class_labels": [None, 1]}, r"class_labels\[0\] is None: .* one of the categories \['circle'"),
    ],
)
def test_targets_that_do_not_fit_are_refused(processor, photo, changes, message):
    boxes = [[4, 6, 20, 30], [10, 0, 64, 48]]
    given = {"segmentation_maps": [mask_of(box) for box in boxes], "boxes": boxes, "class_labels": [3, 0]}
    with pytest.raises(ValueError, match=message):
        processor(photo, ["left dog", "red"], **{**given, **changes})


def test_rows_of_several_objects_or_other_categories_have_no_target(processor):
    row = {
        "image": None,
        "mask": None,
        "sentences": [{"sent": "dogs"}],
        "boxes": [[0, 0, 5, 5], [5, 5, 9, 9]],
        "category": "dog",
    }
    inputs = processor.row_inputs(row)
    assert inputs["boxes"] == [None] and inputs["class_labels"] == [None]


def test_categories_are_saved(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(loaded, CacProcessor) and loaded.categories == list(CATEGORIES)
