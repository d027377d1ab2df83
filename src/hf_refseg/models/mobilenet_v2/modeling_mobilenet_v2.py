"""MobileNetV2 (Sandler et al. 2018) with the DeepLabV3 head (Chen et al. 2017) as a backbone.

Modules and parameter names are those of transformers' `MobileNetV2ForSemanticSegmentation`, so its checkpoints load
unchanged; only the trunk's last 1x1 convolution (320 -> 1280), which no segmentation model uses, is left out.
"""

import torch
from torch import nn
from transformers.backbone_utils import BackboneMixin, filter_output_hidden_states
from transformers.modeling_outputs import BackboneOutput
from transformers.models.mobilenet_v2.modeling_mobilenet_v2 import (
    MobileNetV2DeepLabV3Plus,
    MobileNetV2Model,
    MobileNetV2PreTrainedModel,
)
from transformers.utils import can_return_tuple

from ..whole_checkpoint import WholeCheckpoint
from .configuration_mobilenet_v2 import RefSegMobileNetV2Config

# The inverted residual block that ends each stage: the last one before the stride (or the dilation) changes.
STAGE_ENDS = {1: "stage1", 4: "stage2", 11: "stage3", 15: "stage4"}


class RefSegMobileNetV2Backbone(WholeCheckpoint, BackboneMixin, MobileNetV2PreTrainedModel):
    """Feature maps of MobileNetV2, TensorFlow padding included (`tf_padding=True` in the config).

    Batch norm always uses its stored statistics: published segmentation trunks come with batch norm folded into the
    convolutions, where statistics of a batch would destroy the network.
    """

    config: RefSegMobileNetV2Config
    has_attentions = False

    def __init__(self, config: RefSegMobileNetV2Config):
        super().__init__(config)
        self.mobilenet_v2 = MobileNetV2Model(config, add_pooling_layer=False)
        self.mobilenet_v2.conv_1x1 = nn.Identity()
        self.segmentation_head = MobileNetV2DeepLabV3Plus(config) if "deeplab" in config.out_features else None
        blocks = self.mobilenet_v2.layer
        widths = [blocks[end].reduce_1x1.convolution.out_channels for end in STAGE_ENDS]
        stem_width = self.mobilenet_v2.conv_stem.reduce_1x1.convolution.out_channels
        self.num_features = [stem_width, *widths, widths[-1] + 256 + config.num_labels]
        self.post_init()

    def train(self, mode: bool = True):
        """Keeps batch norm (and the head's dropout) in evaluation mode, whatever `mode` is; gradients still flow."""
        super().train(mode)
        self.mobilenet_v2.eval()
        if self.segmentation_head is not None:
            self.segmentation_head.eval()
        return self

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
            pixel_values: (B, 3, H, W) float, RGB as (x - 128) / 128.

        Returns:
            BackboneOutput: `feature_maps` (B, C, ceil(H / stride), ceil(W / stride)) in the order of `out_features`.
        """
        features = self.mobilenet_v2.conv_stem(pixel_values)  # (B, 3, H, W) -> (B, 16, H/2, W/2)
        maps = {"stem": features}
        for index, block in enumerate(self.mobilenet_v2.layer):
            features = block(features)  # (B, C, h, w) -> (B, C', h/s, w/s)
            if index in STAGE_ENDS:
                maps[STAGE_ENDS[index]] = features
        if self.segmentation_head is not None:
            maps["deeplab"] = self._deeplab_maps(features)
        return BackboneOutput(
            feature_maps=tuple(maps[name] for name in self.out_features),
            hidden_states=tuple(maps.values()) if output_hidden_states else None,
        )

    def _deeplab_maps(self, features: torch.Tensor) -> torch.Tensor:
        """(B, 320, h, w) -> (B, 320 + 256 + num_labels, h, w): trunk, projection and class logits."""
        head = self.segmentation_head
        pooled = head.conv_pool(head.avg_pool(features)).expand(-1, -1, *features.shape[-2:])  # (B, 256, h, w)
        projection = head.conv_projection(torch.cat([pooled, head.conv_aspp(features)], dim=1))  # (B, 256, h, w)
        return torch.cat([features, projection, head.classifier(projection)], dim=1)


__all__ = ["RefSegMobileNetV2Backbone"]
