"""The processor's contract: how images, expressions and masks pair up, and how masks come back."""

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from hf_refseg import (
    LstmCnnImageProcessor,
    LstmCnnProcessor,
    ReferringSegmentationOutput,
    RmiImageProcessor,
    RmiProcessor,
)
from hf_refseg.data.schema import RleMask, encode_mask
from hf_refseg.processing import placement
from hf_refseg.processing.image_processing import CanvasImageProcessor
from hf_refseg.processing.masks import mask_box
from hf_refseg.processing.resizing import resize_mask
from hf_refseg.processing.tokenization import build_blank_split_tokenizer, tokenizer_from_sentences
from tests.tiny import tiny_rmi

SENTENCES = ["the red dog on the left", "a cat", "dog, cat"]


@pytest.fixture
def processor():
    return RmiProcessor(tokenizer=tokenizer_from_sentences(SENTENCES))


def picture(height=40, width=60, value=128):
    return np.full((height, width, 3), value, np.uint8)


def test_shapes_and_dtypes_of_one_image_and_many_expressions(processor):
    batch = processor(picture(), ["the dog", "a red cat", "cat"], segmentation_maps=[np.ones((40, 60))] * 3)
    shapes = {name: (tuple(value.shape), value.dtype) for name, value in batch.items()}
    assert shapes == {
        "input_ids": ((3, 3), torch.int64),
        "attention_mask": ((3, 3), torch.int64),
        "image_index": ((3,), torch.int64),
        "pixel_values": ((1, 3, 320, 320), torch.float32),
        "original_sizes": ((1, 2), torch.int64),
        "labels": ((3, 320, 320), torch.float32),
    }
    assert batch["attention_mask"].tolist() == [[0, 1, 1], [1, 1, 1], [0, 0, 1]]
    assert batch["input_ids"][2].tolist()[:2] == [0, 0]
    assert batch["original_sizes"].tolist() == [[40, 60]]


@pytest.mark.parametrize(
    ("num_images", "text", "image_index"),
    [
        (1, "the dog", [0]),
        (1, ["the dog", "a cat"], [0, 0]),
        (1, [["the dog", "a cat"]], [0, 0]),
        (2, ["the dog", "a cat"], [0, 1]),
        (2, [["the dog", "a cat"], ["cat"]], [0, 0, 1]),
        (3, [["the dog"], [], ["cat"]], [0, 2]),
    ],
)
def test_pairing(processor, num_images, text, image_index):
    batch = processor([picture()] * num_images, text)
    assert batch["image_index"].tolist() == image_index
    assert len(batch["input_ids"]) == len(image_index)
    assert len(batch["pixel_values"]) == num_images


@pytest.mark.parametrize(
    ("num_images", "text", "message"),
    [
        (2, ["the dog"], "2 images but 1 expressions"),
        (2, ["a cat"] * 3, "2 images but 3 expressions"),
        (3, [["a cat"], ["the dog"]], "3 images but 2 lists of expressions"),
        (2, [["a cat"], "the dog"], "mixes strings and lists"),
        (1, [], "list of expressions is empty"),
        (1, "", "expression 0 has no words: ''"),
        (1, ["a cat", " . "], "expression 1 has no words: ' . '"),
        (1, ["a cat", "purple zebra"], r"expression 1, 'purple zebra', is in the vocabulary .*\(purple, zebra\)"),
        (1, "?!", "only punctuation"),
    ],
)
def test_expressions_that_cannot_be_answered(processor, num_images, text, message):
    with pytest.raises(ValueError, match=message):
        processor([picture()] * num_images, text)


def test_data_sets_may_hold_unknown_expressions(processor):
    batch = processor(picture(), ["purple zebra", "a cat"], allow_unknown=True)
    assert batch["input_ids"][0].tolist() == [3, 3]
    with pytest.raises(ValueError, match="has no words"):
        processor(picture(), ".", allow_unknown=True)


def test_other_bad_calls(processor):
    with pytest.raises(TypeError, match="expression 1 is a int"):
        processor(picture(), ["a cat", 3])
    for text, kind in ((3, "int"), (b"a cat", "bytes")):
        with pytest.raises(TypeError, match=f"text is a {kind}; give an expression"):
            processor(picture(), text)
    with pytest.raises(TypeError, match="RmiProcessor needs a RmiImageProcessor .* not a CanvasImageProcessor"):
        RmiProcessor(CanvasImageProcessor(), processor.tokenizer)
    for option in ({"size": "large"}, {"do_resize": "no"}, {"return_tensors": 5}):
        with pytest.raises(TypeError, match=f"Validation error for field '{next(iter(option))}'"):
            processor(picture(), "a cat", **option)
    with pytest.raises(ValueError, match="no word of expression 0") as caught:
        processor(picture(), "z" * 90_000)
    assert len(str(caught.value)) < 500
    with pytest.raises(ValueError, match="neither images nor text"):
        processor()
    with pytest.raises(ValueError, match="1 segmentation_maps for 2 expressions"):
        processor(picture(), ["a cat", "a dog"], segmentation_maps=np.ones((40, 60)))
    with pytest.raises(ValueError, match="1 segmentation_maps for 1 expressions and no images"):
        processor(text="a cat", segmentation_maps=np.ones((40, 60)))
    with pytest.raises(ValueError, match=r"segmentation_maps\[1\] is 60 x 40 .* its image 40 x 60"):
        processor(picture(), ["a cat"] * 2, segmentation_maps=[np.ones((40, 60)), np.ones((60, 40))])


def test_a_mask_of_many_expressions_is_resized_once(processor, monkeypatch):
    resized = []
    monkeypatch.setattr(placement, "resize_mask", lambda *a: resized.append(1) or resize_mask(*a))
    first, second = np.zeros((40, 60), bool), np.ones((40, 60), bool)
    first[10:20, 30:50] = True
    batch = processor(picture(), ["a cat", "the dog", "a red cat"], segmentation_maps=[first, second, first])
    assert len(resized) == 2
    alone = [processor(picture(), "a cat", segmentation_maps=mask)["labels"][0] for mask in (first, second, first)]
    assert torch.equal(batch["labels"], torch.stack(alone))


def test_a_row_becomes_a_call(processor):
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:50] = True
    row = {
        "image": picture(), "height": 40, "width": 60, "mask": RleMask(encode_mask(mask)),
        "sentences": [{"sent_id": 1, "sent": "a cat", "tokens": []}, {"sent_id": 2, "sent": "the dog", "tokens": []}],
    }  # fmt: skip
    inputs = processor.row_inputs(row)
    assert set(inputs) == {"images", "text", "segmentation_maps"} and inputs["text"] == ["a cat", "the dog"]
    batch, expected = processor(**inputs), processor(picture(), ["a cat", "the dog"], segmentation_maps=[mask, mask])
    assert set(batch) == set(expected) and all(torch.equal(batch[name], expected[name]) for name in batch)
    with pytest.raises(ValueError, match="is a dict; expected an array .*hf_refseg.data.decode_mask"):
        processor(**processor.row_inputs(row | {"mask": encode_mask(mask)}))


def test_an_image_processor_is_known_by_its_name(processor):
    """A model folder with its own code has its own copy of the class, and a user may derive from ours."""
    copy = type("RmiImageProcessor", (CanvasImageProcessor,), {})
    derived = type("MyImageProcessor", (RmiImageProcessor,), {})
    for image_processor in (copy(), derived()):
        assert RmiProcessor(image_processor, processor.tokenizer).image_processor is image_processor


def test_a_system_says_how_it_reads_a_vocabulary(tmp_path):
    class PadsBehind(RmiProcessor):
        padding_side = "right"

    class SplitsAtBlanks(RmiProcessor):
        @classmethod
        def tokenizer_from_vocabulary(cls, vocabulary, **options):
            return build_blank_split_tokenizer({word: index for index, word in enumerate(vocabulary)}, **options)

    words = tmp_path / "words.txt"
    words.write_text("<pad>\n<go>\n<eos>\n<unk>\ncat\nred\n")
    text = ["cat", "red cat"]
    assert RmiProcessor.from_vocabulary_file(words)(text=text)["input_ids"].tolist() == [[0, 4], [5, 4]]
    assert PadsBehind.from_vocabulary_file(words)(text=text)["input_ids"].tolist() == [[4, 0], [5, 4]]
    assert RmiProcessor.from_vocabulary_file(words, max_length=1)(text=text)["input_ids"].tolist() == [[4], [5]]
    with pytest.raises(ValueError, match="words.txt: the vocabulary has <PAD> at None"):
        SplitsAtBlanks.from_vocabulary_file(words)
    words.write_text("<PAD>\n<UNK>\nman's\nhat\n")
    processor = SplitsAtBlanks.from_vocabulary_file(words)
    assert processor(text=["man's hat", "hat"])["input_ids"].tolist() == [[2, 3], [3, 0]]


def test_text_alone_and_images_alone(processor):
    assert set(processor(text=["a cat", "the dog"])) == {"input_ids", "attention_mask"}
    assert processor(text=[["a cat", "the dog"], ["cat"]])["image_index"].tolist() == [0, 0, 1]
    assert set(processor(images=picture())) == {"pixel_values", "original_sizes"}


def test_expressions_alone_ask_an_image_that_was_encoded_before(processor):
    model = tiny_rmi(vocab_size=len(processor.tokenizer))
    text, size = ["a cat", "the dog"], {"height": 64, "width": 64}
    with torch.no_grad():
        together = model(**processor(picture(), text, size=size))
        features = model.get_image_features(processor(images=picture(), size=size)["pixel_values"])
        apart = model(image_features=features, **processor(text=text))
    torch.testing.assert_close(apart.logits, together.logits)


def test_long_expressions_keep_their_first_words(processor):
    batch = processor(picture(), " ".join(["dog"] * 19 + ["left", "cat", "cat"]))
    assert batch["input_ids"].shape == (1, 20)
    left = processor.tokenizer.convert_tokens_to_ids("left")
    assert batch["input_ids"][0, -1] == left


@pytest.mark.filterwarnings("error")
def test_padding_does_not_warn(processor, tmp_path):
    processor(picture(), ["a cat", "the red dog"], max_length=5)
    processor.tokenizer(["a cat"], padding="max_length", truncation=True, max_length=7)
    processor.save_pretrained(tmp_path)
    assert RmiProcessor.from_pretrained(tmp_path)(picture(), ["a cat", "the red dog"])["input_ids"].shape == (2, 3)


def test_options_reach_their_part(processor):
    batch = processor(picture(), "a cat", padding="max_length", max_length=7, size={"height": 64, "width": 32})
    assert batch["input_ids"].shape == (1, 7)
    assert batch["pixel_values"].shape == (1, 3, 64, 32)
    assert isinstance(processor(picture(), "a cat", return_tensors="np")["pixel_values"], np.ndarray)


def test_unknown_words_are_told(processor):
    assert processor.unknown_words("the purple dog, left") == ["purple"]


def test_hu_pads_to_the_full_length():
    batch = LstmCnnProcessor(tokenizer=tokenizer_from_sentences(SENTENCES))(picture(), ["a cat", "the dog"])
    assert batch["input_ids"].shape == (2, 20)
    assert batch["pixel_values"].shape == (1, 3, 512, 512)
    assert batch["pixel_values"][0, :, 0, 0].tolist() == pytest.approx([-123.68, -116.779, -103.939])


def outputs_of(masks, image_index=None, scores=None):
    """Confident logits of (N, H, W) masks at the network's size."""
    return ReferringSegmentationOutput(logits=masks.float() * 20 - 10, image_index=image_index, scores=scores)


@pytest.mark.parametrize("interpolation", ["clean", "paper"])
def test_masks_come_back_at_each_image_size(processor, interpolation):
    small, large = np.zeros((40, 60), bool), np.zeros((700, 500), bool)
    small[10:20, 30:50] = True
    large[300:600, 100:200] = True
    images = [picture(40, 60), picture(700, 500)]
    text = [["a cat", "the dog"], ["cat"]]
    batch = processor(images, text, segmentation_maps=[small, ~small, large])
    outputs = outputs_of(batch["labels"], batch["image_index"])
    results = processor.post_process_referring_segmentation(
        outputs, batch["original_sizes"], interpolation=interpolation
    )
    assert [result["image_index"] for result in results] == [0, 0, 1]
    assert [tuple(result["mask"].shape) for result in results] == [(40, 60), (40, 60), (700, 500)]
    assert all(result["mask"].dtype == torch.bool for result in results)
    tolerance = 1 if interpolation == "clean" else 4  # pixels; the originals' masks grow
    assert results[0]["box"] == pytest.approx([30, 10, 50, 20], abs=tolerance)
    assert results[2]["box"] == pytest.approx([100, 300, 200, 600], abs=tolerance)
    assert all(0.85 < result["score"] <= 1 for result in results)


def test_threshold_scores_and_empty_masks(processor):
    logits = torch.full((2, 320, 320), -0.5)
    logits[1, 100:200, 100:200] = 0.4
    outputs = ReferringSegmentationOutput(logits=logits, image_index=None, scores=None)
    sizes = [(320, 320)]
    empty, square = processor.post_process_referring_segmentation(outputs, sizes)
    assert (empty["box"], empty["score"], int(empty["mask"].sum())) == (None, 0.0, 0)
    assert square["box"] == [100.0, 100.0, 200.0, 200.0]
    assert square["score"] == pytest.approx(torch.tensor(0.4).sigmoid().item())
    assert all(r["box"] is None for r in processor.post_process_referring_segmentation(outputs, sizes, threshold=0.7))
    assert processor.post_process_referring_segmentation(outputs, sizes, threshold=0.3)[0]["mask"].all()
    outputs.scores = torch.tensor([0.1, 0.9])
    scores = [result["score"] for result in processor.post_process_referring_segmentation(outputs, sizes)]
    assert scores == pytest.approx([0.1, 0.9])


def test_post_processing_names_what_is_wrong(processor):
    outputs = outputs_of(torch.zeros(2, 32, 32), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="unknown refine 'dense'; use one of None, 'dense_crf'"):
        processor.post_process_referring_segmentation(outputs, refine="dense")
    with pytest.raises(ValueError, match="unknown interpolation 'cut'"):
        processor.post_process_referring_segmentation(outputs, interpolation="cut")
    with pytest.raises(ValueError, match="interpolation='paper' .* needs target_sizes"):
        processor.post_process_referring_segmentation(outputs, interpolation="paper")
    with pytest.raises(ValueError, match="threshold is 50; it is a probability between 0 and 1"):
        processor.post_process_referring_segmentation(outputs, threshold=50)
    with pytest.raises(ValueError, match="target_sizes has 1 rows, but an expression refers to image 1"):
        processor.post_process_referring_segmentation(outputs, [(4, 4)])
    assert processor.post_process_referring_segmentation(outputs)[1]["mask"].shape == (32, 32)


def test_sizes_come_from_the_outputs_where_they_have_them(processor):
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:50] = True
    batch = processor(picture(), "a cat", segmentation_maps=mask)
    outputs = outputs_of(batch["labels"])
    post_process = processor.post_process_referring_segmentation
    (given,) = post_process(outputs, [(40, 60)])
    outputs.original_sizes = batch["original_sizes"]
    for options in ({}, {"target_sizes": [(40, 60)]}, {"target_sizes": batch["original_sizes"]}):
        assert torch.equal(post_process(outputs, **options)[0]["mask"], given["mask"])
    with pytest.raises(ValueError, match=r"target_sizes are \[\(60, 40\)\], but the boxes .* of \[\(40, 60\)\]"):
        post_process(outputs, [(60, 40)])


def test_mask_box():
    mask = torch.zeros(5, 7, dtype=torch.bool)
    assert mask_box(mask) is None
    mask[2, 3] = True
    assert mask_box(mask) == [3.0, 2.0, 4.0, 3.0]


@pytest.mark.parametrize(
    ("processor_class", "image_processor_class"),
    [(RmiProcessor, RmiImageProcessor), (LstmCnnProcessor, LstmCnnImageProcessor)],
)
def test_survives_saving_through_auto_processor(processor_class, image_processor_class, tmp_path):
    image_processor = image_processor_class(size={"height": 64, "width": 96}, interpolation="paper")
    processor = processor_class(image_processor, tokenizer_from_sentences(SENTENCES, max_length=9))
    processor.save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert type(again) is processor_class and type(again.image_processor) is image_processor_class
    image = np.random.default_rng(0).integers(0, 256, (50, 31, 3), dtype=np.uint8)
    one, two = processor(image, SENTENCES), again(image, SENTENCES)
    assert set(one) == set(two)
    for name in one:
        assert torch.equal(one[name], two[name]), name


def test_liu_baseline_reads_images_like_rmi():
    image = picture(50, 40, 77)
    ours = LstmCnnImageProcessor.liu_baseline()(image)["pixel_values"]
    assert torch.equal(ours, RmiImageProcessor()(image)["pixel_values"])
