"""Configuration of the MobileNetV2 backbone (transformers has the model, but not as a backbone)."""

from transformers import MobileNetV2Config
from transformers.backbone_utils import BackboneConfigMixin
from transformers.models.auto.configuration_auto import AutoConfig


class RefSegMobileNetV2Config(BackboneConfigMixin, MobileNetV2Config):
    """A `MobileNetV2Config` that says which feature maps leave the network.

    Stages and their channels at `depth_multiplier=1`: `stem` (16, stride 2), `stage1` (24, stride 4), `stage2` (32,
    stride 8), `stage3` (96, stride 16), `stage4` (320, stride 16 at `output_stride=16`) and `deeplab`: `stage4`, the
    256 channels of the DeepLabV3 projection and its class logits side by side (320 + 256 + `num_labels`).

    Args:
        out_features: names of the stages to return, in order; the last stage when omitted.
        out_indices: the same as positions; give one of the two.
    """

    model_type = "refseg_mobilenet_v2"

    def __post_init__(self, **kwargs):
        self.stage_names = ["stem", "stage1", "stage2", "stage3", "stage4", "deeplab"]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)


AutoConfig.register(RefSegMobileNetV2Config.model_type, RefSegMobileNetV2Config, exist_ok=True)

__all__ = ["RefSegMobileNetV2Config"]
