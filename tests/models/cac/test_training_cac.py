"""CAC's stages by their recipes: a few steps on drawn shapes, and what each stage trains and takes over."""

import pytest
import torch
from transformers import AutoModel, AutoProcessor

from hf_refseg.data.refshapes.scene import CATEGORIES
from hf_refseg.models.cac.training_cac import KEYS, trained_detector_config
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.training.parameter_scopes import parameters_in
from hf_refseg.training.recipe import load_recipe
from hf_refseg.training.run import prepare
from tests.tiny import tiny_cac, tiny_caffe_resnet_config, tiny_mask_rcnn, tiny_mask_rcnn_config

NAMES = {"id2label": dict(enumerate(CATEGORIES)), "num_labels": len(CATEGORIES)}
SETTINGS = {
    "max_steps": 2, "train_samples": 60, "eval_samples": 3, "image_size": 48, "use_cpu": True,
    "per_device_train_batch_size": 2, "per_device_eval_batch_size": 2, "word_embedding_size": 8, "word_vec_size": 8,
    "hidden_size": 8, "caption_word_size": 6, "caption_hidden_size": 6, "caption_attention_size": 6,
    "dataloader_num_workers": 0, "logging_steps": 1, "save_steps": 2, "eval_strategy": "no", "disable_tqdm": True,
    "load_best_model_at_end": False, "report_to": "none",
}  # fmt: skip
ROWS = ["cac_refshapes_baseline", "cac_refshapes_coordinates", "cac_refshapes_spatial", "cac_refshapes_consistency"]
# What the published recipes say of other data and schedules.
SHAPES = {"path": "null", "partition": "null", "dataset": "refshapes/refcoco", "min_count": "null"}


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> str:
    """A detector that was trained from scratch, with normalizations of its own."""
    folder = tmp_path_factory.mktemp("detector")
    torch.manual_seed(0)
    sizes = {"stem_size": 8, "hidden_sizes": [16, 16, 16], "depths": [1, 1, 1], "padding": "symmetric"}
    backbone = tiny_caffe_resnet_config(**sizes, output_stride=16, freeze_batch_norm=False)
    model = tiny_mask_rcnn(backbone_config=backbone, freeze_batch_norm=False, **NAMES)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
    model.save_pretrained(folder)
    MaskRcnnImageProcessor(size={"shortest_edge": 48, "longest_edge": 80}).save_pretrained(folder)
    return str(folder)


def words(output_dir, recipe="cac_refshapes", **settings) -> list[str]:
    values = {**SETTINGS, "output_dir": output_dir, **settings}
    return [recipe, *(word for name, value in values.items() for word in (f"--{name}", str(value)))]


def test_the_recipe_trains_a_tiny_cac_and_resumes(train, detector, tmp_path):
    metrics = train(words(tmp_path / "run", detector=detector))
    assert all(0 <= metrics[name] <= 1 for name in ("region_acc", "box_acc", "oIoU"))
    model = AutoModel.from_pretrained(tmp_path / "run")
    assert model.config.losses == ["roi", "response", "caption"]
    assert AutoProcessor.from_pretrained(tmp_path / "run").categories == list(CATEGORIES)
    assert detector not in (tmp_path / "run" / "config.json").read_text()  # nobody else has this folder
    train([*words(tmp_path / "run", detector=detector, max_steps=3), "--resume"])
    assert (tmp_path / "run" / "checkpoint-3").is_dir()


@pytest.mark.parametrize("recipe", ROWS)
def test_every_row_of_the_table_trains(train, detector, tmp_path, recipe):
    assert train(words(tmp_path / "run", recipe, detector=detector, max_steps=1))["num"] > 0


def test_it_starts_from_the_detector_with_its_normalizations_frozen(detector, tmp_path):
    task = prepare(words(tmp_path / "run")[0], words(tmp_path / "run", detector=detector)[1:]).task
    before = AutoModel.from_pretrained(detector).state_dict()
    own = task.model.detector.state_dict()
    assert before.keys() - own.keys() == {name for name in before if name.endswith("num_batches_tracked")}
    assert all(torch.equal(tensor, before[name]) for name, tensor in own.items())
    trained = dict(task.model.detector.named_parameters())
    assert not any("normalization" in name for name in trained)
    assert task.pretrained == {f"detector.{name}" for name in trained}


def test_a_recipe_changes_how_the_detector_samples(train, detector, tmp_path):
    sampling = {"model.detector_config.roi_batch_size": 6, "model.detector_config.post_nms_top_n": 5}
    train(words(tmp_path / "run", detector=detector, max_steps=1, **sampling))
    config = AutoModel.from_pretrained(tmp_path / "run").config
    assert (config.detector_config.roi_batch_size, config.num_proposals) == (6, 5)


def test_published_detectors_are_frozen_already():
    config = tiny_mask_rcnn_config()
    assert trained_detector_config(config, {}).to_dict() == config.to_dict()


def test_three_stages(train, detector, tmp_path):
    """Response, captioner, all: each takes over what the one before has learned; the second trains the captioner."""
    data = {**SHAPES, "lr_decay_every": 1}
    first, second, third = (tmp_path / name for name in ("response", "captioner", "joint"))
    train(words(first, "cac_response_refcoco", detector=detector, **data))
    chained = {name: value for name, value in data.items() if name != "min_count"}
    train(words(second, "cac_captioner_refcoco", previous_stage=first, **chained))
    models = [AutoModel.from_pretrained(folder) for folder in (first, second)]
    assert models[0].captioner is None and models[1].config.losses == ["caption"]
    before, after = (model.state_dict() for model in models)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    joint = {name: value for name, value in chained.items() if name != "lr_decay_every"}
    run = prepare("cac_refcoco", words(third, previous_stage=second, **joint)[1:])
    taken = run.task.model.state_dict()
    assert taken.keys() == after.keys() and all(torch.equal(tensor, after[name]) for name, tensor in taken.items())
    assert run.start()["num"] > 0
    assert (
        AutoProcessor.from_pretrained(third).tokenizer.get_vocab()
        == AutoProcessor.from_pretrained(first).tokenizer.get_vocab()
    )


def test_new_layers_learn_ten_times_as_fast():
    args = load_recipe("cac_response_refcoco").training_arguments()
    assert args.rate_factors == {"words_and_filters": 10} and args.learning_rate == 1e-4
    fast = parameters_in(tiny_cac(), KEYS.parameter_scopes, "words_and_filters", "rate_factors")
    assert {name.split(".")[0] for name in fast} == {"language", "spatial_filters"}
    for joint in ("cac_refcoco", "cac_consistency_refcoco"):
        assert load_recipe(joint).training_arguments().rate_factors == {}


def test_matrices_decay_and_biases_do_not():
    names = set(parameters_in(tiny_cac(), KEYS.parameter_scopes, "kernels", "weight_decay_scope"))
    assert {"language.forward_lstm.weight_hh_l0", "spatial_filters.filters.up.weight"} <= names
    assert not any("bias" in name for name in names)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"detector": "null"}, "CAC modulates the feature map of a trained detector"),
        ({"previous_stage": "runs/x"}, "weights.previous_stage already gives the detector"),
        ({"vocab_size": 5}, "can't be chosen: it follows from the vocabulary"),
        (
            {"model.detector_config.freeze_batch_norm": "false"},
            "can't change freeze_batch_norm: the detector is trained",
        ),
        ({"detector": "refseg-photos-rmi"}, "holds a refseg_context_rmi, but a refseg_mask_rcnn is needed"),
    ],
)
def test_what_does_not_fit_is_refused(train, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        train(words(tmp_path / "run", **settings))


def test_a_stage_of_other_words_is_refused(train, detector, tmp_path):
    train(words(tmp_path / "run", detector=detector, max_steps=1))
    with pytest.raises(ValueError, match="brings its own vocabulary: leave out processor.min_count"):
        train(words(tmp_path / "next", detector="null", previous_stage=tmp_path / "run", min_count=2))
    with pytest.raises(ValueError, match="does not fit CacForReferringSegmentation"):
        train(words(tmp_path / "next", detector="null", previous_stage=tmp_path / "run", filters="[whole]"))
