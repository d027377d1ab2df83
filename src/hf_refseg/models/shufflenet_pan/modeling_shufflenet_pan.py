"""
ShuffleNetV2 (Ma et al., ECCV 2018) below a path aggregation pyramid (Liu et al., CVPR 2018) of Ghost bottlenecks
(Han et al., CVPR 2020): the trunk of NanoDet-Plus.

Its three stages have strides 8, 16 and 32. The pyramid goes down from the coarse maps to the fine ones and up again, so
that each of its levels has seen all three stages, and adds a level of stride 64. The published weights have batch
normalization folded into the convolutions, so there is none here.

B images, C channels, (h, w) a feature map.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.backbone_utils import BackboneMixin, filter_output_hidden_states
from transformers.modeling_outputs import BackboneOutput
from transformers.utils import can_return_tuple

from ...layers.packed_convolution import PackedConvolution
from ..whole_checkpoint import WholeCheckpoint
from .configuration_shufflenet_pan import ShuffleNetPanConfig

SIDE_MULTIPLE = 32  # stride of the last stage: on other sides the levels of the pyramid do not fit together


class ActivatedConvolution(nn.Module):
    """Convolution and leaky ReLU: (B, C, h, w) -> (B, D, ceil(h / stride), ceil(w / stride))."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        negative_slope: float = 0.1,
    ):
        super().__init__()
        self.convolution = PackedConvolution(
            in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, slope=negative_slope
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.convolution(maps)


def depthwise(channels: int, kernel: int, stride: int = 1, slope: float | None = None) -> PackedConvolution:
    """A kernel per channel, without activation unless there is a slope."""
    return PackedConvolution(channels, channels, kernel, stride, kernel // 2, groups=channels, slope=slope)


class SeparableConvolution(nn.Sequential):
    """Depthwise, then 1x1, each with its leaky ReLU: (B, C, h, w) -> (B, C, ceil(h / stride), ceil(w / stride))."""

    def __init__(self, channels: int, kernel: int, stride: int, negative_slope: float):
        super().__init__(
            ActivatedConvolution(channels, channels, kernel, stride, channels, negative_slope),
            ActivatedConvolution(channels, channels, negative_slope=negative_slope),
        )


# ---- ShuffleNetV2 ----


def shuffle_channels(maps: torch.Tensor) -> torch.Tensor:
    """Takes turns between the two halves of the channels, so that the next unit splits them otherwise."""
    halves = maps.unflatten(1, (2, -1))  # (B, C, h, w) -> (B, 2, C / 2, h, w)
    return halves.transpose(1, 2).flatten(1, 2)  # -> (B, C, h, w)


class ShuffleUnit(nn.Module):
    """
    One half of the channels passes, the other is convolved (Ma et al., Fig. 3 c and d).

    With stride 2 both halves are made of all channels: (B, C, h, w) -> (B, D, h / stride, w / stride).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, negative_slope: float):
        super().__init__()
        half = out_channels // 2
        self.stride = stride
        if stride == 2:
            self.shortcut = nn.Sequential(
                depthwise(in_channels, 3, stride),
                ActivatedConvolution(in_channels, half, negative_slope=negative_slope),
            )
        self.branch = nn.Sequential(
            ActivatedConvolution(in_channels if stride == 2 else half, half, negative_slope=negative_slope),
            depthwise(half, 3, stride),
            ActivatedConvolution(half, half, negative_slope=negative_slope),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        if self.stride == 2:
            halves = [self.shortcut(maps), self.branch(maps)]
        else:
            passed, convolved = maps.chunk(2, dim=1)  # (B, C, h, w) -> 2 x (B, C / 2, h, w)
            halves = [passed, self.branch(convolved)]
        return shuffle_channels(torch.cat(halves, dim=1))


def shuffle_stage(in_channels: int, out_channels: int, depth: int, negative_slope: float) -> nn.Sequential:
    """A unit of stride 2, and `depth - 1` of stride 1."""
    first = ShuffleUnit(in_channels, out_channels, 2, negative_slope)
    return nn.Sequential(first, *(ShuffleUnit(out_channels, out_channels, 1, negative_slope) for _ in range(depth - 1)))


# ---- The pyramid ----


class GhostConvolution(nn.Module):
    """Half of the output is computed, the other half made of it by a cheap depthwise kernel (Han et al., Eq. 3)."""

    def __init__(self, in_channels: int, out_channels: int, slope: float | None):
        super().__init__()
        self.primary = PackedConvolution(in_channels, out_channels // 2, 1, slope=slope)
        self.cheap = depthwise(out_channels // 2, 3, slope=slope)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, D, h, w)."""
        primary = self.primary(maps)  # (B, C, h, w) -> (B, D / 2, h, w)
        return torch.cat([primary, self.cheap(primary)], dim=1)  # -> (B, D, h, w)


class GhostBottleneck(nn.Module):
    """Two Ghost convolutions beside a separable shortcut: (B, 2D, h, w) -> (B, D, h, w)."""

    def __init__(self, channels: int, kernel: int, negative_slope: float):
        super().__init__()
        self.expand = GhostConvolution(2 * channels, channels, negative_slope)
        self.project = GhostConvolution(channels, channels, None)
        self.shortcut = nn.Sequential(depthwise(2 * channels, kernel), PackedConvolution(2 * channels, channels, 1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        separate, mix = self.shortcut
        return mix(separate(maps), added=self.project(self.expand(maps)))


class GhostPyramid(nn.Module):
    """Four levels of strides 8, 16, 32 and 64 that have all seen the three stages."""

    def __init__(self, config: ShuffleNetPanConfig):
        super().__init__()
        size, kernel, slope = config.pyramid_size, config.pyramid_kernel_size, config.negative_slope
        self.reduce = nn.ModuleList(
            ActivatedConvolution(channels, size, negative_slope=slope) for channels in config.hidden_sizes
        )
        # fine to coarse, as all lists here
        self.top_down = nn.ModuleList(GhostBottleneck(size, kernel, slope) for _ in range(2))
        self.downsample = nn.ModuleList(SeparableConvolution(size, kernel, 2, slope) for _ in range(2))
        self.bottom_up = nn.ModuleList(GhostBottleneck(size, kernel, slope) for _ in range(2))
        self.extra_of_stage = SeparableConvolution(size, kernel, 2, slope)
        self.extra_of_level = SeparableConvolution(size, kernel, 2, slope)

    def forward(self, stages: list[torch.Tensor]) -> list[torch.Tensor]:
        """3 x (B, C_i, h_i, w_i), fine to coarse -> 4 x (B, D, h_i, w_i)."""
        fine, middle, coarse = (reduce(maps) for reduce, maps in zip(self.reduce, stages, strict=True))
        # top down: what is seen far away tells the fine maps
        middle = self.top_down[1](torch.cat([upsample(coarse), middle], dim=1))  # (B, 2D, h, w) -> (B, D, h, w)
        fine = self.top_down[0](torch.cat([upsample(middle), fine], dim=1))
        # bottom up: where exactly it is tells the coarse ones
        middle = self.bottom_up[0](torch.cat([self.downsample[0](fine), middle], dim=1))
        coarsest = self.bottom_up[1](torch.cat([self.downsample[1](middle), coarse], dim=1))
        return [fine, middle, coarsest, self.extra_of_stage(coarse) + self.extra_of_level(coarsest)]


def upsample(maps: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) -> (B, C, 2h, 2w)."""
    return F.interpolate(maps, scale_factor=2, mode="bilinear")


# ---- The backbone ----


class ShuffleNetPanPreTrainedModel(WholeCheckpoint, PreTrainedModel):
    config: ShuffleNetPanConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _no_split_modules = ["ShuffleUnit", "GhostBottleneck"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, a=self.config.negative_slope, mode="fan_in", nonlinearity="leaky_relu")
            init.zeros_(module.bias)


class ShuffleNetPanBackbone(BackboneMixin, ShuffleNetPanPreTrainedModel):
    """Stem and stages of ShuffleNetV2, and the levels of the pyramid over them where one of these is asked for."""

    has_attentions = False

    def __init__(self, config: ShuffleNetPanConfig):
        super().__init__(config)
        sizes, slope = [config.stem_size, *config.hidden_sizes], config.negative_slope
        self.num_features = [*sizes, *(config.pyramid_size for _ in range(4))]
        self.stem = ActivatedConvolution(config.num_channels, config.stem_size, 3, 2, negative_slope=slope)
        self.stages = nn.ModuleList(
            shuffle_stage(channels, out_channels, depth, slope)
            for (channels, out_channels), depth in zip(pairwise(sizes), config.depths, strict=True)
        )
        self.pyramid = None
        if any(name.startswith("pyramid") for name in config.out_features):
            self.pyramid = GhostPyramid(config)
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
            pixel_values: (B, 3, H, W) RGB, normalized; the sides are multiples of 32 where there is a pyramid.

        Returns:
            `feature_maps`: one (B, C, ceil(H / s), ceil(W / s)) per requested stage or level.

        Raises:
            ValueError: sides that are not multiples of 32, with a pyramid.
        """
        if self.pyramid is not None and any(side % SIDE_MULTIPLE for side in pixel_values.shape[-2:]):
            raise ValueError(
                f"pixel_values are of {tuple(pixel_values.shape[-2:])} pixels (height, width), but the levels of the "
                f"pyramid only fit together on multiples of {SIDE_MULTIPLE}: pad them with zeros at the right and "
                "bottom"
            )
        maps = F.max_pool2d(self.stem(pixel_values), 3, 2, padding=1)  # (B, 3, H, W) -> (B, C, H / 4, W / 4)
        hidden_states = [maps]
        for stage in self.stages:
            maps = stage(maps)  # (B, C, h, w) -> (B, D, h / 2, w / 2)
            hidden_states.append(maps)
        if self.pyramid is not None:
            hidden_states += self.pyramid(hidden_states[1:])
        of_name = dict(zip(self.stage_names, hidden_states, strict=False))
        return BackboneOutput(
            feature_maps=tuple(of_name[name] for name in self.out_features),
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
        )


__all__ = ["SIDE_MULTIPLE", "ShuffleNetPanBackbone", "ShuffleNetPanPreTrainedModel"]
