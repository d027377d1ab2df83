"""Original tensor names of the Caffe-style ResNet in the checkpoints of Liu et al. 2017."""

from collections.abc import Mapping

import numpy as np

from ...conversion.sources import Arithmetic, Source, as_given
from ...conversion.tensorflow import convolution
from .configuration_caffe_resnet import CaffeResNetConfig


def stem_convolution(kernel: np.ndarray) -> np.ndarray:
    """The first kernel takes BGR in Caffe; ours takes RGB: (7, 7, 3, 64) -> (64, 3, 7, 7)."""
    return convolution(kernel[:, :, ::-1])


def batch_norm_sources(prefix: str, scope: str, has_factor: bool) -> dict[str, Source]:
    """
    Stored statistics of one batch normalization.

    DeepLab's Caffe model accumulates mean and variance times a moving-average factor, which they are divided by.
    """
    factor, division = ((f"{scope}/factor",), Arithmetic(np.divide, np.multiply)) if has_factor else ((), None)
    return {
        f"{prefix}.weight": Source((f"{scope}/gamma",), as_given),
        f"{prefix}.bias": Source((f"{scope}/beta",), as_given),
        f"{prefix}.running_mean": Source((f"{scope}/mean", *factor), as_given, division),
        f"{prefix}.running_var": Source((f"{scope}/variance", *factor), as_given, division),
    }


def caffe_resnet_sources(config: CaffeResNetConfig, prefix: str, scope: str) -> dict[str, Source]:
    """
    Sources of every tensor of the backbone.

    Args:
        config: depths of the network.
        prefix: our name of the backbone, with its dot.
        scope: "ResNet" (R+) or "DeepLab" (D+, with the factor).
    """
    has_factor = scope == "DeepLab"
    sources = {f"{prefix}stem.convolution.weight": Source((f"{scope}/group_1/conv1/DW",), stem_convolution)}
    sources |= batch_norm_sources(f"{prefix}stem.normalization", f"{scope}/group_1/bn_conv1", has_factor)
    layers = {"reduce": "block_1", "convolve": "block_2", "expand": "block_3", "shortcut": "block_add"}
    for stage, depth in enumerate(config.depths):
        for unit in range(depth):
            for layer, block in layers.items():
                if layer == "shortcut" and unit > 0:
                    continue
                ours = f"{prefix}stages.{stage}.{unit}.{layer}"
                original = f"{scope}/group_{stage + 2}_{unit}/{block}"
                sources[f"{ours}.convolution.weight"] = Source((f"{original}/conv/DW",), convolution)
                sources |= batch_norm_sources(f"{ours}.normalization", f"{original}/bn", has_factor)
    return sources


def backbone_scope(arrays: Mapping[str, np.ndarray]) -> str:
    """ "ResNet" for the R+ rows, "DeepLab" for the D+ rows, by the names in the checkpoint."""
    scopes = [scope for scope in ("ResNet", "DeepLab") if f"{scope}/group_1/conv1/DW" in arrays]
    if len(scopes) != 1:
        raise ValueError(
            "expected exactly one of ResNet/group_1/conv1/DW and DeepLab/group_1/conv1/DW in the checkpoint, "
            f"found {scopes or 'neither'}; its first names are {sorted(arrays)[:5]}"
        )
    return scopes[0]


def unused_deeplab_head(scope: str) -> set[str]:
    """DeepLab's own classifier, which the original graph builds, stores and never uses."""
    if scope != "DeepLab":
        return set()
    return {f"DeepLab/fc1_voc12/conv{branch}/{part}" for branch in range(4) for part in ("DW", "biases")}
