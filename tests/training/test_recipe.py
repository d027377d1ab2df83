from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModel

from hf_refseg.models.lstm_cnn.configuration_lstm_cnn import LstmCnnConfig
from hf_refseg.models.mask_rcnn.configuration_mask_rcnn import MaskRcnnConfig
from hf_refseg.models.mattnet.configuration_mattnet import MAttNetConfig
from hf_refseg.models.rmi.configuration_rmi import RmiConfig
from hf_refseg.models.vgg_fcn.configuration_vgg_fcn import VggFcnConfig
from hf_refseg.training.build import ModelArguments, build_config
from hf_refseg.training.recipe import load_recipe

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
RECIPES = sorted(CONFIGS.glob("*.yaml"))
RMI_ROWS = {
    "max_steps": 750_000, "per_device_train_batch_size": 1, "optimizer": "adam", "learning_rate": 0.00025,
    "schedule": "polynomial", "lr_end": 1e-5, "lr_power": 0.9, "weight_decay": 0.0005,
    "weight_decay_scope": "conv_kernels", "bias_gradient_multiplier": 2, "freeze": "backbone", "interpolation": "paper",
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
    "lr_decay_start": 8000, "lr_decay_every": 8000, "lr_decay_factor": 0.1, "seed": 24, "interpolation": "paper",
}  # fmt: skip
ABLATION = {
    "subject": ["subject"],
    "location": ["subject", "location"],
    "relationship": ["subject", "location", "relationship"],
}


def config_of(recipe):
    return build_config(ModelArguments.from_section(recipe.model))


def same(config, expected):
    mine, theirs = config.to_dict(), expected.to_dict()
    return {
        key: (mine.get(key), theirs.get(key)) for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)
    }


@pytest.mark.parametrize("path", [p for p in RECIPES if "photos" not in p.name], ids=lambda path: path.stem)
def test_every_recipe_parses_and_its_arguments_and_model_can_be_built(path, tmp_path):
    recipe = load_recipe(path, ["--output_dir", str(tmp_path), "--use_cpu", "true", "--report_to", "none"])
    recipe.training_arguments()
    recipe.data_arguments()
    config = config_of(recipe)
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in AutoModel.from_config(config).parameters()) > 1000


@pytest.mark.parametrize("name", ["r_rmi", "d_rmi", "r_lstm", "d_lstm"])
def test_rows_of_liu_have_the_published_settings(name):
    recipe = load_recipe(CONFIGS / f"{name}.yaml")
    assert {key: recipe.training[key] for key in RMI_ROWS} == RMI_ROWS
    expected = RmiConfig() if name.endswith("rmi") else LstmCnnConfig.liu_baseline(vocab_size=8803)
    assert same(config_of(recipe), expected) == {}


@pytest.mark.parametrize("stage", HU_STAGES)
def test_stages_of_hu_have_the_published_settings(stage):
    recipe = load_recipe(CONFIGS / f"lstm_cnn_hu_{stage}.yaml")
    expected = {**HU_ROWS, **HU_STAGES[stage]}
    assert {key: recipe.training[key] for key in expected} == expected
    backbone = VggFcnConfig(fc6_padding=0 if stage == "region" else 3)
    assert same(config_of(recipe), LstmCnnConfig.hu_stage(stage, backbone_config=backbone)) == {}


def test_the_detector_has_the_published_settings():
    recipe = load_recipe(CONFIGS / "mask_rcnn_coco.yaml")
    assert {key: recipe.training[key] for key in DETECTOR} == DETECTOR
    assert same(config_of(recipe), MaskRcnnConfig()) == {}
    assert recipe.data["exclude_images"] and recipe.data["flip_probability"] == 0.5


def test_mattnet_has_the_published_settings():
    recipe = load_recipe(CONFIGS / "mattnet_refcoco.yaml")
    assert {key: recipe.training[key] for key in MATTNET} == MATTNET
    assert same(config_of(recipe), MAttNetConfig()) == {}
    assert recipe.processor["min_count"] == 6, "words that occur more than five times"
    arguments = recipe.data_arguments()
    assert arguments.sentences_per_ref == 3 and arguments.partition == "unc"


@pytest.mark.parametrize("row", ABLATION)
def test_rows_of_the_ablation_differ_in_their_modules_only(row):
    whole, recipe = (
        load_recipe(CONFIGS / "mattnet_refshapes.yaml"),
        load_recipe(CONFIGS / f"mattnet_refshapes_{row}.yaml"),
    )
    assert recipe.model == {**whole.model, "modules": ABLATION[row], "attributes": False}
    assert recipe.training == {**whole.training, "output_dir": f"runs/mattnet_refshapes_{row}"}
    assert (recipe.data, recipe.processor) == (whole.data, whole.processor)


@pytest.mark.parametrize("name", ["mattnet_refshapes", *(f"mattnet_refshapes_{row}" for row in ABLATION)])
def test_mattnet_of_refshapes_fits_its_detector(name):
    detector_recipe, recipe = load_recipe(CONFIGS / "mask_rcnn_refshapes.yaml"), load_recipe(CONFIGS / f"{name}.yaml")
    detector = config_of(detector_recipe)
    names = {"region_size": detector.backbone_config.hidden_sizes[-1], "head_size": detector.head_size}
    config = MAttNetConfig(
        detector_config=detector, grid_size=detector.crop_size, **names,
        **{key: value for key, value in recipe.model.items() if key != "model_type"},
    )  # fmt: skip
    with torch.device("meta"):
        parameters = AutoModel.from_config(config).parameters()
    assert sum(parameter.numel() for parameter in parameters) < 2_500_000, "at most 10 MB ship with the package"
    for section in ("dialect", "image_size"):
        assert recipe.data[section] == detector_recipe.data[section]


def test_values_are_overridden_by_bare_and_by_full_name():
    words = ["--learning_rate", "2e-3", "--model.hidden_size=32", "--model.backbone_config.depths", "[1, 3]"]
    recipe = load_recipe(CONFIGS / "tiny_refshapes.yaml", [*words, "--eval_strategy", "no", "--tf32=false"])
    assert recipe.training["learning_rate"] == 2e-3
    assert (recipe.training["eval_strategy"], recipe.training["tf32"]) == ("no", False)
    assert recipe.model["hidden_size"] == 32
    assert recipe.model["backbone_config"]["depths"] == [1, 3]
    assert recipe.model["backbone_config"]["model_type"] == "refseg_vgg_fcn"


def test_numbers_with_exponents_are_numbers(tmp_path):
    recipe = load_recipe(CONFIGS / "r_rmi.yaml")
    assert recipe.training["lr_end"] == 1e-5
    assert yaml.safe_load("1e-5") == "1e-5"  # why the loader is our own


def test_unknown_keys_name_the_nearest_known(tmp_path):
    with pytest.raises(ValueError, match=r"'learning_rat' on the command line.*training\.learning_rate"):
        load_recipe(CONFIGS / "tiny_refshapes.yaml", ["--learning_rat", "1"])
    with pytest.raises(ValueError, match=r"'model\.hidden_sise'.*model\.hidden_size"):
        load_recipe(CONFIGS / "tiny_refshapes.yaml", ["--model.hidden_sise", "1"])
    file = tmp_path / "mine.yaml"
    file.write_text("model: {model_type: refseg_rmi}\ndata: {dialekt: refcoco}\n")
    with pytest.raises(ValueError, match=r"'data\.dialekt' in .*mine\.yaml.*data\.dialect"):
        load_recipe(file)
    file.write_text("optimisation: {}\n")
    with pytest.raises(ValueError, match="section 'optimisation'.*model, processor, data, training"):
        load_recipe(file)
    file.write_text("model: {model_type: rmi}\n")
    with pytest.raises(ValueError, match="model_type 'rmi'.*refseg_rmi"):
        load_recipe(file)


def test_a_key_of_two_sections_needs_its_section(monkeypatch):
    keys = {"model": ["model_type", "size"], "processor": ["size"], "data": [], "training": []}
    monkeypatch.setattr("hf_refseg.training.recipe.known_keys", lambda model_type: keys)
    monkeypatch.setattr("hf_refseg.training.recipe.Path.read_text", lambda *args, **kwargs: "processor: {size: 96}")
    with pytest.raises(ValueError, match=r"--model\.size or --processor\.size"):
        load_recipe(CONFIGS / "tiny_refshapes.yaml", ["--size", "64"])
    assert load_recipe(CONFIGS / "tiny_refshapes.yaml", ["--processor.size", "64"]).processor == {"size": 64}


def test_other_errors_teach():
    with pytest.raises(ValueError, match="--resume_from_checkpoint needs a value"):
        load_recipe(CONFIGS / "tiny_refshapes.yaml", ["--resume_from_checkpoint"])
    with pytest.raises(ValueError, match="expected --key value, got 'fast'"):
        load_recipe(CONFIGS / "tiny_refshapes.yaml", ["fast"])
    with pytest.raises(FileNotFoundError, match="tiny_refshapes.yaml"):
        load_recipe(CONFIGS / "tiny.yaml")
