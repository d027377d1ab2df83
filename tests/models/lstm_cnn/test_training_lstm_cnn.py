"""Hu et al.'s three stages by their recipes, and which parameters each of the papers decays and freezes."""

import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_caffe_resnet_config, tiny_lstm_cnn, tiny_rmi, tiny_vgg_fcn_config
from transformers import AutoModel, AutoProcessor

from hf_refseg import LstmCnnImageProcessor, LstmCnnProcessor
from hf_refseg.models.lstm_cnn.configuration_lstm_cnn import LstmCnnConfig
from hf_refseg.models.lstm_cnn.modeling_lstm_cnn import LstmCnnForReferringSegmentation
from hf_refseg.models.lstm_cnn.training_crops import CropCollator
from hf_refseg.models.lstm_cnn.training_lstm_cnn import KEYS
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from hf_refseg.training.parameter_scopes import decayed_parameters, freeze_parameters, scale_gradients
from hf_refseg.training.run import prepare

SCOPES = KEYS.parameter_scopes
HU_FC_WEIGHTS = {"backbone.fc6.weight", "backbone.fc7.weight", "visual_projection.weight"}
HU_CLASSIFIER_WEIGHTS = {"visual_fusion.weight", "language_fusion.weight", "classifier.weight"}
LSTM_MATRIX = {"word_lstm.weight_ih", "word_lstm.weight_hh"}
SETTINGS = {
    "dataset": "refshapes/refcoco", "path": "null", "partition": "null", "train_samples": 8, "eval_samples": 2,
    "image_size": 64, "max_steps": 1, "per_device_train_batch_size": 2, "use_cpu": True, "report_to": "none",
    "disable_tqdm": True, "word_embedding_size": 10, "lstm_hidden_size": 12, "visual_size": 14, "mlp_size": 16,
}  # fmt: skip
BACKBONE = {"hidden_sizes": [4, 4, 6, 6, 8], "depths": [1, 1, 1, 1, 1], "fc_size": 12, "fc6_padding": 0}


def words(output_dir, **settings) -> list[str]:
    values = {**SETTINGS, "output_dir": output_dir, **settings}
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def first_stage(output_dir, **settings) -> list[str]:
    backbone = {"weights.backbone": "null", "freeze": "null"}
    backbone["model.backbone_config"] = {"model_type": "refseg_vgg_fcn", **BACKBONE}
    return words(output_dir, **{**backbone, **settings})


# ---- Parameters ----


def test_liu_lstm_decays_its_three_convolutions():
    config = LstmCnnConfig.liu_baseline(backbone_config=tiny_caffe_resnet_config(), visual_size=6, lstm_hidden_size=6)
    model = LstmCnnForReferringSegmentation(config)
    freeze_parameters(model, SCOPES, "backbone")
    assert set(decayed_parameters(model, SCOPES, "conv_kernels")) == {
        "visual_projection.weight",
        *HU_CLASSIFIER_WEIGHTS,
    }
    scaled = scale_gradients(model, SCOPES, {"conv_biases": 2.0})
    assert set(scaled) == {"visual_projection.bias", "visual_fusion.bias", "classifier.bias"}


def test_hu_high_res_trains_fc6_to_fc8_and_decays_every_matrix_but_the_embedding():
    model = tiny_lstm_cnn()
    frozen = set(freeze_parameters(model, SCOPES, "vgg_convolutions"))
    convolutions = {
        f"backbone.stages.{stage}.convolutions.0.{kind}" for stage in range(5) for kind in ("weight", "bias")
    }
    assert frozen == convolutions
    decayed = HU_FC_WEIGHTS | HU_CLASSIFIER_WEIGHTS | LSTM_MATRIX | {"deconvolution.weight"}
    assert set(decayed_parameters(model, SCOPES, "weights")) == decayed


def test_hu_region_stage_freezes_all_of_vgg():
    model = tiny_lstm_cnn(stage="region")
    freeze_parameters(model, SCOPES, "backbone_and_projection")
    assert not any(p.requires_grad for p in [*model.backbone.parameters(), *model.visual_projection.parameters()])
    assert set(decayed_parameters(model, SCOPES, "weights")) == HU_CLASSIFIER_WEIGHTS | LSTM_MATRIX


# ---- Stages ----


def test_the_three_stages_follow_each_other(train, tmp_path):
    assert train(["lstm_cnn_hu_region", *first_stage(tmp_path / "region")]) == {}, "no masks to evaluate"
    low_res = {"previous_stage": tmp_path / "region", "processor.size": 64, "eval_strategy": "no"}
    assert train(["lstm_cnn_hu_low_res", *words(tmp_path / "low_res", **low_res)])["protocol"] == "hu2016"
    high_res = {**low_res, "previous_stage": tmp_path / "low_res"}
    train(["lstm_cnn_hu_high_res", *words(tmp_path / "high_res", **high_res)])
    config = AutoModel.from_pretrained(tmp_path / "high_res").config
    assert (config.stage, config.backbone_config.fc6_padding) == ("high_res", 3)
    first, last = (AutoProcessor.from_pretrained(tmp_path / stage) for stage in ("region", "high_res"))
    assert first.tokenizer.get_vocab() == last.tokenizer.get_vocab()
    assert (first.image_processor.size["height"], last.image_processor.size["height"]) == (224, 64)


def test_a_stage_takes_over_weights_and_vocabulary(tmp_path):
    tokenizer = tokenizer_from_sentences(["a red circle", "the blue star"])
    sizes = {"vocab_size": len(tokenizer), "background_weight": 1.0}
    previous = tiny_lstm_cnn(stage="region", backbone_config=tiny_vgg_fcn_config(fc6_padding=0), **sizes)
    previous.save_pretrained(tmp_path / "region")
    LstmCnnProcessor(LstmCnnImageProcessor(), tokenizer).save_pretrained(tmp_path / "region")
    run = prepare("lstm_cnn_hu_low_res", words(tmp_path / "run", previous_stage=tmp_path / "region"))
    assert run.task.processor.tokenizer.get_vocab() == tokenizer.get_vocab()
    weights = load_file(tmp_path / "region" / "model.safetensors")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in run.task.model.state_dict().items())
    tiny_rmi().save_pretrained(tmp_path / "rmi")
    for settings, message in (
        ({"mlp_size": 7}, "model.mlp_size is 7 in the recipe, but .*region has 16"),
        ({"min_count": 2}, "weights.previous_stage: .* brings its own vocabulary: leave out processor.min_count"),
        ({"embeddings": "glove"}, "weights.previous_stage already gives the embeddings"),
        ({"previous_stage": tmp_path / "rmi"}, "holds a refseg_rmi, but a refseg_lstm_cnn is needed"),
        ({"stage": "high_res"}, "stage 'high_res' follows 'low_res', the checkpoint .* is 'region'"),
    ):
        settings = {"previous_stage": tmp_path / "region", **settings}
        with pytest.raises(ValueError, match=message):
            prepare("lstm_cnn_hu_low_res", words(tmp_path / "run", **settings))


def test_the_region_classifier_has_crops_and_no_evaluation(tmp_path):
    task = prepare("lstm_cnn_hu_region", first_stage(tmp_path)).task
    assert isinstance(task.collator, CropCollator) and task.evaluators is None
    for key, value in (("evaluation.protocol", "hu2016"), ("flip_probability", 0.5), ("sentence", "all")):
        with pytest.raises(ValueError, match="is not read: the region classifier draws no masks"):
            prepare("lstm_cnn_hu_region", first_stage(tmp_path, **{key: value}))
