"""The exact names, so that a renamed parameter can't silently lose its weight decay or its freeze."""

import pytest
import torch
from tiny import tiny_caffe_resnet_config, tiny_lstm_cnn, tiny_rmi

from hf_refseg.models.lstm_cnn.configuration_lstm_cnn import LstmCnnConfig
from hf_refseg.models.lstm_cnn.modeling_lstm_cnn import LstmCnnForReferringSegmentation
from hf_refseg.training.parameter_scopes import (
    decayed_parameter_names,
    freeze_parameters,
    frozen_normalizations,
    scale_bias_gradients,
)

HU_FC_WEIGHTS = {"backbone.fc6.weight", "backbone.fc7.weight", "visual_projection.weight"}
HU_CLASSIFIER_WEIGHTS = {"visual_fusion.weight", "language_fusion.weight", "classifier.weight"}
LSTM_MATRIX = {"word_lstm.weight_ih", "word_lstm.weight_hh"}


def test_rmi_decays_two_kernels_and_scales_two_biases():
    model = tiny_rmi()
    frozen = freeze_parameters(model, "backbone")
    assert frozen and set(frozen) == {name for name, _ in model.named_parameters() if name.startswith("backbone.")}
    assert decayed_parameter_names(model, "conv_kernels") == ["visual_projection.weight", "classifier.weight"]
    assert scale_bias_gradients(model, 2.0) == ["visual_projection.bias", "classifier.bias"]


def test_liu_lstm_decays_its_three_convolutions():
    config = LstmCnnConfig.liu_baseline(backbone_config=tiny_caffe_resnet_config(), visual_size=6, lstm_hidden_size=6)
    model = LstmCnnForReferringSegmentation(config)
    freeze_parameters(model, "backbone")
    decayed = {"visual_projection.weight", *HU_CLASSIFIER_WEIGHTS}
    assert set(decayed_parameter_names(model, "conv_kernels")) == decayed
    assert set(scale_bias_gradients(model, 2.0)) == {"visual_projection.bias", "visual_fusion.bias", "classifier.bias"}


def test_hu_high_res_trains_fc6_to_fc8_and_decays_every_matrix_but_the_embedding():
    model = tiny_lstm_cnn()
    frozen = set(freeze_parameters(model, "vgg_convolutions"))
    convolutions = {
        f"backbone.stages.{stage}.convolutions.0.{kind}" for stage in range(5) for kind in ("weight", "bias")
    }
    assert frozen == convolutions
    decayed = HU_FC_WEIGHTS | HU_CLASSIFIER_WEIGHTS | LSTM_MATRIX | {"deconvolution.weight"}
    assert set(decayed_parameter_names(model, "weights")) == decayed


def test_hu_region_stage_freezes_all_of_vgg():
    model = tiny_lstm_cnn(stage="region")
    freeze_parameters(model, "backbone_and_projection")
    assert not any(p.requires_grad for p in [*model.backbone.parameters(), *model.visual_projection.parameters()])
    assert set(decayed_parameter_names(model, "weights")) == HU_CLASSIFIER_WEIGHTS | LSTM_MATRIX


def test_a_backbone_trained_from_scratch_decays_its_kernels_but_no_normalisation():
    model = tiny_rmi(backbone_config=tiny_caffe_resnet_config(freeze_batch_norm=False))
    decayed = decayed_parameter_names(model, "conv_kernels")
    assert "backbone.stem.convolution.weight" in decayed
    assert not [name for name in decayed if "normalization" in name]
    assert frozen_normalizations(model) == []
    freeze_parameters(model, "backbone")
    assert len(frozen_normalizations(model)) == sum(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules()) > 0


def test_all_is_all():
    model = tiny_rmi()
    assert decayed_parameter_names(model, "all") == [name for name, _ in model.named_parameters()]


def test_the_multiplier_reaches_the_gradient():
    bias = tiny_rmi().classifier.bias.detach()
    gradients = []
    for multiplier in (1.0, 2.0):
        torch.manual_seed(0)
        model = tiny_rmi()
        scale_bias_gradients(model, multiplier)
        pixels, words = torch.ones(1, 3, 16, 16), torch.tensor([[4, 5]])
        model(pixel_values=pixels, input_ids=words, labels=torch.ones(1, 16, 16)).loss.backward()
        gradients.append((model.classifier.bias.grad, model.classifier.weight.grad))
    assert gradients[0][0].shape == bias.shape and gradients[0][0].abs().sum() > 0
    assert torch.equal(gradients[1][0], 2 * gradients[0][0])
    assert torch.equal(gradients[1][1], gradients[0][1])


def test_an_empty_scope_is_an_error():
    with pytest.raises(ValueError, match="'vgg_convolutions' has no parameter of Linear"):
        freeze_parameters(torch.nn.Linear(2, 2), "vgg_convolutions")
    with pytest.raises(ValueError, match="'conv_kernels' has no trained parameter of Linear"):
        decayed_parameter_names(torch.nn.Linear(2, 2), "conv_kernels")
