"""Backbones as `AutoBackbone` citizens, and the quirks by which they differ from torchvision's."""

import pytest
import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import AutoBackbone

from hf_refseg.models.caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig
from hf_refseg.models.caffe_resnet.modeling_caffe_resnet import CaffeResNetBackbone
from hf_refseg.models.vgg_fcn.modeling_vgg_fcn import VggFcnBackbone
from tests.tiny import tiny_caffe_resnet_config, tiny_vgg_fcn_config


@pytest.mark.parametrize(
    "config, model_class, channels",
    [
        (tiny_caffe_resnet_config(out_features=["stage2", "stage4"]), CaffeResNetBackbone, [16, 24]),
        (tiny_vgg_fcn_config(out_features=["stage2", "stage5"]), VggFcnBackbone, [6, 12]),
    ],
)
@torch.no_grad()
def test_auto_backbone(config, model_class, channels, tmp_path):
    torch.manual_seed(0)
    backbone = AutoBackbone.from_config(config).eval()
    assert type(backbone) is model_class and backbone.channels == channels
    pixels = torch.randn(1, 3, 64, 96)
    outputs = backbone(pixels, output_hidden_states=True)
    assert [maps.shape[1] for maps in outputs.feature_maps] == channels
    assert all(maps.shape[-2:] == (8, 12) for maps in outputs.feature_maps[:1])
    assert len(outputs.hidden_states) == len(config.stage_names)
    backbone.save_pretrained(tmp_path)
    loaded = model_class.from_pretrained(tmp_path)
    assert torch.equal(loaded(pixels).feature_maps[-1], outputs.feature_maps[-1])


@pytest.mark.parametrize("stride, dilations", [(8, [1, 1, 2, 4]), (16, [1, 1, 1, 2]), (32, [1, 1, 1, 1])])
def test_output_stride_is_held_by_dilation_of_every_unit(stride, dilations):
    backbone = CaffeResNetBackbone(tiny_caffe_resnet_config(output_stride=stride, depths=[2, 2, 2, 2]))
    found = [[unit.convolve.dilation for unit in stage] for stage in backbone.stages]
    assert found == [[dilation] * 2 for dilation in dilations]
    with torch.no_grad():
        assert backbone(torch.zeros(1, 3, 64, 64)).feature_maps[0].shape[-1] == 64 // stride


def test_stride_lies_on_the_first_convolution():
    unit = CaffeResNetBackbone(tiny_caffe_resnet_config()).stages[1][0]
    assert (unit.reduce.stride, unit.convolve.stride, unit.shortcut.stride) == (2, 1, 2)


@torch.no_grad()
def test_folded_normalization_equals_the_normalization():
    torch.manual_seed(0)
    layer = CaffeResNetBackbone(tiny_caffe_resnet_config()).stem
    for buffer in layer.normalization.buffers():
        buffer.uniform_(0.5, 1.5)
    pixels = torch.randn(1, 3, 33, 40)
    with torch.enable_grad():
        expected = layer(pixels).detach()
    torch.testing.assert_close(layer(pixels), expected, rtol=1e-4, atol=1e-5)
    layer.normalization.running_var.mul_(2)
    assert not torch.allclose(layer(pixels), expected), "a cached kernel outlived its statistics"
    layer.convolution.weight.mul_(2)
    with torch.enable_grad():
        expected = layer(pixels).detach()
    torch.testing.assert_close(layer(pixels), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_kept_kernel_outlives_no_weight():
    """A new weight may get the address of the old one, with the same version."""
    layer = CaffeResNetBackbone(tiny_caffe_resnet_config()).stem
    pixels = torch.randn(1, 3, 16, 16)
    for factor in range(20):
        layer.convolution.weight = None
        layer.convolution.weight = torch.nn.Parameter(torch.full((8, 3, 7, 7), float(factor)))
        with torch.enable_grad():
            expected = layer(pixels).detach()
        torch.testing.assert_close(layer(pixels), expected, rtol=1e-4, atol=1e-4)


def test_statistics_stay_when_frozen_and_move_when_not():
    for freeze in (True, False):
        backbone = CaffeResNetBackbone(tiny_caffe_resnet_config(freeze_batch_norm=freeze)).train()
        before = backbone.stem.normalization.running_mean.clone()
        backbone(torch.randn(2, 3, 32, 32))
        assert torch.equal(backbone.stem.normalization.running_mean, before) == freeze


@torch.no_grad()
def test_padding_is_tensorflows():
    """At stride 2 the odd row of padding lies at the bottom: an impulse shows where the kernel's center falls."""
    backbone = CaffeResNetBackbone(tiny_caffe_resnet_config())
    backbone.stem.convolution.weight.zero_()
    backbone.stem.convolution.weight[:, :, 2, 2] = 1  # two rows of padding before: output 0 looks at input 0 here
    pixels = torch.randn(1, 3, 32, 32)
    expected = pixels.sum(1, keepdim=True)[..., ::2, ::2] / (1 + 1e-3) ** 0.5
    torch.testing.assert_close(backbone.stem(pixels)[:, :1], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_vgg_pools_odd_sizes_up():
    backbone = VggFcnBackbone(tiny_vgg_fcn_config()).eval()
    assert backbone(torch.zeros(1, 3, 33, 65)).feature_maps[0].shape[-2:] == (2, 3)
    maps = torch.arange(9.0).view(1, 1, 3, 3)
    assert F.max_pool2d(maps, 2, ceil_mode=True).flatten().tolist() == [4, 5, 7, 8]


def test_bad_configurations_say_what_is_wrong():
    with pytest.raises(StrictDataclassClassValidationError, match="same stages, got 3 and 4"):
        CaffeResNetConfig(hidden_sizes=[8, 8, 8])
    with pytest.raises(StrictDataclassClassValidationError, match="multiples of 4"):
        CaffeResNetConfig(hidden_sizes=[8, 8, 8, 10])
