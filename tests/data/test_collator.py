import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from hf_refseg.data import ReferringSegmentationCollator, RefShapes, decode_mask, swap_left_right
from hf_refseg.data.schema import RleMask
from hf_refseg.models.rmi.processing_rmi import RmiProcessor
from hf_refseg.processing.processor import ReferringSegmentationProcessor
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from tests.tiny import tiny_rmi


@pytest.fixture(scope="module")
def rows():
    return list(RefShapes(num_samples=12, size=64))


class Recorder:
    """Stands for a processor: returns what it is given."""

    row_inputs = ReferringSegmentationProcessor.row_inputs
    target_names = ReferringSegmentationProcessor.target_names

    def __call__(self, **inputs):
        return inputs


def collate(rows, epoch=0, **options):
    collator = ReferringSegmentationCollator(Recorder(), **options)
    collator.set_epoch(epoch)
    return collator(rows)


def test_all_sentences_share_their_image(rows):
    inputs = collate(rows, sentence="all")
    assert inputs["text"] == [[s["sent"] for s in row["sentences"]] for row in rows]
    assert len(inputs["images"]) == len(rows)
    masks = [decode_mask(row["mask"]) for row in rows for _ in row["sentences"]]
    np.testing.assert_array_equal(inputs["segmentation_maps"], masks)


def test_first_and_random_give_one_each(rows):
    assert collate(rows, sentence="first")["text"] == [[row["sentences"][0]["sent"]] for row in rows]
    for (text,), row in zip(collate(rows)["text"], rows, strict=True):
        assert text in [s["sent"] for s in row["sentences"]]


def test_draws_depend_on_seed_epoch_and_row_only(rows):
    options = {"flip_probability": 0.5}
    once = collate(rows, **options)["text"]
    torch.manual_seed(1)
    np.random.seed(1)
    assert collate(rows, **options)["text"] == once
    # Another batch size, another order: the same draw for the same row.
    assert [collate([row], **options)["text"][0] for row in rows[::-1]] == once[::-1]
    assert collate(rows, epoch=1, **options)["text"] != once
    assert collate(rows, seed=1, **options)["text"] != once


def test_flips_mirror_picture_mask_and_words(rows):
    inputs = collate(rows, flip_probability=1.0, sentence="first")
    for row, image, text, mask in zip(rows, inputs["images"], inputs["text"], inputs["segmentation_maps"], strict=True):
        assert text == [swap_left_right(row["sentences"][0]["sent"])]
        np.testing.assert_array_equal(np.asarray(image), np.asarray(row["image"])[:, ::-1])
        np.testing.assert_array_equal(mask, decode_mask(row["mask"])[:, ::-1])


def test_about_the_wanted_share_is_flipped():
    rows = list(RefShapes(num_samples=200, size=48))
    images = collate(rows, flip_probability=0.25)["images"]
    flipped = sum(image is not row["image"] for image, row in zip(images, rows, strict=True))
    assert 30 <= flipped <= 70


def test_a_worker_that_outlives_the_epoch_sees_the_new_one(rows):
    collator = ReferringSegmentationCollator(Recorder(), flip_probability=0.5)
    loader = DataLoader(rows, batch_size=12, collate_fn=collator, num_workers=1, persistent_workers=True)
    texts = []
    for epoch in (0, 1):
        collator.set_epoch(epoch)
        texts += [batch["text"] for batch in loader]
    assert texts == [collate(rows, epoch, flip_probability=0.5)["text"] for epoch in (0, 1)]


def test_batch_fits_a_model(rows):
    vocabulary = RefShapes.vocabulary("refcoco")
    processor = RmiProcessor(tokenizer=tokenizer_from_sentences(vocabulary))
    processor.image_processor.size = {"height": 64, "width": 64}
    inputs = ReferringSegmentationCollator(processor, sentence="all")(rows[:3])
    count = sum(len(row["sentences"]) for row in rows[:3])
    assert inputs["pixel_values"].shape == (3, 3, 64, 64) and inputs["labels"].shape == (count, 64, 64)
    masks = [decode_mask(row["mask"]) for row in rows[:3] for _ in row["sentences"]]
    np.testing.assert_array_equal(inputs["labels"].numpy() > 0.5, masks)
    outputs = tiny_rmi(vocab_size=len(processor.tokenizer))(**inputs)
    assert outputs.logits.shape == (count, 64, 64) and outputs.loss.isfinite()


def test_sentences_of_a_row_share_one_mask_object(rows):
    masks = collate(rows[:2], sentence="all")["segmentation_maps"]
    counts = [len(row["sentences"]) for row in rows[:2]]
    assert min(counts) > 1 and len(masks) == sum(counts) and len(set(map(id, masks))) == 2


def test_without_labels_no_mask_is_decoded(rows, monkeypatch):
    monkeypatch.setattr(RleMask, "__array__", lambda *arguments, **options: pytest.fail("a mask was decoded"))
    processor = RmiProcessor(tokenizer=tokenizer_from_sentences(RefShapes.vocabulary("refcoco")))
    inputs = ReferringSegmentationCollator(processor, sentence="all", labels=False)(rows[:2])
    assert "labels" not in inputs and len(inputs["input_ids"]) == sum(len(row["sentences"]) for row in rows[:2])


def test_what_a_processor_reads_beside_reaches_its_call(rows):
    """As HULANet reads the structure of phrases: one entry per sentence, over all rows."""

    class Structured(Recorder):
        def row_inputs(self, row):
            inputs = super().row_inputs(row)
            return inputs | {"phrases": [(row["category"], text) for text in inputs["text"]]}

    inputs = ReferringSegmentationCollator(Structured(), sentence="all")(rows[:3])
    expected = [(row["category"], sentence["sent"]) for row in rows[:3] for sentence in row["sentences"]]
    assert inputs["phrases"] == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [({"sentence": "longest"}, "longest.*random.*first.*all"), ({"flip_probability": 50}, "50")],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ReferringSegmentationCollator(Recorder(), **options)


def test_bad_rows_are_named(rows):
    with pytest.raises(ValueError, match="empty batch"):
        collate([])
    with pytest.raises(ValueError, match="refshapes/refcoco train ref_id=0 has no sentences"):
        collate([rows[0] | {"sentences": []}])
    with pytest.raises(ValueError, match=r"ref_id=0.*\[64, 64\].*\[65, 64\]"):
        collate([rows[0] | {"height": 65}])


def test_a_damaged_mask_is_refused_before_it_is_decoded(rows):
    mask = rows[0]["mask"]
    with pytest.raises(ValueError, match="damaged or cut off"):
        collate([rows[0] | {"mask": {**mask, "counts": mask["counts"][:-1]}}])
