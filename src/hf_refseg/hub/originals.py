"""Weights of ours under the names of the original programs, so that those can check them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from ..conversion.originals import original_arrays
from ..conversion.tensorflow import read_arrays
from ..conversion.torch_pickles import read_named_arrays
from ..systems import find_system

SYSTEMS_WITH_A_WAY_BACK = ("rmi", "lstm_cnn", "mask_rcnn", "mattnet", "cac", "nanodet")


def to_original(model: PreTrainedModel, like: Mapping[str, np.ndarray] | str | Path) -> dict[str, np.ndarray]:
    """
    The arrays of a model as the original program reads them.

    Args:
        model: LSTM-CNN, RMI, MAttNet, CAC, Mask R-CNN or NanoDet, with the original's backbone. NanoDet's mask head is
            ours: the original has no place for it.
        like: an original checkpoint of the same network, see [`original_arrays`]; for MAttNet that of its matching, or
            that of its detector, to get the one or the other.

    Raises:
        ValueError: there is no way back for the system, or `like` is not a checkpoint of the same network.
    """
    system, config = find_system(model.config.model_type), model.config
    if system.family not in SYSTEMS_WITH_A_WAY_BACK:
        raise ValueError(
            f"there is no way back for {system.model_type}; there is one for {', '.join(SYSTEMS_WITH_A_WAY_BACK)}"
        )
    convert, detector = system.module("convert"), find_system("mask_rcnn").module("convert")
    unused: set[str] = set()
    if system.family in ("rmi", "lstm_cnn"):
        arrays = read_arrays(like)
        if system.family == "lstm_cnn" and convert.is_hu(arrays):
            sources = convert.hu_sources(config, *convert.hu_lstm_names(arrays))
        else:
            make_sources = convert.rmi_sources if system.family == "rmi" else convert.liu_sources
            scope = convert.backbone_scope(arrays)
            sources, unused = make_sources(config, scope), convert.unused_deeplab_head(scope)
    elif system.family == "nanodet":
        arrays, sources = read_named_arrays(like), convert.nanodet_sources(config)
    else:
        arrays = read_named_arrays(like)
        unused = detector.unused_names(arrays)
        if system.family == "cac":
            sources = convert.cac_sources(config)
        elif system.family == "mask_rcnn":
            sources = convert.mask_rcnn_sources(config)
        elif "resnet.conv1.weight" in arrays:
            if config.detector_config.model_type != "refseg_mask_rcnn":
                raise ValueError(
                    f"the detector of this model is a {config.detector_config.model_type}, `like` that of the paper: "
                    "give its matching, or take the detector back by itself (hf-refseg convert-back)"
                )
            sources = detector.mask_rcnn_sources(config.detector_config, "detector.")
        else:
            sources = {f"matching.{name}": source for name, source in convert.matching_sources(config).items()}
    return original_arrays(model.state_dict(), sources, arrays, unused)
