"""What systems over a detector have in common: which detectors they take, and their module `detector`."""

from typing import TYPE_CHECKING

from transformers import PreTrainedConfig

if TYPE_CHECKING:  # configurations import this file while transformers' models are being imported
    from transformers import PreTrainedModel


def require_detector(config: PreTrainedConfig, *model_types: str) -> None:
    """Raises ValueError for the configuration of a detector that is of none of these types."""
    if config.model_type not in model_types:
        raise ValueError(
            f"detector_config is of {config.model_type!r}, but a {' or '.join(model_types)} is needed; what other "
            "detectors find can be given as region_boxes and region_masks"
        )


class OverDetector:
    """Mixin of a model class whose images are those of its detector."""

    def images_by(self) -> "PreTrainedModel":
        return self.detector


class OverFrozenDetector(OverDetector):
    """Mixin of a model class that trains nothing in its detector."""

    def train(self, mode: bool = True):
        """The detector stays as it is, also its batch normalizations."""
        super().train(mode)
        self.detector.eval().requires_grad_(False)
        return self


__all__ = ["OverDetector", "OverFrozenDetector", "require_detector"]
