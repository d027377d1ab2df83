"""What the card of refseg-photos says beside the metrics of the package."""

import pytest
import torch
from photo_folder import ref, write_folder

from hf_refseg import ContextRmiProcessor, RmiImageProcessor
from hf_refseg.data import HeldRows, load
from hf_refseg.data.coco_categories import NOUNS
from hf_refseg.data.schema import REQUIRED_FIELDS
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from recipes.refseg_photos.evaluate import VOC, evaluate, parts_of
from tests.tiny import tiny_context_rmi


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    refs = [ref(number, "val") for number in (1, 2, 3)]
    rows = load(write_folder(tmp_path_factory.mktemp("photos"), "photos", [1, 2, 3], refs), "val")
    tokenizer = tokenizer_from_sentences(["dog on the left", "right"])
    processor = ContextRmiProcessor(RmiImageProcessor(size={"height": 64, "width": 64}), tokenizer)
    torch.manual_seed(0)
    return evaluate(tiny_context_rmi(vocab_size=len(tokenizer)), processor, rows, {"authored": rows}, val2017={1, 9})


def test_numbers_have_intervals(measured):
    metrics, _ = measured
    for name in ("mIoU", "Pr@0.5"):
        # to rounding, for the photos of this set are alike
        assert -1e-9 <= metrics[f"{name}_low"] - 1e-9 <= metrics[name] <= metrics[f"{name}_high"] + 1e-9 <= 1 + 1e-9


def test_other_sets_are_reported_by_their_names(measured):
    metrics, counts = measured
    assert metrics["authored_mIoU"] == metrics["mIoU"] and metrics["authored_mIoU_low"] == metrics["mIoU_low"]
    assert "authored_swap_iou" not in metrics and counts["authored_expressions"] == counts["expressions"] == 3
    assert counts["absent_pairs"] > 70 and counts["look_alike_pairs"] > 0


def test_photos_of_val2017_are_reported_apart(measured):
    metrics, counts = measured
    assert (counts["val2017_expressions"], counts["train2017_expressions"]) == (1, 2)
    assert counts["authored_val2017_expressions"] == 1
    both = metrics["val2017_mIoU"] + 2 * metrics["train2017_mIoU"]
    assert both / 3 == pytest.approx(metrics["mIoU"]) == pytest.approx(metrics["authored_mIoU"])
    assert "beyond_voc_mIoU" not in metrics  # all of these photos are of dogs


def test_things_that_voc_has_not_are_a_part():
    row = dict.fromkeys(REQUIRED_FIELDS, "")
    of_things = enumerate(["dog", "zebra", "", "zebra"])  # the third is about several things
    rows = HeldRows([{**row, "image_id": image_id, "category": category} for image_id, category in of_things])
    assert parts_of(rows, ()) == {"beyond_voc": {1, 3}}
    assert parts_of(rows, {2}) == {"val2017": {2}, "train2017": {0, 1, 3}, "beyond_voc": {1, 3}}
    assert len(VOC) == 20 and VOC < set(NOUNS)
