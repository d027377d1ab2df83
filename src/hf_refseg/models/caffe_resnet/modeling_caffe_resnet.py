"""
The Caffe-style ResNet (He et al. 2016) with dilation, as TensorFlow ran it for Liu et al. 2017.

It is not torchvision's: the stride lies on the first 1x1 convolution of a unit, padding is TensorFlow's SAME (a shift
of one pixel at stride 2), batch normalization has eps 1e-3, and every unit of a dilated stage, the first too, has the
stage's dilation. Images come in RGB; the Caffe order BGR is folded into the first kernel by the converter. With
`padding="symmetric"` and eps 1e-5 it is the trunk of the Mask R-CNN below MAttNet and CAC.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.backbone_utils import BackboneMixin, filter_output_hidden_states
from transformers.modeling_outputs import BackboneOutput
from transformers.utils import can_return_tuple

from ...layers.caffe_resnet_unit import residual_stage
from ...layers.frozen_convolution import FrozenBatchNorm2d, NormalizedConvolution
from ...layers.same_padding import pad_same
from ..whole_checkpoint import WholeCheckpoint
from .configuration_caffe_resnet import CaffeResNetConfig


class CaffeResNetPreTrainedModel(WholeCheckpoint, PreTrainedModel):
    config: CaffeResNetConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _no_split_modules = ["CaffeResNetUnit"]
    supports_gradient_checkpointing = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, FrozenBatchNorm2d):
            module.initialize()


class CaffeResNetBackbone(BackboneMixin, CaffeResNetPreTrainedModel):
    """Stem at stride 4 and stages at strides 4, 8, 16, 32, held at `config.output_stride` by dilation."""

    has_attentions = False

    def __init__(self, config: CaffeResNetConfig):
        super().__init__(config)
        self.num_features = [config.stem_size, *config.hidden_sizes]
        norm = {
            "eps": config.batch_norm_eps,
            "frozen": config.freeze_batch_norm,
            "symmetric": config.padding == "symmetric",
        }
        self.stem = NormalizedConvolution(config.num_channels, config.stem_size, 7, stride=2, **norm)
        self.stages = nn.ModuleList()
        reached, dilation = 4, 1
        for stage, depth in enumerate(config.depths):
            stride = 1
            if stage > 0:
                if reached < config.output_stride:
                    stride, reached = 2, 2 * reached
                else:
                    dilation *= 2
            channels, out_channels = self.num_features[stage], self.num_features[stage + 1]
            self.stages.append(residual_stage(channels, out_channels, depth, stride, dilation, **norm))
        self.post_init()

    @can_return_tuple
    @filter_output_hidden_states
    def forward(
        self,
        pixel_values: torch.Tensor,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs,
    ) -> BackboneOutput:
        """
        Args:
            pixel_values: (B, 3, H, W) RGB minus the mean, in 0..255 units.

        Returns:
            `feature_maps`: one (B, C, ceil(H / s), ceil(W / s)) per requested stage.
        """
        maps = F.relu(self.stem(pixel_values), inplace=True)  # (B, 3, H, W) -> (B, 64, H / 2, W / 2)
        if self.config.padding == "symmetric":
            maps = F.max_pool2d(maps, 3, 2, padding=1)  # (B, 64, H / 2, W / 2) -> (B, 64, H / 4, W / 4)
        else:  # zeros pad as well as minus infinity here, since everything after a ReLU is at least zero
            maps = F.max_pool2d(pad_same(maps, 3, 2), 3, 2)  # (B, 64, H / 2, W / 2) -> (B, 64, H / 4, W / 4)
        hidden_states = (maps,)
        for stage in self.stages:
            maps = stage(maps)  # (B, C, ...) -> (B, D, ...)
            hidden_states += (maps,)
        feature_maps = tuple(
            state for name, state in zip(self.stage_names, hidden_states, strict=True) if name in self.out_features
        )
        return BackboneOutput(
            feature_maps=feature_maps, hidden_states=hidden_states if output_hidden_states else None, attentions=None
        )


__all__ = ["CaffeResNetBackbone", "CaffeResNetPreTrainedModel"]
