"""Configuration of NanoDet-Plus, a small detector for photos, with a mask head of this package's."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from ..shufflenet_pan.configuration_shufflenet_pan import ShuffleNetPanConfig

# What the detector reads of its trunk: the stem and the first stage for masks, the pyramid for everything.
FEATURES = ("stem", "stage1", "pyramid1", "pyramid2", "pyramid3", "pyramid4")


@strict
class NanoDetConfig(PreTrainedConfig):
    r"""
    Defaults are NanoDet-Plus-m of the 80 COCO categories; `id2label` / `num_labels` give others.

    Args:
        backbone_config: [`ShuffleNetPanConfig`] with `out_features` of `FEATURES`.
        head_kernel_size: side of the depthwise kernels of the head.
        head_depth: separable convolutions of the head of each level.
        num_bins: distances in strides, from 0 up, among which each side of a box is distributed.
        score_threshold: least score of a detection. Where each image needs one, as in MAttNet, it is lowered for an
            image in which nothing reaches it, to the score of the surest.
        pre_nms_top_n: scores of an image, the best ones, that take part in the suppression.
        nms_threshold: a detection goes that overlaps a better one of its category by more than this IoU.
        any_class_nms_threshold: one goes that overlaps a better one of any category by more than this IoU.
        max_detections: of an image at most, the surest.
        num_voters: points whose boxes overlap a region most, and say what is in it.
        has_masks: whether there is a mask head; the published weights have none.
        mask_hidden_size: channels of the mask head.
        mask_dilations: of the residual 3x3 convolutions of the mask head.
        detail_size: channels of the fine maps that it draws outlines with.
        crop_size: cells per side of a region's crop; its mask has twice as many.
        mask_positive_weight: weight in the cross-entropy of the part of a cell that is covered, since a small head is
            too careful there.
        mask_odds: training with this weight, and with the Dice loss, makes the odds of a covered cell too large by this
            factor. It is divided out before a mask is ended where its expected IoU is largest.
        mask_dice_weight: weight of the Dice loss beside the cross-entropy of pixels.
        jitter: in training each box is also seen with its sides moved by up to this share of its size.
        masks_per_image: boxes, true and moved ones, on which an image trains the mask head.
    """

    model_type = "refseg_nanodet"
    sub_configs_defaults = {
        "backbone_config": SubConfigSpec(
            config_class=AutoConfig,
            model_type=ShuffleNetPanConfig.model_type,
            init_kwargs={"out_features": list(FEATURES)},
        )
    }

    backbone_config: dict | PreTrainedConfig | None = None
    head_kernel_size: int = 5
    head_depth: int = 2
    num_bins: int = 8
    score_threshold: float = 0.05
    pre_nms_top_n: int = 1000
    nms_threshold: float = 0.6
    any_class_nms_threshold: float = 0.85
    max_detections: int = 100
    num_voters: int = 16
    has_masks: bool = True
    mask_hidden_size: int = 80
    mask_dilations: list[int] | tuple[int, ...] = (1, 2, 4)
    detail_size: int = 12
    crop_size: int = 14
    mask_positive_weight: float | int = 1.8
    mask_odds: float | int = 1.6
    mask_dice_weight: float | int = 1.0
    jitter: float = 0.1
    masks_per_image: int = 16

    def __post_init__(self, **kwargs):
        if self.id2label is None:
            kwargs.setdefault("num_labels", 80)
        super().__post_init__(**kwargs)

    @property
    def head_size(self) -> int:
        """Channels of what masks are drawn from: the mask head's, and four fine cells for each of the crop's."""
        return self.mask_hidden_size + 4 * self.detail_size

    def validate_architecture(self):
        super().validate_architecture()
        backbone = self.backbone_config
        if backbone.model_type != ShuffleNetPanConfig.model_type or tuple(backbone.out_features) != FEATURES:
            raise ValueError(
                f"backbone_config is a {backbone.model_type} with out_features={list(backbone.out_features)}; NanoDet "
                f"reads {list(FEATURES)} of a {ShuffleNetPanConfig.model_type}"
            )
        for name in ("score_threshold", "nms_threshold", "any_class_nms_threshold"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is above 0 and at most 1")
        for name in ("head_depth", "pre_nms_top_n", "max_detections", "num_voters", "crop_size", "masks_per_image"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least 1")
        for name in ("mask_positive_weight", "mask_odds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is above 0")
        if self.num_bins < 2:
            raise ValueError(f"num_bins is {self.num_bins}; a side needs at least the distances 0 and 1")


__all__ = ["FEATURES", "NanoDetConfig"]
