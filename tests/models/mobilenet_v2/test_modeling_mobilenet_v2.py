import pytest
import torch
from transformers import AutoBackbone, MobileNetV2Config, MobileNetV2ForSemanticSegmentation
from transformers.backbone_utils import load_backbone

import hf_refseg  # noqa: F401  registers the backbone
from hf_refseg.models.mobilenet_v2.configuration_mobilenet_v2 import RefSegMobileNetV2Config
from hf_refseg.models.mobilenet_v2.modeling_mobilenet_v2 import RefSegMobileNetV2Backbone
from hf_refseg.models.rmi.configuration_rmi import RmiConfig

SETTINGS = {"tf_padding": True, "output_stride": 16, "num_labels": 21, "depth_multiplier": 0.25, "min_depth": 4}


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    config = RefSegMobileNetV2Config(**SETTINGS, out_features=["stage2", "stage4", "deeplab"])
    return AutoBackbone.from_config(config).eval()


@pytest.mark.parametrize("size", [(65, 65), (64, 96), (50, 71)])
def test_maps_are_those_of_the_segmentation_model(backbone, size):
    reference = MobileNetV2ForSemanticSegmentation(MobileNetV2Config(**SETTINGS)).eval()
    reference.mobilenet_v2.conv_1x1 = torch.nn.Identity()
    reference.load_state_dict(backbone.state_dict())
    pixels = torch.randn(2, 3, *size)
    with torch.no_grad():
        detail, trunk, deeplab = backbone(pixels).feature_maps
        expected = reference(pixels, output_hidden_states=True)
    assert torch.equal(detail, expected.hidden_states[4])
    assert torch.equal(trunk, expected.hidden_states[15])
    torch.testing.assert_close(deeplab[:, -21:], expected.logits, rtol=1e-5, atol=1e-5)
    assert [m.shape[1] for m in (detail, trunk, deeplab)] == backbone.channels


def test_batch_norm_and_dropout_stay_in_evaluation_mode_while_gradients_flow(backbone):
    backbone.train()
    pixels = torch.randn(2, 3, 64, 64)
    maps = backbone(pixels).feature_maps[-1]
    maps.sum().backward()
    backbone.eval()
    assert torch.equal(maps, backbone(pixels).feature_maps[-1])
    assert backbone.mobilenet_v2.conv_stem.first_conv.convolution.weight.grad.abs().sum() > 0


def test_saving_and_loading_keeps_the_maps(backbone, tmp_path):
    backbone.save_pretrained(tmp_path)
    pixels = torch.randn(1, 3, 64, 64)
    again = RefSegMobileNetV2Backbone.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(pixels).feature_maps[-1], backbone(pixels).feature_maps[-1])


def test_rmi_takes_it_as_backbone_config():
    settings = RefSegMobileNetV2Config(**SETTINGS, out_features=["stage4"]).to_dict()
    backbone = load_backbone(RmiConfig(backbone_config=settings))
    assert isinstance(backbone, RefSegMobileNetV2Backbone)
    assert backbone.segmentation_head is None
