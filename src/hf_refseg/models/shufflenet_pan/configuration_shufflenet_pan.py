"""Configuration of ShuffleNetV2 with the Ghost pyramid, the trunk of NanoDet-Plus."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.backbone_utils import BackboneConfigMixin


@strict
class ShuffleNetPanConfig(BackboneConfigMixin, PreTrainedConfig):
    r"""
    Defaults are the trunk of NanoDet-Plus-m: ShuffleNetV2 at width 1.0 below four levels of 96 channels.

    Feature maps by name: `stem` (stride 4), `stage1`, `stage2`, `stage3` (strides 8, 16 and 32), and the levels of the
    pyramid, `pyramid1` to `pyramid4` (strides 8, 16, 32 and 64).

    Args:
        num_channels: channels of the input image.
        stem_size: channels of the 3x3 stride-2 stem convolution.
        hidden_sizes: output channels of the three stages.
        depths: units of the stages; the first unit of each has stride 2.
        pyramid_size: channels of every level of the pyramid.
        pyramid_kernel_size: side of the depthwise kernels that lead from level to level.
        negative_slope: of every leaky ReLU.
        out_features / out_indices: which feature maps are returned; the last one by default.
    """

    model_type = "refseg_shufflenet_pan"

    num_channels: int = 3
    stem_size: int = 24
    hidden_sizes: list[int] | tuple[int, ...] = (116, 232, 464)
    depths: list[int] | tuple[int, ...] = (4, 8, 4)
    pyramid_size: int = 96
    pyramid_kernel_size: int = 5
    negative_slope: float = 0.1

    def __post_init__(self, **kwargs):
        self.hidden_sizes, self.depths = list(self.hidden_sizes), list(self.depths)
        self.stage_names = ["stem", *(f"stage{i}" for i in (1, 2, 3)), *(f"pyramid{i}" for i in (1, 2, 3, 4))]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        super().validate_architecture()
        for name in ("hidden_sizes", "depths"):
            if len(getattr(self, name)) != 3:
                raise ValueError(f"{name} is {getattr(self, name)}; give three numbers, for strides 8, 16 and 32")
        halved = [*self.hidden_sizes, self.pyramid_size]
        if any(size % 2 for size in halved):
            raise ValueError(
                f"hidden_sizes and pyramid_size are {self.hidden_sizes} and {self.pyramid_size}; give even numbers: "
                "every unit splits its channels in two halves"
            )
        if not self.pyramid_kernel_size % 2:
            raise ValueError(f"pyramid_kernel_size is {self.pyramid_kernel_size}; give an odd number")


__all__ = ["ShuffleNetPanConfig"]
