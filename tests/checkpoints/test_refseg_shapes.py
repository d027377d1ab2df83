"""The checkpoints of drawn shapes that ship with the package: MAttNet and its detector."""

import re
from pathlib import Path

import pytest
import torch
from transformers import AutoImageProcessor, AutoModel, AutoProcessor

import hf_refseg
from hf_refseg.data import RefShapes, decode_mask
from hf_refseg.evaluation.evaluators import ComprehensionEvaluator, DetectionEvaluator, Evaluators, referring_evaluators
from hf_refseg.evaluation.results import read_eval_results
from hf_refseg.models.mask_rcnn.training_mask_rcnn import EvaluationImages

NUM_SCENES = 40


def folder(name: str) -> Path:
    return Path(hf_refseg.checkpoint_path(name))


@pytest.fixture(scope="module")
def scenes():
    shapes = RefShapes(split="test", num_samples=NUM_SCENES)
    return [shapes[index] for index in range(NUM_SCENES)]


@pytest.fixture(scope="module")
def mattnet():
    name = folder("refseg-shapes-mattnet")
    return AutoModel.from_pretrained(name), AutoProcessor.from_pretrained(name)


def evaluate(model, processor, rows) -> dict:
    """What a training of MAttNet measures."""
    labels = {name: label for label, name in model.config.detector_config.id2label.items()}
    return referring_evaluators(processor, others=[ComprehensionEvaluator(labels)]).evaluate(model, rows, batch_size=25)


@pytest.mark.parametrize("name", ["refseg-shapes-mattnet", "refseg-shapes-mask-rcnn"])
def test_it_is_small(name):
    assert sum(file.stat().st_size for file in folder(name).iterdir()) <= 10e6


def test_the_right_shape_is_chosen(mattnet, scenes):
    metrics = evaluate(*mattnet, scenes)
    assert metrics["num"] > 80
    assert metrics["region_acc"] > 0.8


def test_the_pipeline_runs_it(scenes):
    segment = hf_refseg.pipeline(model="refseg-shapes-mattnet")
    ious = []
    for row in scenes[:20]:
        answer = segment(row["image"], row["sentences"][0]["sent"])
        mask, target = torch.tensor(list(answer["mask"].tobytes())).view(128, 128) > 0, decode_mask(row["mask"])
        target = torch.from_numpy(target)
        ious.append(float((mask & target).sum() / (mask | target).sum()))
    assert sum(iou > 0.5 for iou in ious) >= 14


def test_the_detector_finds_the_shapes(scenes):
    name = folder("refseg-shapes-mask-rcnn")
    model, processor = AutoModel.from_pretrained(name), AutoImageProcessor.from_pretrained(name)
    categories = [model.config.id2label[label] for label in range(model.config.num_labels)]
    evaluators = Evaluators(EvaluationImages(processor), [DetectionEvaluator(processor, categories)])
    assert evaluators.evaluate(model, scenes[:20])["mask_AP50"] > 0.95


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("refseg-shapes-mattnet", ["region_acc", "box_acc", "mIoU", "oIoU", "Pr@0.5", "Pr@0.7", "Pr@0.9"]),
        ("refseg-shapes-mask-rcnn", ["mask_AP50", "mask_AP", "box_AP50", "box_AP"]),
    ],
)
def test_card_states_the_numbers_of_the_results_file(name, numbers):
    stored = read_eval_results(folder(name))["metrics"]
    card = (folder(name) / "README.md").read_text(encoding="utf-8")
    for number in numbers:
        stated = re.search(rf"^\| `{re.escape(number)}` \| ([0-9.]+) \|", card, flags=re.MULTILINE)
        assert stated and stated[1] == f"{stored[number]:.3f}", number


@pytest.mark.slow
def test_results_file_holds_what_is_measured(mattnet):
    shapes = RefShapes(split="test", num_samples=300)
    stored = read_eval_results(folder("refseg-shapes-mattnet"))["metrics"]
    measured = evaluate(*mattnet, shapes)
    for name in ("region_acc", "oIoU", "mIoU", "box_acc"):
        assert measured[name] == pytest.approx(stored[name], abs=0.01), name
