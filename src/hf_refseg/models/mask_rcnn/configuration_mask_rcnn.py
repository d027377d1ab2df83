"""Configuration of Mask R-CNN (He et al. 2017) with a ResNet C4 head, the detector below MAttNet, CAC and HULANet."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import AutoConfig

from ..caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig
from ..checked_sizes import CheckedSizes


@strict
class MaskRcnnConfig(CheckedSizes, PreTrainedConfig):
    r"""
    Defaults are MAttNet's ResNet-101 C4 detector of the 80 COCO categories; `id2label` / `num_labels` give others.

    Args:
        backbone_config: any `AutoBackbone` configuration; its last feature map is used. The paper's is conv1 to layer3
            of a Caffe-style ResNet-101, at stride 16.
        feature_stride: pixels of the network's input per cell of that feature map.
        head_depth: residual units of the head that reads each region's crop (ResNet's layer4 with stride 1).
        head_size: output channels of the head.
        batch_norm_eps: of the head's batch normalization.
        freeze_batch_norm: use the head's stored statistics always; False trains them, for training from scratch.
        crop_size: cells per side of a region's crop.
        crop: "grid" samples the map at `crop_size` points per side from edge to edge, both ends included (published);
            "align" is RoIAlign (He et al. 2017), which averages four samples in each cell.
        mask_hidden_size: channels of the mask branch after its upsampling by two.
        rpn_hidden_size: channels of the region proposal network.
        anchor_base_size: side of the square from which anchors are made, in pixels of the network's input.
        anchor_ratios, anchor_scales: height / width, and multiples of the base side.
        box_std: what the head's box deltas are divided by in training and multiplied by in use.
        pre_nms_top_n, post_nms_top_n: proposals before and after non-maximum suppression, in use.
        train_pre_nms_top_n, train_post_nms_top_n: the same in training.
        rpn_nms_threshold: a proposal goes that overlaps a better one by more than this IoU.
        nms_threshold: a detection goes that overlaps a better one of its category by at least this IoU.
        score_threshold: least probability of a detection. Where each image needs one, as in MAttNet, it is lowered by
            0.1 at a time for an image in which nothing reaches it, down to 0.
        max_detections: of an image at most, the surest; the published code has no limit, which a photo of nothing
            turns into thousands.
        rpn_batch_size, rpn_positive_fraction: sampled anchors per image, and the largest share of positive ones.
        rpn_positive_iou, rpn_negative_iou: an anchor is positive from the first IoU on, negative below the second.
        roi_batch_size, roi_positive_fraction: sampled proposals per image, and the largest share of positive ones.
        roi_positive_iou: a proposal is positive from this IoU on, and background below it.
        add_ground_truth: put the true boxes among the proposals of a training step; the paper does only where no
            proposal is positive, which is slow to start from scratch.
    """

    model_type = "refseg_mask_rcnn"
    sub_configs_defaults = {
        "backbone_config": SubConfigSpec(
            config_class=AutoConfig,
            model_type=CaffeResNetConfig.model_type,
            init_kwargs={
                "hidden_sizes": (256, 512, 1024),
                "depths": (3, 4, 23),
                "output_stride": 16,
                "batch_norm_eps": 1e-5,
                "padding": "symmetric",
            },
        )
    }

    backbone_config: dict | PreTrainedConfig | None = None
    feature_stride: int = 16
    head_depth: int = 3
    head_size: int = 2048
    batch_norm_eps: float = 1e-5
    freeze_batch_norm: bool = True
    crop_size: int = 7
    crop: Literal["grid", "align"] = "grid"
    mask_hidden_size: int = 256
    rpn_hidden_size: int = 512
    anchor_base_size: int = 16
    anchor_ratios: list[float | int] | tuple[float | int, ...] = (0.5, 1, 2)
    anchor_scales: list[float | int] | tuple[float | int, ...] = (4, 8, 16, 32)
    box_std: list[float] | tuple[float, ...] = (0.1, 0.1, 0.2, 0.2)
    pre_nms_top_n: int = 6000
    post_nms_top_n: int = 300
    train_pre_nms_top_n: int = 12000
    train_post_nms_top_n: int = 2000
    rpn_nms_threshold: float = 0.7
    nms_threshold: float = 0.3
    score_threshold: float = 0.65
    max_detections: int = 100
    rpn_batch_size: int = 256
    rpn_positive_fraction: float = 0.5
    rpn_positive_iou: float = 0.7
    rpn_negative_iou: float = 0.3
    roi_batch_size: int = 256
    roi_positive_fraction: float = 0.25
    roi_positive_iou: float = 0.5
    add_ground_truth: bool = False

    def __post_init__(self, **kwargs):
        if self.id2label is None:
            kwargs.setdefault("num_labels", 80)
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        super().validate_architecture()
        if self.head_size % 4:
            raise ValueError(f"head_size is {self.head_size}; it must be a multiple of 4 (a bottleneck is a quarter)")
        for name in ("anchor_ratios", "anchor_scales"):
            if not getattr(self, name) or min(getattr(self, name)) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least one number, all above 0")
        if len(self.box_std) != 4 or min(self.box_std) <= 0:
            raise ValueError(f"box_std is {self.box_std}; give four numbers above 0, for x, y, width and height")
        for name in ("rpn_nms_threshold", "nms_threshold", "score_threshold"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is above 0 and at most 1")
        if self.max_detections < 1:
            raise ValueError(f"max_detections is {self.max_detections}; it is at least 1")
        if self.rpn_negative_iou > self.rpn_positive_iou:
            raise ValueError(
                f"rpn_negative_iou {self.rpn_negative_iou} is above rpn_positive_iou {self.rpn_positive_iou}: an "
                "anchor would be both"
            )


__all__ = ["MaskRcnnConfig"]
