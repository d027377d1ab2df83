"""What is measured of the photo checkpoint beside the metrics of the package."""

import json

import numpy as np
import pytest
import torch
from photo_folder import ref, write_folder
from tiny import tiny_context_rmi

from hf_refseg import ContextRmiProcessor, RmiImageProcessor
from hf_refseg.data import load
from hf_refseg.evaluation.results import read_eval_results
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from recipes.refseg_photos_rmi.categories import look_alikes
from recipes.refseg_photos_rmi.evaluate import AbsentEvaluator, SwapEvaluator, absent_names, evaluate, main

SENTENCES = ["dog on the left", "the dog"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two photos; of the first an expression with left, of the second "catcher", which nobody knows."""
    refs = [ref(1, "val"), ref(2, "val")]
    refs[1]["sentences"] = [{"sent_id": 2, "sent": "catcher", "tokens": ["catcher"]}]
    return write_folder(tmp_path_factory.mktemp("photos"), "photos", [1, 2], refs)


@pytest.fixture(scope="module")
def processor():
    tokenizer = tokenizer_from_sentences([*SENTENCES, "right"])
    return ContextRmiProcessor(RmiImageProcessor(size={"height": 64, "width": 64}), tokenizer)


@pytest.fixture(scope="module")
def model(processor):
    torch.manual_seed(0)
    return tiny_context_rmi(vocab_size=len(processor.tokenizer))


def test_sentences_without_a_known_word_are_measured_too(model, processor, folder):
    results = evaluate(model, processor, folder)
    assert results["num"] == results["rows"] == 2 and results["swap_sentences"] == 1
    assert results["absent_pairs"] == 100
    shares = {name: value for name, value in results.items() if isinstance(value, float)}
    assert all(0 <= value <= 1 for value in shares.values()), shares


def test_the_command_writes_what_it_measured(model, processor, folder, tmp_path):
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    main([str(tmp_path), "--data", str(folder), "--write"])
    written = read_eval_results(tmp_path)
    assert written["counts"] == {"expressions": 2, "rows": 2, "absent_pairs": 100, "swap_sentences": 1}
    assert written["dataset"] == "photos" and written["split"] == "val"
    assert written["command"].startswith("python -m recipes.refseg_photos_rmi.evaluate")
    assert json.loads((tmp_path / "eval_results.json").read_text()) == written


def test_absent_names_are_absent_and_asked_once(folder):
    names = absent_names(load(folder, "val"))
    assert set(names) == {1, 2} and [len(of_photo) for of_photo in names.values()] == [50, 50]
    for of_photo in names.values():
        assert len(set(of_photo)) == 50 and not set(of_photo) & look_alikes("dog")
    assert names == absent_names(load(folder, "val"))


def test_swaps_compare_masks_with_each_other_and_with_the_target(processor, monkeypatch):
    evaluator = SwapEvaluator(processor)
    sentences = [{"sent": "dog on the left"}, {"sent": "the dog"}]
    asked = evaluator.batch([{"sentences": []}, {"sentences": sentences}])
    assert asked["swap_places"] == (1,) and asked["swap"]["image_index"].tolist() == [1, 1]
    left, right = np.zeros((2, 4, 4), bool)
    left[:, :2], right[:, 1:] = True, True
    monkeypatch.setattr(evaluator, "masks", lambda *_: [left, right])
    evaluator.add(None, {**asked, "targets": [None, left], "numbers": [7, 8]})
    metrics = evaluator.compute()
    assert metrics == {"swap_iou": 0.25, "swap_miou_before": 1.0, "swap_miou_after": 0.25, "swap_sentences": 1}
    assert evaluator.summary(metrics) == "left and right exchanged: mIoU 1.000 -> 0.250"


def test_a_thing_counts_as_painted_above_one_percent_of_the_photo(processor, monkeypatch):
    evaluator = AbsentEvaluator(processor, {5: ["cat", "bus"]})
    asked = evaluator.batch([{"ref_id": 4}, {"ref_id": 5}])
    assert asked["absent"]["image_index"].tolist() == [1, 1]
    speck, blot = np.zeros((2, 10, 20), bool)
    speck[0, :2], blot[0, :3] = True, True  # 1 % and 1.5 %
    monkeypatch.setattr(evaluator, "masks", lambda *_: [speck, blot])
    evaluator.add(None, {**asked, "numbers": [0, 1]})
    assert evaluator.compute() == {"absent_rate": 0.5, "absent_pairs": 2}


def test_nothing_to_ask_gives_no_number(processor):
    evaluators = {"swap_sentences": SwapEvaluator(processor), "absent_pairs": AbsentEvaluator(processor, {})}
    for count, evaluator in evaluators.items():
        evaluator.add(None, evaluator.batch([{"ref_id": 1, "sentences": [{"sent": "the dog"}]}]))
        metrics = evaluator.compute()
        assert metrics.pop(count) == 0 and np.isnan(list(metrics.values())).all()
