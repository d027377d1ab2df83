"""The detector that a configuration describes, below a system that chooses among regions."""

from transformers import PreTrainedConfig, PreTrainedModel


def make_detector(config: PreTrainedConfig) -> PreTrainedModel:
    """
    A new detector with random weights, which has the steps `propose`, `score`, `choose`, `summarize`, `describe`,
    `draw` and `find_regions`.

    Ours are found by the name of their type, as backbones are (backbones.py).

    Args:
        config: of the detector itself.

    Raises:
        ValueError: it is none of ours.
    """
    if config.model_type == "refseg_mask_rcnn":
        from .mask_rcnn.modeling_mask_rcnn import MaskRcnnForInstanceSegmentation as Detector
    elif config.model_type == "refseg_nanodet":
        from .nanodet.modeling_nanodet import NanoDetForInstanceSegmentation as Detector
    else:
        raise ValueError(
            f"detector_config is of {config.model_type!r}; there are refseg_mask_rcnn and refseg_nanodet; what "
            "others find can be given as region_boxes and region_masks"
        )
    return Detector(config)
