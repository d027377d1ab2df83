"""Checkpoints of the original detector (lichengunc/mask-faster-rcnn, PyTorch 0.2) into ours."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...conversion.folders import build_model, write_folder
from ...conversion.sources import Source, as_given, build_state_dict
from ...conversion.torch_pickles import read_named_arrays
from ...data.coco_categories import NOUNS
from ...writing import require_new
from ..caffe_resnet.configuration_caffe_resnet import CaffeResNetConfig
from .configuration_mask_rcnn import MaskRcnnConfig
from .modeling_mask_rcnn import MaskRcnnForInstanceSegmentation

LAYERS = {"reduce": ("conv1", "bn1"), "convolve": ("conv2", "bn2"), "expand": ("conv3", "bn3")}
SHORTCUT = ("downsample.0", "downsample.1")
HEADS = {
    "rpn.convolution": "rpn_net",
    "rpn.class_logits": "rpn_cls_score_net",
    "rpn.box_deltas": "rpn_bbox_pred_net",
    "head.class_logits": "cls_score_net",
    "head.box_deltas": "bbox_pred_net",
    "mask_branch.upsampling": "mask_up_sampling",
    "mask_branch.mask_logits": "mask_pred_net",
}
UNUSED = ("resnet.fc.weight", "resnet.fc.bias")  # ImageNet's classifier, stored and never run


def stem_convolution(kernel: np.ndarray) -> np.ndarray:
    """The first kernel takes BGR; ours takes RGB: (64, 3, 7, 7) -> (64, 3, 7, 7)."""
    return kernel[:, ::-1]


def normalized_sources(ours: str, convolution: str, normalization: str, build=as_given) -> dict[str, Source]:
    """Sources of one [`NormalizedConvolution`]."""
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{ours}.convolution.weight": Source((f"{convolution}.weight",), build)} | {
        f"{ours}.normalization.{part}": Source((f"{normalization}.{part}",), as_given) for part in parts
    }


def stage_sources(ours: str, original: str, depth: int) -> dict[str, Source]:
    """Sources of one stage of the ResNet."""
    sources = {}
    for unit in range(depth):
        names = LAYERS | ({"shortcut": SHORTCUT} if unit == 0 else {})
        for layer, (convolution, normalization) in names.items():
            prefix = f"{original}.{unit}"
            sources |= normalized_sources(
                f"{ours}.{unit}.{layer}", f"{prefix}.{convolution}", f"{prefix}.{normalization}"
            )
    return sources


def mask_rcnn_sources(config: MaskRcnnConfig, prefix: str = "") -> dict[str, Source]:
    """Sources of every tensor of the model, whose names start with `prefix` where it is part of another one."""
    sources = normalized_sources(f"{prefix}backbone.stem", "resnet.conv1", "resnet.bn1", stem_convolution)
    for stage, depth in enumerate(config.backbone_config.depths):
        sources |= stage_sources(f"{prefix}backbone.stages.{stage}", f"resnet.layer{stage + 1}", depth)
    sources |= stage_sources(f"{prefix}head.stage", "resnet.layer4", config.head_depth)
    for ours, original in HEADS.items():
        for part in ("weight", "bias"):
            sources[f"{prefix}{ours}.{part}"] = Source((f"{original}.{part}",), as_given)
    return sources


def unused_names(arrays: Mapping[str, np.ndarray]) -> set[str]:
    """Names that the published graph stores and never uses; later versions of PyTorch added counters."""
    return {*UNUSED, *(name for name in arrays if name.endswith(".num_batches_tracked"))}


def stage_depth(arrays: Mapping[str, np.ndarray], layer: int) -> int:
    """How many units a stage has: they are numbered from 0; at least 1, so that a missing one is told as missing."""
    units = [re.match(rf"resnet\.layer{layer}\.(\d+)\.", name) for name in arrays]
    return max((int(unit[1]) + 1 for unit in units if unit), default=1)


def infer_config(arrays: Mapping[str, np.ndarray]) -> MaskRcnnConfig:
    """The configuration whose sizes the arrays have; categories are COCO's where there are 80 of them."""
    try:
        num_labels = arrays["cls_score_net.weight"].shape[0] - 1
        hidden_size = arrays["rpn_net.weight"].shape[0]
    except KeyError as error:
        raise ValueError(f"not a checkpoint of mask-faster-rcnn: the array {error} is missing") from error
    *depths, head_depth = (stage_depth(arrays, layer) for layer in (1, 2, 3, 4))
    backbone = CaffeResNetConfig(
        hidden_sizes=(256, 512, 1024), depths=depths, output_stride=16, batch_norm_eps=1e-5, padding="symmetric"
    )
    names = {"id2label": dict(enumerate(NOUNS))} if num_labels == 80 else {"num_labels": num_labels}
    return MaskRcnnConfig(backbone_config=backbone, head_depth=head_depth, rpn_hidden_size=hidden_size, **names)


def load_original(checkpoint: Mapping[str, np.ndarray] | str | Path) -> MaskRcnnForInstanceSegmentation:
    """
    The model with the weights of an original checkpoint, in eval mode.

    Args:
        checkpoint: the `.pth` state dict of the original, or see [`read_named_arrays`].

    Raises:
        FileNotFoundError, ValueError: no such file; not such a checkpoint; missing or unknown arrays, listed.
    """
    arrays = read_named_arrays(checkpoint)
    config = infer_config(arrays)
    state_dict = build_state_dict(arrays, mask_rcnn_sources(config), unused_names(arrays))
    return build_model(MaskRcnnForInstanceSegmentation, config, state_dict)


def convert(checkpoint: Mapping[str, np.ndarray] | str | Path, output: str | Path) -> Path:
    """
    Write a folder that `AutoModel` and `AutoImageProcessor` load.

    Args:
        checkpoint: as of `load_original`.
        output: the new folder; it must not exist.
    """
    from .image_processing_mask_rcnn import MaskRcnnImageProcessor

    require_new(output)
    return write_folder([load_original(checkpoint), MaskRcnnImageProcessor()], output)
