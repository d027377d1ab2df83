"""Evaluators: alone, composed over one batch, and what they refuse."""

import pytest
import torch
from tiny import tiny_mask_rcnn, tiny_mask_rcnn_config, tiny_mattnet

from hf_refseg.data import RefShapes
from hf_refseg.data.refshapes.scene import CATEGORIES
from hf_refseg.evaluation.evaluators import (
    ComprehensionEvaluator,
    DetectionEvaluator,
    SegmentationEvaluator,
    in_place_of_images,
    referring_evaluators,
)
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.mattnet.processing_mattnet import MAttNetProcessor
from hf_refseg.processing.tokenization import tokenizer_from_sentences

NAMES = {"id2label": dict(enumerate(CATEGORIES)), "num_labels": len(CATEGORIES)}
LABELS = {name: label for label, name in enumerate(CATEGORIES)}


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return list(RefShapes("val", size=48, num_samples=4))


@pytest.fixture(scope="module")
def processor() -> MAttNetProcessor:
    tokenizer = tokenizer_from_sentences(RefShapes.vocabulary(), padding_side="right")
    return MAttNetProcessor(MaskRcnnImageProcessor(size={"shortest_edge": 48, "longest_edge": 80}), tokenizer)


@pytest.fixture(scope="module")
def model(processor):
    torch.manual_seed(0)
    return tiny_mattnet(vocab_size=len(processor.tokenizer), detector_config=tiny_mask_rcnn_config(**NAMES))


@pytest.fixture
def evaluators(processor):
    return referring_evaluators(processor, others=[ComprehensionEvaluator(LABELS)])


class Spy:
    """A model that remembers what it was asked and what it answered."""

    def __init__(self, model):
        self.model, self.calls, self.device = model, [], model.device

    def __call__(self, **inputs):
        self.calls.append((inputs, self.model(**inputs)))
        return self.calls[-1][1]

    def eval(self):
        return self


def test_the_right_object_is_the_one_that_the_model_chooses(model, evaluators, rows):
    spy = Spy(model)
    accuracy = evaluators.evaluate(spy, rows)["region_acc"]
    (_, (inputs, outputs)) = spy.calls
    right = [
        rows[image]["instances"][chosen]["ann_id"] == rows[image]["ann_ids"][0]
        for chosen, image in zip(outputs.chosen.tolist(), outputs.image_index.tolist(), strict=True)
    ]
    assert len(right) == sum(len(row["sentences"]) for row in rows)
    assert accuracy == sum(right) / len(right)
    for row, labels, boxes in zip(rows, inputs["region_labels"], inputs["region_boxes"], strict=True):
        assert [CATEGORIES[label] for label in labels] == [thing["category"] for thing in row["instances"]]
        assert boxes.tolist() == [thing["box"] for thing in row["instances"]]
        assert boxes.dtype == torch.float64, "ties decide the order of neighbors"


def test_rows_are_answered_alike_in_any_batch_and_once(model, evaluators, rows):
    whole = evaluators.evaluate(model, rows)
    assert evaluators.evaluate(model, rows, batch_size=1) == whole
    assert whole["num"] == sum(len(row["sentences"]) for row in rows)
    for batch in ([0, 1], [1, 2], [3]):  # as where rows are repeated to fill up the processes' last batches
        evaluators.add(model, evaluators.batch([(number, rows[number]) for number in batch]))
    assert evaluators.compute() == whole


def test_only_sentences_about_one_object_are_counted(model, processor, rows):
    evaluators = referring_evaluators(processor, others=[ComprehensionEvaluator(LABELS)])
    several = {**rows[0], "ann_ids": [thing["ann_id"] for thing in rows[0]["instances"][:2]]}
    metrics = evaluators.evaluate(model, [several, *rows[1:]])
    assert metrics["region_acc"] == evaluators.evaluate(model, rows[1:])["region_acc"]
    assert metrics["num"] == sum(len(row["sentences"]) for row in rows)
    nothing = evaluators.evaluate(model, [several])["region_acc"]
    assert nothing != nothing, "NaN: there is nothing to count"


def test_an_annotated_box_of_no_area_is_a_candidate_all_the_same(model, evaluators, rows):
    flat = {**rows[0]["instances"][-1], "box": [3.0, 4, 3, 20]}
    spy = Spy(model)
    evaluators.evaluate(spy, [{**rows[0], "instances": [*rows[0]["instances"][:-1], flat]}])
    assert spy.calls[-1][0]["region_boxes"][0][-1].tolist() == [3, 4, 4, 20]


def test_rows_without_objects_and_unknown_categories_are_named(evaluators, processor, rows):
    detection = DetectionEvaluator(processor.image_processor, CATEGORIES)
    strange = {**rows[0], "instances": [{**thing, "category": "dodecahedron"} for thing in rows[0]["instances"]]}
    for batch in (lambda row: evaluators.batch([(0, row)]), lambda row: detection.batch([row])):
        with pytest.raises(ValueError, match=r"image .* holds \['dodecahedron'\]; the detector knows \['circle'"):
            batch(strange)
        with pytest.raises(ValueError, match="row refshapes.* has no field instances"):
            batch({**rows[0], "instances": None})


def test_what_forwards_share_is_computed_once_per_batch(model, processor, rows):
    shared, asked = [], Spy(model)

    def share(model, inputs):
        shared.append(len(inputs["pixel_values"]))
        return in_place_of_images(inputs, detector_features=model.model.detector.get_image_features(**inputs))

    evaluators = referring_evaluators(processor, others=[ComprehensionEvaluator(LABELS)], share=share)
    evaluators.evaluate(asked, rows, batch_size=3)
    assert shared == [3, 1]
    first, again, second, last = (inputs["detector_features"] for inputs, _ in asked.calls)
    assert first is again and second is last and first is not second


def test_batches_hold_no_pictures_and_labels_only_where_they_are_read(evaluators, processor, rows):
    batch = evaluators.batch([(7, rows[0])])
    assert batch["numbers"] == [7] and "image" not in batch["rows"][0] and "labels" not in batch["inputs"]
    with_loss = referring_evaluators(processor, labels=True).batch([(7, rows[0])])
    assert len(with_loss["inputs"]["labels"]) == len(rows[0]["sentences"])


def test_summaries_name_the_protocol_and_the_counts(evaluators):
    numbers = {"oIoU": 0.5, "mIoU": 0.25, "protocol": "hu2016", "num": 9, "region_acc": 2 / 3}
    assert evaluators.summary(numbers) == (
        "oIoU 0.500, mIoU 0.250 (hu2016, 9 expressions); 0.667 right among annotated objects"
    )


def test_average_precision_of_a_detector(rows):
    torch.manual_seed(0)
    image_processor = MaskRcnnImageProcessor(size={"shortest_edge": 48, "longest_edge": 80})
    evaluator, model = DetectionEvaluator(image_processor, CATEGORIES), tiny_mask_rcnn(**NAMES)
    for number, row in enumerate(rows):
        inputs = dict(image_processor(row["image"], return_tensors="pt"))
        with torch.no_grad():
            evaluator.add(model, {"inputs": inputs, "numbers": [number], **evaluator.batch([row])})
    metrics = evaluator.compute()
    assert metrics["num"] == len(rows) and 0 <= metrics["mask_AP"] <= metrics["mask_AP50"] <= 1
    assert evaluator.summary(metrics).endswith(f"(COCOeval, {len(rows)} images)")
    with pytest.raises(ValueError, match="unknown interpolation|'sharp'"):
        SegmentationEvaluator(None, interpolation="sharp")
