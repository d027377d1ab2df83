"""Configuration of the MobileNetV2 backbone (transformers has the model, but not as a backbone)."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.backbone_utils import BackboneConfigMixin

from ..checked_sizes import CheckedSizes


@strict
class RefSegMobileNetV2Config(CheckedSizes, BackboneConfigMixin, PreTrainedConfig):
    """The fields of transformers' `MobileNetV2Config`, and which feature maps leave the network.

    (Importing that class costs seconds, which is why it is no base class of this one.)

    Stages and their channels at `depth_multiplier=1`: `stem` (16, stride 2), `stage1` (24, stride 4), `stage2` (32,
    stride 8), `stage3` (96, stride 16), `stage4` (320, stride 16 at `output_stride=16`) and `deeplab`: `stage4`, the
    256 channels of the DeepLabV3 projection and its class logits side by side (320 + 256 + `num_labels`).

    Args:
        num_channels: channels of the input image.
        depth_multiplier: factor on the channels of every layer.
        depth_divisible_by: channels are rounded to multiples of it.
        min_depth: smallest number of channels.
        expand_ratio: channels inside an inverted residual block, as a factor of its input's.
        output_stride: 8, 16 or 32; layers that would go further are dilated instead.
        first_layer_is_expansion: the first convolution is the expansion of the first block.
        finegrained_output: of the classifier below 1x depth; kept for transformers' layers, without effect here.
        hidden_act: activation of every layer.
        tf_padding: TensorFlow's SAME padding.
        classifier_dropout_prob: dropout of the DeepLab head, which stays in evaluation mode.
        initializer_range: standard deviation of new weights.
        layer_norm_eps: eps of batch normalization.
        out_features: names of the stages to return, in order; the last stage when omitted.
        out_indices: the same as positions; give one of the two.
    """

    model_type = "refseg_mobilenet_v2"

    num_channels: int = 3
    depth_multiplier: float | int = 1.0
    depth_divisible_by: int = 8
    min_depth: int = 8
    expand_ratio: float | int = 6.0
    output_stride: int = 32
    first_layer_is_expansion: bool = True
    finegrained_output: bool = True
    hidden_act: str = "relu6"
    tf_padding: bool = True
    classifier_dropout_prob: float | int = 0.8
    initializer_range: float = 0.02
    layer_norm_eps: float = 0.001

    def __post_init__(self, **kwargs):
        self.stage_names = ["stem", "stage1", "stage2", "stage3", "stage4", "deeplab"]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)


__all__ = ["RefSegMobileNetV2Config"]
