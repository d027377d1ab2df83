"""Every recipe that comes with the package, and what `load_recipe` refuses."""

import pytest
import torch
from transformers import AutoModel

from hf_refseg.models.lstm_cnn.configuration_lstm_cnn import LstmCnnConfig
from hf_refseg.models.mask_rcnn.configuration_mask_rcnn import MaskRcnnConfig
from hf_refseg.models.mattnet.configuration_mattnet import MAttNetConfig
from hf_refseg.models.rmi.configuration_rmi import RmiConfig
from hf_refseg.models.vgg_fcn.configuration_vgg_fcn import VggFcnConfig
from hf_refseg.training.recipe import load_recipe
from hf_refseg.training.recipe_files import recipe_names

RMI_ROWS = {
    "max_steps": 750_000, "per_device_train_batch_size": 1, "optimizer": "adam", "learning_rate": 0.00025,
    "schedule": "polynomial", "lr_end": 1e-5, "lr_power": 0.9, "weight_decay": 0.0005,
    "weight_decay_scope": "conv_kernels", "gradient_factors": {"conv_biases": 2}, "freeze": "backbone",
}  # fmt: skip
HU_ROWS = {
    "optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.01, "schedule": "staircase", "lr_decay_factor": 0.1,
    "weight_decay": 0.0005, "weight_decay_scope": "weights",
}  # fmt: skip
HU_STAGES = {
    "region": {"max_steps": 25_000, "lr_decay_every": 10_000, "freeze": "backbone_and_projection"},
    "low_res": {"max_steps": 30_000, "lr_decay_every": 10_000, "freeze": "vgg_convolutions"},
    "high_res": {"max_steps": 18_000, "lr_decay_every": 6_000, "freeze": "vgg_convolutions"},
}
DETECTOR = {
    "max_steps": 1_250_000, "per_device_train_batch_size": 1, "optimizer": "sgd", "learning_rate": 1e-3,
    "momentum": 0.9, "schedule": "staircase", "lr_decay_factor": 0.1, "lr_decay_every": 800_000, "weight_decay": 1e-4,
    "weight_decay_scope": "kernels", "freeze": "stem_and_first_stage",
}  # fmt: skip
MATTNET = {
    "max_steps": 30_000, "per_device_train_batch_size": 15, "optimizer": "adam", "learning_rate": 4e-4,
    "adam_beta1": 0.8, "adam_beta2": 0.999, "adam_epsilon": 1e-8, "gradient_clamp": 0.1, "schedule": "exponential",
    "lr_decay_start": 8000, "lr_decay_every": 8000, "lr_decay_factor": 0.1, "seed": 24,
}  # fmt: skip
ABLATION = {
    "subject": ["subject"],
    "location": ["subject", "location"],
    "relationship": ["subject", "location", "relationship"],
}


def same(config, expected):
    mine, theirs = config.to_dict(), expected.to_dict()
    return {
        key: (mine.get(key), theirs.get(key)) for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)
    }


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_parses_and_its_arguments_and_model_can_be_built(name, tmp_path):
    recipe = load_recipe(name, ["--output_dir", str(tmp_path), "--use_cpu", "true", "--report_to", "none"])
    recipe.training_arguments()
    assert recipe.data.name
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in AutoModel.from_config(recipe.config()).parameters()) > 1000


@pytest.mark.parametrize("name", ["r_rmi", "d_rmi", "r_lstm", "d_lstm"])
def test_rows_of_liu_have_the_published_settings(name):
    recipe = load_recipe(name)
    assert {key: recipe.said["training"][key] for key in RMI_ROWS} == RMI_ROWS
    expected = RmiConfig() if name.endswith("rmi") else LstmCnnConfig.liu_baseline(vocab_size=8803)
    assert same(recipe.config(), expected) == {}
    assert recipe.evaluation.interpolation == recipe.processor.interpolation == "paper"
    backbone = "imagenet" if name.startswith("r") else "deeplab_voc"
    assert recipe.weights.backbone == f"checkpoints/caffe_resnet101_{backbone}"
    assert recipe.said["training"]["output_dir"] == f"runs/{name}"


@pytest.mark.parametrize("stage", HU_STAGES)
def test_stages_of_hu_have_the_published_settings(stage):
    recipe = load_recipe(f"lstm_cnn_hu_{stage}")
    expected = {**HU_ROWS, **HU_STAGES[stage]}
    assert {key: recipe.said["training"][key] for key in expected} == expected
    backbone = VggFcnConfig(fc6_padding=0 if stage == "region" else 3)
    assert same(recipe.config(), LstmCnnConfig.hu_stage(stage, backbone_config=backbone)) == {}
    before = {"region": None, "low_res": "runs/lstm_cnn_hu_region", "high_res": "runs/lstm_cnn_hu_low_res"}
    assert recipe.weights.previous_stage == before[stage]
    assert recipe.processor.size == (224 if stage == "region" else None)
    assert recipe.said["training"]["per_device_train_batch_size"] == (25 if stage == "region" else 10)
    assert bool(recipe.said["evaluation"]) == ("eval_steps" in recipe.said["training"]) == (stage != "region")


def test_the_detector_has_the_published_settings():
    recipe = load_recipe("mask_rcnn_coco")
    assert {key: recipe.said["training"][key] for key in DETECTOR} == DETECTOR
    assert same(recipe.config(), MaskRcnnConfig()) == {}
    assert recipe.data.exclude_images and recipe.data.flip_probability == 0.5


def test_mattnet_has_the_published_settings():
    recipe = load_recipe("mattnet_refcoco")
    assert {key: recipe.said["training"][key] for key in MATTNET} == MATTNET
    assert same(recipe.config(), MAttNetConfig()) == {}
    assert recipe.processor.min_count == 6, "words that occur more than five times"
    assert recipe.data.sentences_per_ref == 3 and recipe.data.partition == "unc"
    assert recipe.said["evaluation"] == {"protocol": "mattnet", "interpolation": "paper"}


@pytest.mark.parametrize("row", ABLATION)
def test_rows_of_the_ablation_differ_in_their_modules_only(row):
    whole, recipe = load_recipe("mattnet_refshapes"), load_recipe(f"mattnet_refshapes_{row}")
    assert recipe.model == {**whole.model, "modules": ABLATION[row], "attributes": False}
    training = {**whole.said["training"], "output_dir": f"runs/mattnet_refshapes_{row}"}
    assert recipe.said == {**whole.said, "model": recipe.said["model"], "training": training}


def test_the_ablation_of_rmi_differs_in_the_model_only():
    rmi, lstm_cnn = load_recipe("ablation_refshapes_rmi"), load_recipe("ablation_refshapes_lstm_cnn")
    shared = {**rmi.said, "model": lstm_cnn.said["model"]}
    shared["training"] = {**rmi.said["training"], "output_dir": "runs/ablation_refshapes/lstm_cnn"}
    assert lstm_cnn.said == shared
    own = {"hidden_size", "mlp_size", "stage", "skip_padding"}
    models = [{key: value for key, value in one.model.items() if key not in own} for one in (rmi, lstm_cnn)]
    assert models[0] == models[1]


@pytest.mark.parametrize("name", ["mattnet_refshapes", *(f"mattnet_refshapes_{row}" for row in ABLATION)])
def test_mattnet_of_refshapes_fits_its_detector(name):
    detector_recipe, recipe = load_recipe("mask_rcnn_refshapes"), load_recipe(name)
    detector = detector_recipe.config()
    config = recipe.config(
        detector_config=detector, grid_size=detector.crop_size, head_size=detector.head_size,
        region_size=detector.backbone_config.hidden_sizes[-1],
    )  # fmt: skip
    with torch.device("meta"):
        parameters = AutoModel.from_config(config).parameters()
    assert sum(parameter.numel() for parameter in parameters) < 2_500_000, "at most 10 MB ship with the package"
    for key in ("dataset", "image_size"):
        assert getattr(recipe.data, key) == getattr(detector_recipe.data, key)


# ---- The command line ----


def test_values_are_overridden_by_bare_and_by_full_name():
    words = ["--learning_rate", "2e-3", "--model.hidden_size=32", "--model.backbone_config.depths", "[1, 3]"]
    recipe = load_recipe("tiny_refshapes", [*words, "--eval_strategy", "no", "--tf32=false", "--naming.steps", "7"])
    training = recipe.said["training"]
    assert training["learning_rate"] == 2e-3
    assert (training["eval_strategy"], training["tf32"]) == ("no", False)
    assert recipe.model["hidden_size"] == 32
    assert recipe.model["backbone_config"]["depths"] == [1, 3]
    assert recipe.model["backbone_config"]["model_type"] == "refseg_vgg_fcn"
    assert recipe.stages.naming.steps == 7
    assert load_recipe("tiny_refshapes", ["--naming", "null"]).stages.naming is None


def test_a_key_that_is_null_was_not_said():
    recipe = load_recipe("r_rmi", ["--backbone", "null", "--partition", "null", "--save_steps", "null"])
    assert recipe.weights.backbone is None and recipe.said["weights"] == {}
    assert recipe.said["data"] == {"path": "data/refcoco"} and "save_steps" not in recipe.said["training"]


def test_the_family_can_be_changed_and_then_reads_its_own_keys():
    with pytest.raises(ValueError, match="unknown key 'model.*'.*a training of refseg_rmi does not read it"):
        load_recipe("r_lstm", ["--model_type", "refseg_rmi"])


# ---- What is refused ----


def write(tmp_path, text: str):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return file


def test_unknown_keys_name_the_nearest_known(tmp_path):
    with pytest.raises(ValueError, match=r"'learning_rat' on the command line.*training\.learning_rate"):
        load_recipe("tiny_refshapes", ["--learning_rat", "1"])
    with pytest.raises(ValueError, match=r"'model\.hidden_sise'.*model\.hidden_size"):
        load_recipe("tiny_refshapes", ["--model.hidden_sise", "1"])
    with pytest.raises(ValueError, match=r"'data\.datasett' in .*mine\.yaml: .*refseg_rmi.*data\.dataset"):
        load_recipe(write(tmp_path, "model: {model_type: refseg_rmi}\ndata: {datasett: refshapes}\n"))
    with pytest.raises(ValueError, match="unknown key stages.naming.stepz; there are steps"):
        load_recipe("tiny_refshapes", ["--naming.stepz", "1"])
    with pytest.raises(ValueError, match="unknown freeze 'everything': the scopes of refseg_context_rmi are backbone"):
        load_recipe("tiny_refshapes", ["--freeze", "everything"])
    with pytest.raises(ValueError, match="unknown rate_factors 'new': the scopes of refseg_context_rmi are backbone"):
        load_recipe("tiny_refshapes", ["--rate_factors.new", "10"])


def test_a_recipe_names_a_family_that_can_be_trained(tmp_path):
    for model_type in ("rmi", "refseg_vgg_fcn"):
        known = f"unknown model_type '{model_type}'; those with a training are .*refseg_rmi"
        with pytest.raises(ValueError, match=known):
            load_recipe(write(tmp_path, f"model: {{model_type: {model_type}}}\n"))
    with pytest.raises(ValueError, match="mine.yaml has no model.model_type"):
        load_recipe(write(tmp_path, "data: {dataset: refshapes}\n"))


def test_what_follows_from_other_things_can_not_be_chosen():
    with pytest.raises(ValueError, match="vocab_size on the command line can't be chosen: it follows from the vocab"):
        load_recipe("r_rmi", ["--vocab_size", "12"])


def test_a_key_of_two_sections_needs_its_section():
    with pytest.raises(ValueError, match=r"--processor\.interpolation or --evaluation\.interpolation"):
        load_recipe("r_rmi", ["--interpolation", "clean"])
    assert load_recipe("r_rmi", ["--processor.interpolation", "clean"]).processor.interpolation == "clean"


def test_words_that_are_no_overrides():
    with pytest.raises(ValueError, match="--resume_from_checkpoint needs a value"):
        load_recipe("tiny_refshapes", ["--resume_from_checkpoint"])
    with pytest.raises(ValueError, match="expected --key value, got 'fast'"):
        load_recipe("tiny_refshapes", ["fast"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learning_rate", "abc"], "training.learning_rate is 'abc'; expected float"),
        (["--max_steps", "1.5"], "training.max_steps is 1.5; expected int"),
        (["--learning_rate", "!!bool x"], "--learning_rate !!bool x is no YAML: 'x' is no value of the kind bool"),
        (["--flip_probability", "[1]"], r"data.flip_probability is \[1\]; expected float"),
        (["--train_samples", "many"], r"data.train_samples is 'many'; expected int \| null"),
        (["--expression_types", "[1, 2]"], r"data.expression_types is \[1, 2\]; expected list\[str\] \| null"),
        (["--stages.naming", "on"], "stages.naming is 'on'; expected dict"),
    ],
)
def test_values_of_another_type_are_named(words, message):
    with pytest.raises(ValueError, match=message):
        load_recipe("tiny_refshapes", words)


def test_numbers_of_no_training_are_told(tmp_path):
    for name, number in (("max_steps", 0), ("max_steps", -2), ("dataloader_num_workers", -1), ("learning_rate", -1)):
        words = [f"--{name}", str(number), "--output_dir", str(tmp_path)]
        with pytest.raises(ValueError, match=f"{name} is {number}; give "):
            load_recipe("tiny_refshapes", words).training_arguments()


def test_a_model_that_is_none_is_told():
    for words in (["--hidden_size", "big"], ["--hidden_size", "-1"]):
        with pytest.raises(ValueError, match=r"model section of the recipe: (.|\n)*hidden_size"):
            load_recipe("tiny_refshapes", words).config()
    with pytest.raises(ValueError, match="model section of the recipe: "):
        load_recipe("tiny_refshapes", ["--model.backbone_config", "{model_type: none}"]).config()


def test_a_backbone_without_type_is_told_in_a_line(tmp_path):
    (tmp_path / "recipe.yaml").write_text(
        "model: {model_type: refseg_rmi, backbone_config: {odel_type: refseg_vgg_fcn}}"
    )
    with pytest.raises(
        ValueError, match=r"backbone_config.model_type is None: give that of a backbone, ours \(.*refseg"
    ):
        load_recipe(tmp_path / "recipe.yaml").config()
