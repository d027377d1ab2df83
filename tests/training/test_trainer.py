import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_caffe_resnet_config, tiny_rmi
from transformers import AutoModel, AutoProcessor

from hf_refseg.data import decode_mask
from hf_refseg.metrics import RefSegMetric
from hf_refseg.training import RefSegTrainingArguments
from hf_refseg.training.checkpointing import missing_files
from hf_refseg.training.tensorflow_adam import TensorFlowAdam


@pytest.mark.parametrize(("protocol", "masks"), [("hu2016", "paper"), ("cris", "clean")])
def test_evaluation_equals_a_loop_over_single_sentences(make_trainer, protocol, masks):
    trainer = make_trainer(protocol=protocol, interpolation=masks, per_device_eval_batch_size=3)
    with torch.no_grad():
        trainer.model.classifier.bias.fill_(0.3)  # masks that are neither empty nor everything
        trainer.model.classifier.weight.mul_(30)
    metrics = trainer.evaluate()

    metric, losses = RefSegMetric(protocol), []
    model, processor = trainer.model.eval(), trainer.processing_class
    for row in trainer.eval_dataset:
        target = decode_mask(row["mask"])
        asked = row["sentences"][:1] if protocol == "cris" else row["sentences"]  # CRIS on its val splits
        for sentence in asked:
            inputs = processor(images=row["image"], text=sentence["sent"], segmentation_maps=[target])
            with torch.no_grad():
                outputs = model(**inputs)
            threshold = 0.35 if protocol == "cris" else 0.5
            (result,) = processor.post_process_referring_segmentation(
                outputs, target_sizes=inputs["original_sizes"], threshold=threshold, interpolation=masks
            )
            pred_boxes = [] if result["box"] is None else [result["box"]]
            metric.add(result["mask"], target, pred_boxes=pred_boxes, target_boxes=row["boxes"])
            losses.append(outputs.loss.item())
    expected = metric.compute()
    assert 0 < expected["oIoU"] < 1
    assert {name: metrics[f"eval_{name}"] for name in expected} == expected
    sentences = sum(len(row["sentences"]) for row in trainer.eval_dataset)
    assert sentences > 7 and metrics["eval_num"] == (7 if protocol == "cris" else sentences)
    assert metrics["eval_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_channels_last_is_a_layout_and_changes_no_number(make_trainer):
    losses, layouts = [], []
    for channels_last in (False, True):
        trainer = make_trainer(channels_last=channels_last)

        def remember(module, args):
            if module.training:  # a model that answers chooses its layout by itself
                layouts.append(args[0].is_contiguous(memory_format=torch.channels_last))

        trainer.model.backbone.register_forward_pre_hook(remember)
        losses.append((trainer.train().training_loss, trainer.evaluate()["eval_loss"]))
    assert layouts and layouts == [False] * (len(layouts) // 2) + [True] * (len(layouts) // 2)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_optimizer_of_the_rmi_rows(make_trainer):
    model = tiny_rmi(vocab_size=300, backbone_config=tiny_caffe_resnet_config())
    trainer = make_trainer(
        model=model, optimizer="adam", learning_rate=2.5e-4, weight_decay=5e-4, weight_decay_scope="conv_kernels",
        freeze="backbone", schedule="polynomial", lr_end=1e-5, lr_power=0.9, lr_decay_steps=750_000,
    )  # fmt: skip
    trainer.create_optimizer_and_scheduler(10)
    optimizer = trainer.optimizer
    assert isinstance(optimizer, TensorFlowAdam) and not optimizer.defaults.get("decoupled_weight_decay")
    decayed, rest = optimizer.param_groups
    assert [id(p) for p in decayed["params"]] == [id(model.visual_projection.weight), id(model.classifier.weight)]
    assert (decayed["weight_decay"], rest["weight_decay"]) == (5e-4, 0.0)
    trained = sum(len(group["params"]) for group in optimizer.param_groups)
    assert trained == sum(not name.startswith("backbone.") for name, _ in model.named_parameters())
    for step in range(3):
        assert optimizer.param_groups[0]["lr"] == (2.5e-4 - 1e-5) * (1 - step / 750_000) ** 0.9 + 1e-5
        optimizer.step()
        trainer.lr_scheduler.step()


def test_optimizer_of_the_hu_rows(make_trainer):
    trainer = make_trainer(optimizer="sgd", learning_rate=0.01, schedule="staircase", lr_decay_every=6000)
    trainer.create_optimizer_and_scheduler(10)
    group = trainer.optimizer.param_groups[0]
    assert type(trainer.optimizer) is torch.optim.SGD
    assert (group["lr"], group["momentum"], group["nesterov"]) == (0.01, 0.9, False)


def test_a_frozen_backbone_keeps_weights_and_statistics(make_trainer):
    trainer = make_trainer(freeze="backbone", learning_rate=0.1)
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    trainer.train()
    changed = {name for name, tensor in trainer.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed and not [name for name in changed if name.startswith("backbone.")]


def test_trained_statistics_move_when_the_backbone_is_trained(make_trainer):
    trainer = make_trainer()
    before = trainer.model.backbone.stem.normalization.running_mean.clone()
    trainer.train()
    assert not torch.equal(trainer.model.backbone.stem.normalization.running_mean, before)


def test_the_best_checkpoint_by_overall_iou_survives_rotation_and_everything_reloads(make_trainer, tmp_path):
    trainer = make_trainer(
        max_steps=4, save_steps=1, eval_steps=1, eval_strategy="steps", save_total_limit=1,
        metric_for_best_model="oIoU", greater_is_better=True, load_best_model_at_end=True, learning_rate=0.02,
    )  # fmt: skip
    trainer.train()
    overall = [entry["eval_oIoU"] for entry in trainer.state.log_history if "eval_oIoU" in entry]
    assert len(overall) == 4 and trainer.state.best_metric == max(overall)
    best = trainer.state.best_model_checkpoint
    assert missing_files(best) == []
    weights = trainer.model.state_dict()
    reloaded = AutoModel.from_pretrained(best)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in reloaded.state_dict().items())
    assert AutoProcessor.from_pretrained(best).tokenizer.get_vocab() == trainer.processing_class.tokenizer.get_vocab()
    assert trainer.evaluate()["eval_oIoU"] == max(overall)


def test_a_training_that_had_ended_stays_as_it_is(make_trainer):
    """A kill just before the end leaves a checkpoint of the last step; the rate is constant, so that one more shows."""
    settings = {"max_steps": 2, "save_steps": 2, "per_device_train_batch_size": 4, "lr_scheduler_type": "constant"}
    ended, resumed = make_trainer(**settings), make_trainer(**settings)
    ended.train()
    resumed.train(resume_from_checkpoint=True)
    found, expected = resumed.model.state_dict(), ended.model.state_dict()
    assert resumed.state.global_step == 2 and found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_an_incomplete_checkpoint_is_refused_by_name(make_trainer, tmp_path):
    trainer = make_trainer(save_steps=1)
    trainer.train()
    (tmp_path / "run" / "checkpoint-2" / "optimizer.pt").unlink()
    with pytest.raises(ValueError, match=r"checkpoint-2 is not a complete.*optimizer\.pt.*complete one.*checkpoint-1"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))


def test_a_dictionary_of_evaluation_sets(make_trainer):
    trainer = make_trainer()
    rows = list(trainer.eval_dataset)
    metrics = trainer.evaluate({"first": rows[:2], "rest": rows[2:]})
    assert metrics["eval_first_num"] == sum(len(row["sentences"]) for row in rows[:2])
    assert metrics["eval_rest_protocol"] == "hu2016"


def test_a_stream_can_not_be_evaluated(make_trainer):
    with pytest.raises(ValueError, match="known length.*generator"):
        make_trainer().evaluate(row for row in ())


def test_unknown_names_are_listed(tmp_path, make_trainer):
    for name, known in (("schedule", "polynomial, staircase, exponential, constant"), ("optimizer", "adam, sgd")):
        with pytest.raises(ValueError, match=f"'nonsense'.*{known}"):
            RefSegTrainingArguments(output_dir=str(tmp_path), **{name: "nonsense"})
    for name in ("weight_decay_scope", "freeze"):
        with pytest.raises(ValueError, match=f"unknown {name} 'nonsense': the scopes of Rmi.* are backbone, "):
            make_trainer(**{name: "nonsense"}).create_optimizer()
    for name in ("rate_factors", "gradient_factors"):
        with pytest.raises(ValueError, match=f"unknown {name} 'nonsense'"):
            make_trainer(**{name: {"nonsense": 2}}).create_optimizer()
        with pytest.raises(ValueError, match=f"{name} has 0 for 'backbone': give a factor above 0"):
            RefSegTrainingArguments(output_dir=str(tmp_path), **{name: {"backbone": 0}})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "staircase", "lr_decay_every": 5, "lr_end": 1e-5}, "schedule staircase does not read lr_end"),
        ({"lr_decay_every": 5}, "schedule None does not read lr_decay_every; it is for staircase and exponential"),
        ({"optimizer": "adam", "momentum": 0.5}, "optimizer adam does not read momentum; it is for sgd"),
    ],
)
def test_arguments_that_nobody_would_read_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        RefSegTrainingArguments(output_dir=str(tmp_path), **settings)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", None])
def test_rates_of_their_own(make_trainer, optimizer):
    factors = {"conv_biases": 10.0, "conv_kernels": 3.0}
    trainer = make_trainer(
        optimizer=optimizer, learning_rate=1e-3, weight_decay=0.1, rate_factors=factors, schedule="polynomial",
        lr_decay_steps=100,
    )  # fmt: skip
    trainer.create_optimizer_and_scheduler(100)
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    rates = {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in trainer.optimizer.param_groups
        for parameter in group["params"]
    }
    assert rates.keys() == set(names.values())
    assert rates["classifier.bias"] == (pytest.approx(1e-2), 0)
    assert rates["classifier.weight"] == (pytest.approx(3e-3), 0.1)
    assert rates["word_embeddings.weight"] == (pytest.approx(1e-3), 0.1)
    trainer.optimizer.step()
    trainer.lr_scheduler.step()
    assert {round(group["lr"] / 0.99, 9) for group in trainer.optimizer.param_groups} == {1e-3, 3e-3, 1e-2}
    assert trainer.train().global_step == 2


def test_tensorboard_is_the_default_where_installed(tmp_path, monkeypatch):
    import hf_refseg.training.arguments as arguments

    monkeypatch.setattr(arguments, "is_tensorboard_available", lambda: True)
    assert RefSegTrainingArguments(output_dir=str(tmp_path)).report_to == ["tensorboard"]
    warnings = []
    monkeypatch.setattr(arguments, "is_tensorboard_available", lambda: False)
    monkeypatch.setattr(arguments.logger, "warning", warnings.append)
    assert RefSegTrainingArguments(output_dir=str(tmp_path)).report_to == []
    assert "tensorboard is not installed" in warnings[0]


def test_the_state_of_a_run_is_json(make_trainer, tmp_path):
    trainer = make_trainer(eval_strategy="steps", eval_steps=1, save_steps=1)
    trainer.train()
    history = json.loads((tmp_path / "run" / "checkpoint-2" / "trainer_state.json").read_text())["log_history"]
    assert [entry["eval_protocol"] for entry in history if "eval_oIoU" in entry] == ["hu2016", "hu2016"]


def test_gradient_clamp_limits_every_number_of_the_accumulated_gradient(make_trainer):
    trainer = make_trainer(
        gradient_clamp=1e-3,
        gradient_accumulation_steps=2,
        optimizer="sgd",
        momentum=0.0,
        learning_rate=1.0,
        max_steps=1,
    )
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.train()
    moved = {
        name: (parameter - before[name]).abs().max().item() for name, parameter in trainer.model.named_parameters()
    }
    assert max(moved.values()) == pytest.approx(1e-3, rel=1e-3)
    assert all(step <= 1.001e-3 for step in moved.values())


def test_a_training_that_diverges_ends_at_that_step(make_trainer):
    trainer = make_trainer(learning_rate=1e30, max_steps=20, save_strategy="no")
    with pytest.raises(FloatingPointError, match=r"diverged at step \d+: its .*lower --learning_rate \(it is 1e\+30\)"):
        trainer.train()
    trainer = make_trainer(gradient_clamp=0.1, save_strategy="no")
    trainer.model.classifier.weight.register_hook(lambda gradient: gradient / 0)
    with pytest.raises(FloatingPointError, match="diverged at step 1: the norm of its gradient is (inf|nan)"):
        trainer.train()
    assert all(parameter.isfinite().all() for parameter in trainer.model.parameters())


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", -1), ("learning_rate", float("nan")), ("learning_rate", "abc"), ("num_train_epochs", -1),
     ("per_device_train_batch_size", 0), ("gradient_accumulation_steps", 0)],
)  # fmt: skip
def test_numbers_out_of_range_are_named(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"{name} is {value!r}; give a number, . or more"):
        RefSegTrainingArguments(output_dir=str(tmp_path), **{name: value})


def test_what_it_pushes_works_without_the_package(make_trainer, monkeypatch):
    """The code lies beside the weights, and both JSON files name it."""
    uploaded = []

    class Api:
        def create_repo(self, name, **options):
            return SimpleNamespace(repo_id=f"me/{name}")

        def upload_folder(self, folder_path, **options):
            uploaded.append(Path(folder_path))

    monkeypatch.setattr("transformers.trainer.hf_api", Api)
    trainer = make_trainer()
    trainer.push_to_hub()
    (folder,) = uploaded
    names = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "modeling_rmi.py", "processing_rmi.py", "pipelines.py", "registration.py"} <= names
    for name in ("config.json", "processor_config.json"):
        assert "modeling_rmi.RmiFor" in json.loads((folder / name).read_text())["auto_map"]["AutoModel"]


def test_a_full_disk_is_named(make_trainer, monkeypatch):
    trainer = make_trainer(save_steps=1, max_steps=1)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(trainer.model, "save_pretrained", full)
    with pytest.raises(OSError, match="checkpoint-1 cannot be written: no space left on device .* MB are free"):
        trainer.train()
