"""VGG-16 (Simonyan and Zisserman 2015) as a fully convolutional network (Long et al. 2015) for Hu et al. 2016."""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.backbone_utils import BackboneMixin, filter_output_hidden_states
from transformers.modeling_outputs import BackboneOutput
from transformers.utils import can_return_tuple

from ...layers.packed_convolution import PackedConvolution
from ...layers.recomputed_layer import RecomputedLayer
from ..whole_checkpoint import WholeCheckpoint
from .configuration_vgg_fcn import VggFcnConfig


class VggFcnStage(RecomputedLayer):
    """3x3 convolutions with ReLU, then 2x2 max-pooling: (B, C, H, W) -> (B, D, ceil(H / 2), ceil(W / 2))."""

    def __init__(self, in_channels: int, out_channels: int, depth: int):
        super().__init__()
        self.convolutions = nn.ModuleList(
            PackedConvolution(in_channels if i == 0 else out_channels, out_channels, 3, padding=1, slope=0)
            for i in range(depth)
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.recomputed(self.convolve, maps)

    def convolve(self, maps: torch.Tensor) -> torch.Tensor:
        for convolution in self.convolutions:
            maps = convolution(maps)  # (B, C, H, W) -> (B, D, H, W)
        return F.max_pool2d(maps, 2, ceil_mode=True)  # (B, D, H, W) -> (B, D, ceil(H / 2), ceil(W / 2))


class VggFcnPreTrainedModel(WholeCheckpoint, PreTrainedModel):
    config: VggFcnConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _no_split_modules = ["VggFcnStage"]
    supports_gradient_checkpointing = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class VggFcnBackbone(BackboneMixin, VggFcnPreTrainedModel):
    """Five stages to stride 32, then fc6 (7x7) and fc7 (1x1) as convolutions."""

    has_attentions = False

    def __init__(self, config: VggFcnConfig):
        super().__init__(config)
        self.num_features = [*config.hidden_sizes, config.fc_size]
        channels = [config.num_channels, *config.hidden_sizes]
        self.stages = nn.ModuleList(
            VggFcnStage(channels[i], channels[i + 1], depth) for i, depth in enumerate(config.depths)
        )
        self.fc6 = PackedConvolution(
            channels[-1], config.fc_size, config.fc6_kernel, padding=config.fc6_padding, slope=0
        )
        self.fc7 = PackedConvolution(config.fc_size, config.fc_size, 1, slope=0)
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
            `feature_maps`: one map per requested stage; the last, fc7, is (B, 4096, ceil(H / 32), ceil(W / 32)).
        """
        maps, hidden_states = pixel_values, ()
        for stage in self.stages:
            maps = stage(maps)  # (B, C, H, W) -> (B, D, ceil(H / 2), ceil(W / 2))
            hidden_states += (maps,)
        maps = self.fc6(maps)  # (B, 512, h, w) -> (B, 4096, h, w); (B, 4096, 1, 1) unpadded
        hidden_states += (self.fc7(maps),)
        feature_maps = tuple(
            state for name, state in zip(self.stage_names, hidden_states, strict=True) if name in self.out_features
        )
        return BackboneOutput(
            feature_maps=feature_maps, hidden_states=hidden_states if output_hidden_states else None, attentions=None
        )


__all__ = ["VggFcnBackbone", "VggFcnPreTrainedModel"]
