"""The two graphs of the systems that answer for every cell of a photo, for export."""

import torch
from torch import nn
from torch.export import Dim

from .tf1_resize import enlarge_bilinear_tf1

SIDE = 32  # the sides of a photo in the network's input are multiples of it


class PhotoGraph(nn.Module):
    """
    Everything about one photo that needs no words.

    Args:
        model: whose `get_image_features` takes `pixel_values`.
        feature_names: the fields of these features that expressions are read over.
    """

    side_multiple = 1  # the processor's photos are taken as they are

    def __init__(self, model: nn.Module, feature_names: tuple[str, ...]):
        super().__init__()
        self.model, self.feature_names = model, (*feature_names, "canvas")

    def example(self, processor) -> dict[str, torch.Tensor]:
        """
        Inputs of the size that the processor makes.

        Raises:
            ValueError: its sides are no multiples of 32.
        """
        size = dict(processor.image_processor.size)
        height, width = size["height"], size["width"]
        if height % SIDE or width % SIDE:
            raise ValueError(f"the processor makes inputs of {height} x {width}; the graph takes multiples of {SIDE}")
        return {"pixel_values": torch.rand(1, 3, height, width)}

    @property
    def sides(self) -> dict[str, dict]:
        """What differs from photo to photo: height and width."""
        rows, columns = Dim("rows", min=2, max=64), Dim("columns", min=2, max=64)
        return {"pixel_values": {2: SIDE * rows, 3: SIDE * columns}}

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(1, 3, H, W) -> the features, and the canvas: zeros (H, W), whose size the masks will have."""
        features = self.model.get_image_features(pixel_values)
        canvas = pixel_values.new_zeros(pixel_values.shape[-2:])
        return *(features[name] for name in self.feature_names[:-1]), canvas


class MaskGraph(nn.Module):
    """
    Masks of N expressions about the photo of a [`PhotoGraph`]'s features.

    Args:
        model: whose `forward` it follows.
    """

    word_names = ("input_ids", "attention_mask")
    output_names = ("logits",)

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def sides(self, name: str) -> tuple[int, ...]:
        """Which sides of a feature differ from photo to photo: height and width."""
        return (0, 1) if name == "canvas" else (2, 3)

    def enlarge(self, grid_logits: torch.Tensor, canvas: torch.Tensor) -> torch.Tensor:
        """(N, 1, h, w) -> (N, H, W)."""
        return enlarge_bilinear_tf1(grid_logits, tuple(canvas.shape))[:, 0]
