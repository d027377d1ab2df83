"""MAttNet's evaluation among annotated objects, and a training of a few steps by its recipe."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoProcessor

from hf_refseg.data import RefShapes
from hf_refseg.data.refshapes.scene import CATEGORIES
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.mattnet.processing_mattnet import MAttNetProcessor
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from hf_refseg.training.matching import comprehension
from tests.tiny import tiny_mask_rcnn, tiny_mask_rcnn_config, tiny_mattnet

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"id2label": dict(enumerate(CATEGORIES)), "num_labels": len(CATEGORIES)}


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


# ---- Comprehension: choosing among the annotated objects ----


def test_every_sentence_about_one_object_has_an_answer(model, processor, rows):
    several = {**rows[0], "ann_ids": rows[0]["ann_ids"] * 2}
    answers = comprehension(model, processor, [several, *rows[1:]])
    assert len(answers) == sum(len(row["sentences"]) for row in rows[1:])
    assert all(isinstance(answer, bool) for answer in answers)
    assert comprehension(model, processor, [several]) == []


def test_a_row_is_answered_as_alone(model, processor, rows):
    alone = [answer for row in rows for answer in comprehension(model, processor, [row])]
    assert comprehension(model, processor, rows) == alone


def test_the_right_object_is_the_one_of_the_highest_score(model, processor, rows, monkeypatch):
    forward, calls = model.forward, []

    def remember(**kwargs):
        calls.append((kwargs, forward(**kwargs)))
        return calls[-1][1]

    monkeypatch.setattr(model, "forward", remember)
    answers = comprehension(model, processor, rows)
    ((inputs, outputs),) = calls
    expected = [
        rows[image]["instances"][chosen]["ann_id"] == rows[image]["ann_ids"][0]
        for chosen, image in zip(outputs.chosen.tolist(), outputs.image_index.tolist(), strict=True)
    ]
    assert answers == expected
    for row, labels, boxes in zip(rows, inputs["region_labels"], inputs["region_boxes"], strict=True):
        assert [CATEGORIES[label] for label in labels] == [thing["category"] for thing in row["instances"]]
        assert boxes.tolist() == [thing["box"] for thing in row["instances"]]


def test_an_annotated_box_of_no_area_is_a_candidate_all_the_same(model, processor, rows):
    flat = {**rows[0]["instances"][-1], "box": [3.0, 4, 3, 20]}
    changed = {**rows[0], "instances": [*rows[0]["instances"][:-1], flat]}
    assert len(comprehension(model, processor, [changed])) == len(rows[0]["sentences"])


def test_categories_that_the_detector_does_not_know_are_named(model, processor, rows):
    strange = {**rows[0], "instances": [{**thing, "category": "dodecahedron"} for thing in rows[0]["instances"]]}
    with pytest.raises(ValueError, match=r"image .* holds \['dodecahedron'\]; the detector knows \['circle'"):
        comprehension(model, processor, [strange])


# ---- A training by its recipe ----

SETTINGS = {
    "max_steps": 3, "train_samples": 60, "eval_samples": 3, "image_size": 48, "use_cpu": True,
    "per_device_train_batch_size": 2, "per_device_eval_batch_size": 2, "word_embedding_size": 8, "word_vec_size": 8,
    "hidden_size": 8, "matching_size": 8, "dataloader_num_workers": 0, "logging_steps": 1, "save_steps": 2,
    "eval_strategy": "no", "disable_tqdm": True, "load_best_model_at_end": False, "report_to": "none",
    "refs_per_scene": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("detector")
    torch.manual_seed(0)
    tiny_mask_rcnn(**NAMES).save_pretrained(folder)
    MaskRcnnImageProcessor(size={"shortest_edge": 48, "longest_edge": 80}).save_pretrained(folder)
    return str(folder)


def words(output_dir, recipe="mattnet_refshapes", **settings) -> list[str]:
    values = {**SETTINGS, "output_dir": output_dir, **settings}
    parts = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    return [str(ROOT / "configs" / f"{recipe}.yaml"), *parts]


def test_the_recipe_trains_a_tiny_mattnet_and_resumes(train, detector, tmp_path):
    metrics = train(words(tmp_path / "run", detector_checkpoint=detector))
    assert 0 <= metrics["eval_accuracy"] <= 1 and 0 <= metrics["eval_oIoU"] <= 1
    model = AutoModel.from_pretrained(tmp_path / "run")
    config = model.config
    assert config.attribute_labels and len(config.attribute_weights) == config.num_attributes
    assert min(config.attribute_weights) == 1 and max(config.attribute_weights) == 10
    assert AutoProcessor.from_pretrained(tmp_path / "run").tokenizer.padding_side == "right"
    before = AutoModel.from_pretrained(detector).state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.detector.state_dict().items())
    train([*words(tmp_path / "run", detector_checkpoint=detector, max_steps=4), "--resume"])
    assert (tmp_path / "run" / "checkpoint-4").is_dir()


def test_a_row_of_the_ablation_has_no_attributes(train, detector, tmp_path):
    recipe = "mattnet_refshapes_subject"
    train(words(tmp_path / "run", recipe, detector_checkpoint=detector, max_steps=1, train_samples=4))
    model = AutoModel.from_pretrained(tmp_path / "run")
    assert model.config.modules == ["subject"] and model.config.attribute_labels is None


def test_few_scenes_leave_out_the_attributes_that_none_has(train, detector, tmp_path):
    train(words(tmp_path / "run", detector_checkpoint=detector, max_steps=1, train_samples=2))
    config = AutoModel.from_pretrained(tmp_path / "run").config
    assert 0 < config.num_attributes < 13 and max(config.attribute_weights) <= 10


def test_rows_that_do_not_tell_all_objects_are_refused(train, detector, tmp_path):
    with pytest.raises(ValueError, match="which these rows do not tell: use dataset refshapes or refer_folder"):
        train(words(tmp_path / "run", detector_checkpoint=detector, train_samples=4, in_memory=True))


def test_training_goes_on_from_a_checkpoint(train, detector, tmp_path):
    train(words(tmp_path / "first", detector_checkpoint=detector, max_steps=1))
    train(words(tmp_path / "second", checkpoint=tmp_path / "first", max_steps=1))
    first, second = (AutoModel.from_pretrained(tmp_path / name).config for name in ("first", "second"))
    assert first.attribute_labels == second.attribute_labels


def test_a_training_without_a_detector_says_how_to_get_one(train, tmp_path):
    with pytest.raises(ValueError, match="give its folder as --detector_checkpoint, .*mask_rcnn_refshapes.yaml"):
        train(words(tmp_path / "run", detector_checkpoint="null"))
