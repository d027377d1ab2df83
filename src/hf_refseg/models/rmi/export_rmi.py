"""RMI as two graphs: a photo to what its cells read, and that and expressions to masks."""

import torch
import torch.nn.functional as F

from ...layers.photo_graph import MaskGraph, PhotoGraph
from ...layers.scanned_lstm import scan_steps, scan_words
from .modeling_rmi import RmiForReferringSegmentation, safe_atanh


class ImageGraph(PhotoGraph):
    def __init__(self, model: RmiForReferringSegmentation):
        super().__init__(model, ("visual_gates",))


class ExpressionGraph(MaskGraph):
    def forward(
        self, visual_gates: torch.Tensor, canvas: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """(1, 4D, h, w), (H, W), (N, T) and (N, T) -> logits (N, H, W)."""
        keep = attention_mask.bool()
        _, word_gates = self.read_words(input_ids, keep)
        hidden = self.read_in_cells(visual_gates, keep, word_gates)
        return self.enlarge(self.model.classifier(F.relu(safe_atanh(hidden))), canvas)

    def read_words(self, input_ids: torch.Tensor, keep: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings (N, T, E) of the words, and what each adds to the gates of all cells (N, T, 4D)."""
        words = self.model.word_embeddings(input_ids)  # (N, T) -> (N, T, E)
        sentence = scan_words(self.model.word_lstm, words, keep)  # (N, T, E) -> (N, T, L)
        read = torch.cat([words, F.normalize(sentence, dim=-1, eps=1e-6)], -1)  # -> (N, T, E + L)
        return words, self.model.multimodal_lstm.word_gates(read)

    def read_in_cells(self, visual_gates: torch.Tensor, keep: torch.Tensor, *words: torch.Tensor) -> torch.Tensor:
        """
        The last state of the multimodal LSTM, (N, D, h, w).

        Args:
            words: each (N, T, ...), what [`gates_of`] reads of a word.
        """
        lstm = self.model.multimodal_lstm
        zeros = visual_gates.new_zeros(
            keep.shape[0], lstm.state_gates.in_channels, visual_gates.shape[2], visual_gates.shape[3]
        )

        def step(hidden: torch.Tensor, cell: torch.Tensor, *word: torch.Tensor):
            return lstm.step(visual_gates, self.gates_of(*word), hidden, cell)

        return scan_steps(step, (zeros, zeros.clone()), keep, *words)

    def gates_of(self, word_gates: torch.Tensor) -> torch.Tensor:
        """What one word adds to the gates of the cells: (N, 4D) -> (N, 4D, 1, 1)."""
        return word_gates[:, :, None, None]


__all__ = ["ExpressionGraph", "ImageGraph"]
