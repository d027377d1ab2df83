import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import AutoBackbone, AutoConfig

from hf_refseg.models.rmi.configuration_rmi import RmiConfig
from hf_refseg.models.rmi.modeling_rmi import RmiForReferringSegmentation
from hf_refseg.models.shufflenet_pan.modeling_shufflenet_pan import (
    GhostConvolution,
    ShuffleNetPanBackbone,
    shuffle_channels,
)
from tests.tiny import VOCAB_SIZE, tiny_shufflenet_pan_config

NAMES = ["stem", "stage1", "stage2", "stage3", "pyramid1", "pyramid2", "pyramid3", "pyramid4"]


def make_backbone(**kwargs) -> ShuffleNetPanBackbone:
    torch.manual_seed(0)
    return AutoBackbone.from_config(tiny_shufflenet_pan_config(**kwargs)).eval()


@torch.no_grad()
def test_every_map_has_its_stride_and_channels():
    backbone = make_backbone(out_features=NAMES)
    maps = backbone(torch.randn(2, 3, 64, 96)).feature_maps
    assert [tuple(level.shape[2:]) for level in maps] == [
        (16, 24), (8, 12), (4, 6), (2, 3), (8, 12), (4, 6), (2, 3), (1, 2),
    ]  # fmt: skip
    assert [level.shape[1] for level in maps] == backbone.channels == [8, 8, 12, 16, 8, 8, 8, 8]


@torch.no_grad()
def test_stages_alone_have_no_pyramid_and_take_any_size():
    backbone = make_backbone(out_features=["stage1", "stage3"])
    assert backbone.pyramid is None
    assert [tuple(level.shape) for level in backbone(torch.randn(1, 3, 50, 70)).feature_maps] == [
        (1, 8, 7, 9), (1, 16, 2, 3),
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"pixel_values are of \(64, 70\) pixels .* multiples of 32: pad them"):
        make_backbone()(torch.randn(1, 3, 64, 70))


def test_channels_take_turns_between_the_halves():
    maps = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffle_channels(maps).flatten().tolist() == [0, 3, 1, 4, 2, 5]


@torch.no_grad()
def test_half_of_a_ghost_convolution_is_made_of_the_other():
    torch.manual_seed(0)
    ghost = GhostConvolution(4, 6, slope=None)
    maps = ghost(torch.randn(1, 4, 5, 5))
    torch.testing.assert_close(maps[:, 3:], ghost.cheap(maps[:, :3]))


@torch.no_grad()
def test_every_level_of_the_pyramid_has_seen_every_stage():
    backbone = make_backbone(out_features=NAMES)
    stages = [torch.randn(1, size, 64 // stride, 64 // stride) for size, stride in ((8, 8), (12, 16), (16, 32))]
    levels = backbone.pyramid(stages)
    for stage in range(3):
        changed = [maps + (place == stage) for place, maps in enumerate(stages)]
        for level, other in zip(levels, backbone.pyramid(changed), strict=True):
            assert not torch.allclose(level, other)


def test_gradients_reach_everything():
    backbone = make_backbone(out_features=NAMES).train()
    sum(level.square().mean() for level in backbone(torch.randn(2, 3, 64, 64)).feature_maps).backward()
    without = [name for name, parameter in backbone.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert not without


@torch.no_grad()
def test_saving_and_loading_keeps_the_maps(tmp_path):
    backbone, pixels = make_backbone(), torch.randn(1, 3, 64, 64)
    backbone.save_pretrained(tmp_path)
    again = ShuffleNetPanBackbone.from_pretrained(tmp_path)
    assert type(again) is ShuffleNetPanBackbone
    torch.testing.assert_close(again(pixels).feature_maps[-1], backbone(pixels).feature_maps[-1])
    assert AutoConfig.from_pretrained(tmp_path).out_features == ["pyramid4"]


@torch.no_grad()
def test_export():
    backbone, pixels = make_backbone(out_features=["stage1", "pyramid1"]), torch.randn(1, 3, 64, 96)
    exported = torch.export.export(backbone, (pixels,), strict=False).module()(pixels)
    for ours, expected in zip(exported.feature_maps, backbone(pixels).feature_maps, strict=True):
        torch.testing.assert_close(ours, expected)


@torch.no_grad()
def test_rmi_takes_it_as_backbone_config():
    sizes = {"word_embedding_size": 10, "lstm_hidden_size": 12, "visual_size": 14, "hidden_size": 16}
    config = tiny_shufflenet_pan_config(out_features=["pyramid1"]).to_dict()
    model = RmiForReferringSegmentation(RmiConfig(backbone_config=config, vocab_size=VOCAB_SIZE, **sizes)).eval()
    assert type(model.backbone) is ShuffleNetPanBackbone
    outputs = model(torch.randn(1, 3, 64, 64), torch.tensor([[4, 5]]))
    assert outputs.logits.shape == (1, 64, 64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_sizes": [8, 12]}, r"hidden_sizes is \[8, 12\]; give three numbers"),
        ({"depths": [1, 1, 1, 1]}, r"depths is \[1, 1, 1, 1\]; give three numbers"),
        ({"pyramid_size": 7}, "give even numbers"),
        ({"pyramid_kernel_size": 4}, "pyramid_kernel_size is 4; give an odd number"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        tiny_shufflenet_pan_config(**settings)
