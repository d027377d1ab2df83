"""Image processor of RMI (Liu et al., ICCV 2017)."""

from ...processing.image_processing import CanvasImageProcessor


class RmiImageProcessor(CanvasImageProcessor):
    """Letterbox of 320 x 320, Caffe's ImageNet means (RGB, gray levels) and no division."""

    size = {"height": 320, "width": 320}
    image_mean = [122.67891434, 116.66876762, 104.00698793]
    image_std = [1.0, 1.0, 1.0]


__all__ = ["RmiImageProcessor"]
