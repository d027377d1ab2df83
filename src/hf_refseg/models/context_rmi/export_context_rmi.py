"""RMI with context as two graphs, see `export_rmi`."""

import torch
import torch.nn.functional as F

from ...layers.photo_graph import PhotoGraph
from ..rmi.export_rmi import ExpressionGraph as RmiExpressionGraph
from ..rmi.modeling_rmi import safe_atanh
from .modeling_context_rmi import ContextRmiForReferringSegmentation


class ImageGraph(PhotoGraph):
    def __init__(self, model: ContextRmiForReferringSegmentation):
        super().__init__(model, ("visual_gates", "visual", *(("detail",) if model.config.detail_size else ())))


class ExpressionGraph(RmiExpressionGraph):
    def forward(self, visual_gates: torch.Tensor, visual: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        """
        Args:
            visual_gates, visual: (1, 4D, h, w) and (1, V, h, w).
            rest: detail (1, S, h', w') where the model has one; canvas (H, W), input_ids and attention_mask (N, T).

        Returns:
            logits (N, H, W).
        """
        *details, canvas, input_ids, attention_mask = rest
        keep = attention_mask.bool()
        words, word_gates = self.read_words(input_ids, keep)
        similarity = torch.einsum("ntv,vhw->nthw", words, visual[0])  # -> (N, T, h, w)
        hidden = self.read_in_cells(visual_gates, keep, word_gates, similarity)
        detail = details[0].expand(keep.shape[0], -1, -1, -1) if details else None  # -> (N, S, h', w')
        return self.enlarge(self.model.classifier(F.relu(safe_atanh(hidden)), detail), canvas)

    def gates_of(self, word_gates: torch.Tensor, similarity: torch.Tensor) -> torch.Tensor:
        """What one word and its similarity to the cells add to their gates: (N, 4D), (N, h, w) -> (N, 4D, h, w)."""
        similar = self.model.multimodal_lstm.similarity_gates(similarity[:, None])  # (N, 1, h, w) -> (N, 4D, h, w)
        return super().gates_of(word_gates) + similar


__all__ = ["ExpressionGraph", "ImageGraph"]
