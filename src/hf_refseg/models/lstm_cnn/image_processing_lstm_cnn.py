"""Image processor of LSTM-CNN (Hu et al., ECCV 2016) and of Liu et al.'s LSTM baselines."""

from ...processing.image_processing import CanvasImageProcessor


class LstmCnnImageProcessor(CanvasImageProcessor):
    """Hu et al.: letterbox of 512 x 512, VGG's ImageNet means (RGB, gray levels) and no division."""

    size = {"height": 512, "width": 512}
    image_mean = [123.68, 116.779, 103.939]
    image_std = [1.0, 1.0, 1.0]

    @classmethod
    def liu_baseline(cls, **kwargs) -> "LstmCnnImageProcessor":
        """R+LSTM and D+LSTM of Liu et al. 2017 read their images like RMI."""
        published = {
            "size": {"height": 320, "width": 320},
            "image_mean": [122.67891434, 116.66876762, 104.00698793],
        }
        return cls(**{**published, **kwargs})


__all__ = ["LstmCnnImageProcessor"]
