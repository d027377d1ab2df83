"""
The weights of NanoDet-Plus-m (RangiLyu, Apache-2.0) into ours, as the ncnn file holds them: batch normalization folded
into the convolutions, and every convolution under the number that it had in the exported graph.

They find boxes and categories; there is no mask head in them.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...conversion.folders import build_model, write_folder
from ...conversion.sources import Source, as_given, build_state_dict
from ...conversion.torch_pickles import read_named_arrays
from ...data.coco_categories import NOUNS
from ...writing import require_new
from ..shufflenet_pan.configuration_shufflenet_pan import ShuffleNetPanConfig
from .configuration_nanodet import FEATURES, NanoDetConfig
from .modeling_nanodet import NanoDetForInstanceSegmentation

STEM = "Conv_0"
# Of each stage the number of the first convolution of its first unit, and of its second unit; later units follow in
# steps of 25.
STAGES, STEP_OF_UNITS = ((3, 31), (92, 120), (281, 309)), 25
REDUCE = (370, 372, 374)
# Ghost bottlenecks and what leads from level to level, fine to coarse.
TOP_DOWN, DOWNSAMPLE, BOTTOM_UP = (393, 379), (404, 420), (409, 425)
EXTRA_OF_STAGE, EXTRA_OF_LEVEL = 436, 440
HEADS = (445, 465, 485, 505)
# Where the convolutions of a part lie, and how far behind its first one they come.
FIRST_UNIT = {
    "shortcut.0": 0, "shortcut.1.convolution": 1, "branch.0.convolution": 3, "branch.1": 5, "branch.2.convolution": 6,
}  # fmt: skip
UNIT = {"branch.0.convolution": 0, "branch.1": 2, "branch.2.convolution": 3}
GHOST = {
    "expand.primary": 0, "expand.cheap": 2, "project.primary": 5, "project.cheap": 6, "shortcut.0": 8, "shortcut.1": 9,
}  # fmt: skip
SEPARABLE = {"0.convolution": 0, "1.convolution": 2}
HEAD = {
    "convolutions.0.0.convolution": 0, "convolutions.0.1.convolution": 2, "convolutions.1.0.convolution": 4,
    "convolutions.1.1.convolution": 6, "predictions": 8,
}  # fmt: skip


def numbered(ours: str, first: int, layers: Mapping[str, int]) -> dict[str, str]:
    """Original names of the convolutions of one part, by ours."""
    return {f"{ours}.{layer}": f"Conv_{first + offset}" for layer, offset in layers.items()}


def original_names(depths: list[int]) -> dict[str, str]:
    """Original names of all convolutions, by ours; `depths` are those of the stages."""
    names = {"backbone.stem.convolution": STEM}
    for stage, ((first, second), depth) in enumerate(zip(STAGES, depths, strict=True)):
        names |= numbered(f"backbone.stages.{stage}.0", first, FIRST_UNIT)
        for unit in range(1, depth):
            names |= numbered(f"backbone.stages.{stage}.{unit}", second + STEP_OF_UNITS * (unit - 1), UNIT)
    pyramid = "backbone.pyramid"
    names |= {f"{pyramid}.reduce.{level}.convolution": f"Conv_{first}" for level, first in enumerate(REDUCE)}
    for part, firsts, layers in (
        ("top_down", TOP_DOWN, GHOST), ("downsample", DOWNSAMPLE, SEPARABLE), ("bottom_up", BOTTOM_UP, GHOST),
    ):  # fmt: skip
        for level, first in enumerate(firsts):
            names |= numbered(f"{pyramid}.{part}.{level}", first, layers)
    names |= numbered(f"{pyramid}.extra_of_stage", EXTRA_OF_STAGE, SEPARABLE)
    names |= numbered(f"{pyramid}.extra_of_level", EXTRA_OF_LEVEL, SEPARABLE)
    for level, first in enumerate(HEADS):
        names |= numbered(f"heads.{level}", first, HEAD)
    return names


def stem_kernel(kernel: np.ndarray) -> np.ndarray:
    """The first kernel takes BGR; ours takes RGB: (24, 3, 3, 3) -> (24, 3, 3, 3)."""
    return kernel[:, ::-1]


def nanodet_sources(config: NanoDetConfig) -> dict[str, Source]:
    """Sources of every tensor of the model."""
    sources = {}
    for ours, original in original_names(config.backbone_config.depths).items():
        build = stem_kernel if original == STEM else as_given
        sources[f"{ours}.weight"] = Source((f"{original}.weight",), build)
        sources[f"{ours}.bias"] = Source((f"{original}.bias",), as_given)
    return sources


def infer_config(arrays: Mapping[str, np.ndarray]) -> NanoDetConfig:
    """The configuration whose sizes the arrays have; categories are COCO's where there are 80 of them."""
    numbers = {int(match[1]) for name in arrays if (match := re.fullmatch(r"Conv_(\d+)\.weight", name))}
    try:
        widths = [2 * len(arrays[f"Conv_{first + FIRST_UNIT['branch.0.convolution']}.weight"]) for first, _ in STAGES]
        stem_size, pyramid_size = len(arrays[f"{STEM}.weight"]), len(arrays[f"Conv_{REDUCE[0]}.weight"])
        num_labels = len(arrays[f"Conv_{HEADS[0] + HEAD['predictions']}.bias"]) - 4 * NanoDetConfig.num_bins
    except KeyError as error:
        raise ValueError(
            f"not the weights of NanoDet-Plus-m from its ncnn graph: the array {error} is missing"
        ) from error
    ends = [*(first for first, _ in STAGES[1:]), REDUCE[0]]
    depths = [
        1 + len({number for number in numbers if second <= number < end}) // len(UNIT)
        for (_, second), end in zip(STAGES, ends, strict=True)
    ]
    backbone = ShuffleNetPanConfig(
        stem_size=stem_size, hidden_sizes=widths, depths=depths, pyramid_size=pyramid_size, out_features=list(FEATURES)
    )
    names = {"id2label": dict(enumerate(NOUNS))} if num_labels == 80 else {"num_labels": num_labels}
    return NanoDetConfig(backbone_config=backbone, has_masks=False, **names)


def load_original(checkpoint: Mapping[str, np.ndarray] | str | Path) -> NanoDetForInstanceSegmentation:
    """
    The model with the original weights in float32, in eval mode and without a mask head.

    Args:
        checkpoint: `.safetensors` or `.npz` with `Conv_<number>.weight` and `Conv_<number>.bias`, or these arrays.

    Raises:
        FileNotFoundError, ValueError: no such file; not such a checkpoint; missing or unknown arrays, listed.
    """
    arrays = read_named_arrays(checkpoint)
    config = infer_config(arrays)
    return build_model(NanoDetForInstanceSegmentation, config, build_state_dict(arrays, nanodet_sources(config)))


def convert(checkpoint: Mapping[str, np.ndarray] | str | Path, output: str | Path) -> Path:
    """
    Write a folder that `AutoModel` and `AutoImageProcessor` load: a detector of boxes, to be given a mask head by
    training (configs/nanodet_coco_masks.yaml).

    Args:
        checkpoint: as of `load_original`.
        output: the new folder; it must not exist.
    """
    from .image_processing_nanodet import NanoDetImageProcessor

    require_new(output)
    return write_folder([load_original(checkpoint), NanoDetImageProcessor()], output)
