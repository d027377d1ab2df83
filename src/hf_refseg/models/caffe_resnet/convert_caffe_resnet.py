"""Original tensor names of the Caffe-style ResNet in the checkpoints of Liu et al. 2017."""

import numpy as np

from ...tensorflow_checkpoints import Source, as_given, convolution
from .configuration_caffe_resnet import CaffeResNetConfig


def stem_convolution(kernel: np.ndarray) -> np.ndarray:
    """The first kernel takes BGR in Caffe; ours takes RGB: (7, 7, 3, 64) -> (64, 3, 7, 7)."""
    return convolution(kernel[:, :, ::-1])


def batch_norm_sources(prefix: str, scope: str, has_factor: bool) -> dict[str, Source]:
    """
    Stored statistics of one batch normalisation.

    DeepLab's Caffe model accumulates mean and variance times a moving-average factor, which they are divided by.
    """
    factor = (f"{scope}/factor",) if has_factor else ()
    statistic = np.divide if has_factor else as_given
    return {
        f"{prefix}.weight": Source((f"{scope}/gamma",), as_given),
        f"{prefix}.bias": Source((f"{scope}/beta",), as_given),
        f"{prefix}.running_mean": Source((f"{scope}/mean", *factor), statistic),
        f"{prefix}.running_var": Source((f"{scope}/variance", *factor), statistic),
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
