"""LSTM-CNN as two graphs: a photo to what its cells know, and that and expressions to masks."""

import torch
import torch.nn.functional as F

from ...layers.photo_graph import MaskGraph, PhotoGraph
from ...layers.scanned_lstm import scan_words
from .modeling_lstm_cnn import LstmCnnForReferringSegmentation


class ImageGraph(PhotoGraph):
    """
    Raises:
        ValueError: the model is of Hu's first stage, which scores crops and draws no masks.
    """

    def __init__(self, model: LstmCnnForReferringSegmentation):
        super().__init__(model, ("fusion",))
        if model.config.stage == "region":
            raise ValueError('a model of the stage "region" draws no masks; export one of a later stage')


class ExpressionGraph(MaskGraph):
    def forward(
        self, fusion: torch.Tensor, canvas: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """(1, M, h, w), (H, W), (N, T) and (N, T) -> logits (N, H, W)."""
        model = self.model
        keep = attention_mask.bool() if model.config.skip_padding else attention_mask >= 0
        states = scan_words(model.word_lstm, model.word_embeddings(input_ids), keep)  # (N, T) -> (N, T, L)
        expression = F.normalize(states[:, -1], dim=-1, eps=1e-6)  # (N, T, L) -> (N, L)
        grid_logits = model.classify(fusion, expression)[:, None]  # -> (N, 1, h, w)
        if model.deconvolution is not None:
            return model.deconvolution(grid_logits)[:, 0]  # (N, 1, h, w) -> (N, H, W)
        return self.enlarge(grid_logits, canvas)


__all__ = ["ExpressionGraph", "ImageGraph"]
