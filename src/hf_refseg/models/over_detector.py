"""What systems over a detector have in common, their module `detector`."""

from transformers import PreTrainedModel


class OverDetector:
    """Mixin of a model class whose images are those of its detector."""

    def images_by(self) -> PreTrainedModel:
        return self.detector


class OverFrozenDetector(OverDetector):
    """Mixin of a model class that trains nothing in its detector."""

    def train(self, mode: bool = True):
        """The detector stays as it is, also its batch normalizations."""
        super().train(mode)
        self.detector.eval().requires_grad_(False)
        return self


__all__ = ["OverDetector", "OverFrozenDetector"]
