import numpy as np
import pytest
import torch

from hf_refseg.models.hulanet.processing_hulanet import HulaNetProcessor
from hf_refseg.models.hulanet.tokenization_hulanet import phrase_tokenizer_from_sentences
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.outputs import ReferringSegmentationOutput

NAMES = {"categories": ["cup", "coffee table", "man", "hat"], "attributes": ["white"], "predicates": ["on", "wearing"]}
SENTENCES = ["white cup on the coffee table", "man wearing hat"]
IMAGE = np.zeros((20, 30, 3), np.uint8)
WHITE_CUP = {"name": "cup", "attributes": ["white"], "relation_descriptions": [{"predicate": "on", "object": "hat"}]}


@pytest.fixture(scope="module")
def processor() -> HulaNetProcessor:
    return HulaNetProcessor(tokenizer=phrase_tokenizer_from_sentences(SENTENCES), names=NAMES)


@pytest.fixture(scope="module")
def unscaled() -> HulaNetProcessor:
    """A processor that leaves pictures as they are."""
    return HulaNetProcessor(MaskRcnnImageProcessor(do_resize=False), phrase_tokenizer_from_sentences(SENTENCES))


def test_a_phrase_by_itself_shows_what_was_understood(processor):
    inputs = processor("white cup on the coffee table")
    assert inputs["phrase_structure"] == [
        {
            "name": "cup",
            "attributes": ["white"],
            "relation_descriptions": [{"predicate": "on", "object": "coffee table"}],
            "unread": [],
        }
    ]
    assert inputs["word_roles"].tolist() == [[2, 7, 5, 9, 0, 10, 11, 3]]
    assert inputs["word_categories"].tolist() == [[-1, -1, 0, -1, -1, 1, 1, -1]]
    assert "pixel_values" not in inputs


def test_a_given_structure_decides_what_is_read(processor):
    inputs = processor(IMAGE, ["the cup", "man wearing hat"], phrase_structure=[WHITE_CUP, None])
    read = processor.tokenizer.batch_decode(inputs["input_ids"], skip_special_tokens=True)
    assert read == ["white cup on hat", "man wearing hat"]
    assert inputs["image_index"].tolist() == [0, 0] and inputs["word_roles"].shape == inputs["input_ids"].shape
    assert [understood["name"] for understood in inputs["phrase_structure"]] == ["cup", "man"]


def test_nested_phrases_keep_their_images(processor):
    inputs = processor([IMAGE, IMAGE], [["cup"], ["man", "hat"]], phrase_structure=[WHITE_CUP, None, None])
    assert inputs["image_index"].tolist() == [0, 1, 1]
    assert [understood["name"] for understood in inputs["phrase_structure"]] == ["cup", "man", "hat"]


def test_long_phrases_are_cut_as_in_the_original_and_said_to_be(processor):
    """<BOS> counts, <EOS> is lost; an object that is cut off ends where it is cut."""
    inputs = processor("white white white white white white cup on coffee table", return_tensors="pt")
    assert inputs["input_ids"].shape == (1, 10)
    assert inputs["word_roles"].tolist() == [[2, 7, 7, 7, 7, 7, 7, 5, 9, 11]]
    assert inputs["phrase_structure"][0]["unread"] == ["table"]
    longer = processor("white white white white white white cup on coffee table", max_length=20)
    assert longer["input_ids"].shape == (1, 12) and not longer["phrase_structure"][0]["unread"]


def test_saved_processor_understands_the_same(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    loaded = HulaNetProcessor.from_pretrained(tmp_path)
    assert loaded.names == NAMES
    for name, value in processor("man wearing hat").items():
        other = loaded("man wearing hat")[name]
        assert torch.equal(other, value) if isinstance(value, torch.Tensor) else other == value


def test_numpy_on_demand(processor):
    inputs = processor(IMAGE, "cup", return_tensors="np")
    assert all(isinstance(inputs[name], np.ndarray) for name in ("input_ids", "word_roles", "word_categories"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "zorg blorp"}, "no word of expression 0, 'zorg blorp', is in the vocabulary"),
        ({"text": ["cup", " "]}, "expression 1 has no words"),
        ({"text": []}, "the list of expressions is empty"),
        ({"text": ["cup", "man"], "phrase_structure": [None]}, "1 phrase_structure for 2 phrases"),
        ({"text": "cup", "phrase_structure": [{"name": "cup"}]}, "give a dict of name, attributes and"),
        ({}, "neither images nor text"),
    ],
)
def test_phrases_that_say_nothing_are_refused(processor, arguments, message):
    with pytest.raises(ValueError, match=message):
        processor(**arguments)


def test_unknown_words_are_taken_where_a_data_set_needs_it(processor):
    inputs = processor("zorg blorp", allow_unknown=True)
    assert inputs["input_ids"].tolist() == [[2, 1, 1, 3]]
    assert inputs["phrase_structure"][0]["name"] == "zorg blorp"


def test_names_of_other_things_are_refused():
    with pytest.raises(ValueError, match="what is known of phrases is their categories, attributes, predicates"):
        HulaNetProcessor(tokenizer=phrase_tokenizer_from_sentences(SENTENCES), names={"colors": ["red"]})


def test_rows_bring_their_structure(processor):
    sentences = [{"sent_id": 0, "sent": "white cup on hat", "tokens": []}]
    row = {"image": IMAGE, "sentences": sentences, "mask": np.zeros((20, 30), bool), "phrase_structure": WHITE_CUP}
    inputs = processor(**processor.row_inputs(row))
    assert inputs["phrase_structure"][0]["relation_descriptions"] == [{"predicate": "on", "object": "hat"}]
    assert inputs["labels"].shape == (1, *inputs["pixel_values"].shape[2:])
    parsed = processor(**processor.row_inputs({**row, "phrase_structure": None}))
    assert torch.equal(parsed["word_roles"], inputs["word_roles"])


def outputs_of(scores: list[list[float]], **changes) -> ReferringSegmentationOutput:
    """Two images of four detections in all; the second lies upon the first, a square of 4 x 4 pixels."""
    masks = torch.zeros(4, 20, 30, dtype=torch.bool)
    masks[0, :4, :4], masks[1, :4, :5], masks[2, 10:14, 20:25], masks[3, 2:6, 2:8] = True, True, True, True
    given = {
        "logits": torch.full((2, 20, 30), -5.0),
        "region_scores": torch.tensor(scores),
        "image_index": torch.tensor([0, 1]),
        "original_sizes": torch.tensor([[20, 30], [20, 30]]),
        "detection_counts": (3, 1),
        "given_detection_masks": (masks[:3], masks[3:]),
    }
    return ReferringSegmentationOutput(**{**given, **changes})


def test_instances_come_one_by_one_without_doubles(unscaled):
    first, second = unscaled.post_process_referring_segmentation(
        outputs_of([[0.9, 0.8, 0.95], [0.4, -torch.inf, -torch.inf]])
    )
    assert [instance["box"] for instance in first["instances"]] == [[20, 10, 25, 14], [0, 0, 4, 4]]
    assert [instance["score"] for instance in first["instances"]] == pytest.approx([0.95, 0.9])
    assert first["instances"][1]["mask"].sum() == 16 and second["instances"] == []
    (surer, _) = unscaled.post_process_referring_segmentation(
        outputs_of([[0.9, 0.8, 0.95], [0.4, 0, 0]]), threshold=0.92
    )
    assert len(surer["instances"]) == 1


def test_instances_are_drawn_from_small_masks(unscaled):
    boxes = torch.tensor([[0.0, 0, 4, 4], [10, 10, 20, 18], [1, 1, 3, 3], [5, 5, 15, 15]])
    small = torch.ones(4, 4, 4)
    small[1, :2] = 0
    outputs = outputs_of(
        [[0.1, 0.9, 0.2], [0.7, 0, 0]], given_detection_masks=None, detection_boxes=boxes, detection_masks=small
    )
    first, second = unscaled.post_process_referring_segmentation(outputs)
    assert first["instances"][0]["box"] == [10, 14, 20, 18]
    assert second["instances"][0]["box"] == [5, 5, 15, 15]


def test_vocabulary_files_make_this_systems_tokenizer(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("<PAD>\n<UNK>\n<BOS>\n<EOS>\ncup\n")
    processor = HulaNetProcessor.from_vocabulary_file(path)
    assert processor("cup")["input_ids"].tolist() == [[2, 4, 3]]
