"""Configuration of the fully convolutional VGG-16 below Hu et al. 2016."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.backbone_utils import BackboneConfigMixin

from ..checked_sizes import CheckedSizes


@strict
class VggFcnConfig(CheckedSizes, BackboneConfigMixin, PreTrainedConfig):
    r"""
    Defaults are VGG-16 with fc6 and fc7 as convolutions, output stride 32.

    Args:
        num_channels: channels of the input image.
        hidden_sizes: channels of the five convolutional stages.
        depths: number of 3x3 convolutions of each stage.
        fc_size: channels of fc6 and fc7.
        fc6_kernel: side of the fc6 kernel.
        fc6_padding: 3 keeps the map's size; 0 makes a 224x224 crop one cell, the dense layers of the region classifier.
        out_features / out_indices: which of "stem" (conv1 of the paper), "stage1" ... "stage4" (conv2 to conv5), each
            after its pooling, and "stage5" (fc7) are returned; the last by default.
    """

    model_type = "refseg_vgg_fcn"

    num_channels: int = 3
    hidden_sizes: list[int] | tuple[int, ...] = (64, 128, 256, 512, 512)
    depths: list[int] | tuple[int, ...] = (2, 2, 3, 3, 3)
    fc_size: int = 4096
    fc6_kernel: int = 7
    fc6_padding: int = 3

    def __post_init__(self, **kwargs):
        self.hidden_sizes, self.depths = list(self.hidden_sizes), list(self.depths)
        self.stage_names = ["stem"] + [f"stage{i + 1}" for i in range(len(self.depths))]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        super().validate_architecture()
        if len(self.hidden_sizes) != len(self.depths):
            raise ValueError(
                f"hidden_sizes and depths describe the same stages, got {len(self.hidden_sizes)} and {len(self.depths)}"
            )


__all__ = ["VggFcnConfig"]
