"""Configuration of the Caffe-style ResNet: dilated below the R+ and D+ rows of Liu et al. 2017, or in a detector."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.backbone_utils import BackboneConfigMixin

from ..checked_sizes import CheckedSizes


@strict
class CaffeResNetConfig(CheckedSizes, BackboneConfigMixin, PreTrainedConfig):
    r"""
    Defaults are ResNet-101 at output stride 8, as Liu et al. 2017 run it.

    Args:
        num_channels: channels of the input image.
        stem_size: channels of the 7x7 stride-2 stem convolution.
        hidden_sizes: output channels of the stages; the bottleneck inside is a quarter of it.
        depths: number of bottleneck units of the stages; a detector has three, the fourth is its head.
        output_stride: 8, 16 or 32; stages that would go further are dilated instead, in every unit.
        batch_norm_eps: 1e-3 in TensorFlow (Caffe and torch use 1e-5).
        padding: "same" as TensorFlow pads at stride 2, or "symmetric" as Caffe and torch do.
        freeze_batch_norm: use the stored statistics always; False trains batch normalization from scratch.
        out_features / out_indices: which of "stem", "stage1" ... "stage4" are returned; the last by default.
    """

    model_type = "refseg_caffe_resnet"

    num_channels: int = 3
    stem_size: int = 64
    hidden_sizes: list[int] | tuple[int, ...] = (256, 512, 1024, 2048)
    depths: list[int] | tuple[int, ...] = (3, 4, 23, 3)
    output_stride: int = 8
    batch_norm_eps: float = 1e-3
    padding: Literal["same", "symmetric"] = "same"
    freeze_batch_norm: bool = True

    def __post_init__(self, **kwargs):
        self.hidden_sizes, self.depths = list(self.hidden_sizes), list(self.depths)
        self.stage_names = ["stem"] + [f"stage{i + 1}" for i in range(len(self.depths))]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        super().validate_architecture()
        if self.output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride must be 8, 16 or 32, got {self.output_stride}")
        if len(self.hidden_sizes) != len(self.depths):
            raise ValueError(
                f"hidden_sizes and depths describe the same stages, got {len(self.hidden_sizes)} and {len(self.depths)}"
            )
        if any(size % 4 for size in self.hidden_sizes):
            raise ValueError(f"hidden_sizes must be multiples of 4 (bottleneck is a quarter), got {self.hidden_sizes}")


__all__ = ["CaffeResNetConfig"]
