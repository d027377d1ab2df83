import numpy as np
import pytest
import torch
from PIL import Image
from tiny import tiny_lstm_cnn, tiny_vgg_fcn_config

from hf_refseg import LstmCnnImageProcessor, LstmCnnProcessor
from hf_refseg.data import RefShapes
from hf_refseg.models.lstm_cnn.training_crops import CropCollator, draw_boxes, iou
from hf_refseg.processing.tokenization import tokenizer_from_sentences

ROWS = [RefShapes(size=64)[index] for index in range(6)]


@pytest.fixture
def processor():
    tokenizer = tokenizer_from_sentences(RefShapes.vocabulary("refcoco"))
    return LstmCnnProcessor(LstmCnnImageProcessor(size={"height": 224, "width": 224}), tokenizer)


def test_iou_by_hand():
    assert iou([0, 0, 10, 10], [0, 0, 10, 10]) == 1
    assert iou([0, 0, 10, 10], [5, 0, 15, 10]) == 50 / 150
    assert iou([0, 0, 5, 5], [5, 0, 10, 5]) == 0


def test_positives_overlap_by_seven_tenths_and_negatives_do_not_touch():
    for row in ROWS:
        referent = row["boxes"][0]
        for seed in range(20):
            positive, *negative = draw_boxes(row, np.random.default_rng(seed))
            assert iou(positive, referent) >= 0.7
            for box in negative:
                assert iou(box, referent) == 0
                assert 0 <= box[0] < box[2] <= 64 and 0 <= box[1] < box[3] <= 64


def test_a_referent_that_fills_the_image_has_no_negative_and_a_missing_one_is_an_error():
    row = {**ROWS[0], "boxes": [[0, 0, 64, 64]]}
    assert len(draw_boxes(row, np.random.default_rng(0))) == 1
    with pytest.raises(ValueError, match="no target"):
        draw_boxes({**ROWS[0], "boxes": []}, np.random.default_rng(0))


def test_batches_train_the_region_classifier_and_repeat_by_epoch(processor):
    collator = CropCollator(processor, seed=3)
    batch = collator(ROWS)
    count = len(batch["labels"])
    assert batch["pixel_values"].shape == (count, 3, 224, 224)
    assert batch["labels"].tolist()[:2] == [1.0, 0.0] and batch["labels"].sum() == len(ROWS)
    assert batch["original_sizes"].tolist() == [[64, 64]] * count
    again = collator(ROWS)
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    collator.set_epoch(1)
    assert not torch.equal(collator(ROWS)["crop_boxes"][::2], batch["crop_boxes"][::2])
    backbone = tiny_vgg_fcn_config(fc6_padding=0)
    model = tiny_lstm_cnn(stage="region", backbone_config=backbone, vocab_size=len(processor.tokenizer)).train()
    loss = model(**batch).loss
    loss.backward()
    assert loss.item() > 0 and model.classifier.weight.grad.abs().sum() > 0


def test_crops_show_what_is_in_their_boxes(processor):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[20:30, 10:30] = 255
    row = {**ROWS[0], "image": Image.fromarray(pixels), "boxes": [[10, 20, 30, 30]]}
    batch = CropCollator(processor)([row])
    x1, y1, x2, y2 = (int(side) for side in batch["crop_boxes"][0])
    white = torch.tensor(np.asarray(row["image"])[y1:y2, x1:x2] == 255).float().mean()
    mean = torch.tensor(processor.image_processor.image_mean)[:, None, None]
    gray = (batch["pixel_values"][0] + mean).mean() / 255
    assert gray.item() == pytest.approx(white.item(), abs=0.02)
