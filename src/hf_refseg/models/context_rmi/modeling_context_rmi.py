"""
RMI with what we added to the paper, for photos and little data; read [`RmiForReferringSegmentation`] first.

- At every word the multimodal LSTM also reads how similar the word is to the visual feature of its cell.
- A [`ContextDecoder`] takes the place of the classifier of single cells.
- The loss is cross-entropy plus Dice, on the grid or at the size of the input.

B images, N expressions, T words, V visual and word channels, D multimodal state, (H, W) input, (h, w) feature grid.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ...layers.arguments import refuse_unknown
from ...layers.inputs import check_labels
from ...layers.tf1_resize import resize_bilinear_tf1
from ...losses import segmentation_loss
from ..rmi.modeling_rmi import RmiForReferringSegmentation, safe_atanh
from ..rmi.multimodal_lstm import MultimodalLstm
from .configuration_context_rmi import ContextRmiConfig
from .context_decoder import ContextDecoder
from .outputs_context_rmi import ContextRmiImageFeatures, ContextRmiTextFeatures, WordsInCells


class SimilarityLstm(MultimodalLstm):
    """The multimodal LSTM with one more input channel, the similarity of word and cell."""

    def __init__(self, visual_size: int, word_size: int, hidden_size: int):
        super().__init__(visual_size, word_size, hidden_size)
        self.similarity_gates = nn.Conv2d(1, 4 * hidden_size, 1, bias=False)


def dice_and_cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    r"""
    Mean cross-entropy plus the Dice loss of Milletari et al. 2016, 1 - (2 \sum p y + 1) / (\sum p + \sum y + 1).

    Dice weighs small and large masks alike. The 1 keeps it defined where the target is empty, and there makes it grow
    with every cell that is painted.

    Args:
        logits, target: (N, h, w); the target in [0, 1].
    """
    target = target.to(logits)
    probability = logits.sigmoid()
    overlap = (probability * target).sum((1, 2))  # (N, h, w) -> (N,)
    dice = 1 - (2 * overlap + 1) / (probability.sum((1, 2)) + target.sum((1, 2)) + 1)
    return F.binary_cross_entropy_with_logits(logits, target) + dice.mean()


class ContextRmiForReferringSegmentation(RmiForReferringSegmentation):
    """A photo and N expressions in, N masks out: RMI, but for the methods here."""

    config: ContextRmiConfig

    def __init__(self, config: ContextRmiConfig):
        super().__init__(config)
        channels = self.backbone.channels
        if config.detail_size and len(channels) < 2:
            raise ValueError(
                f"detail_size={config.detail_size} needs a feature map of smaller stride, but the backbone returns one "
                "map only: name two in backbone_config.out_features, or set detail_size=0"
            )
        visual_gates, word_gates = self.multimodal_lstm.visual_gates, self.multimodal_lstm.word_gates
        self.multimodal_lstm = SimilarityLstm(visual_gates.in_channels, word_gates.in_features, config.hidden_size)
        self.classifier = ContextDecoder(config.hidden_size, config.context_size, channels[0], config.detail_size)
        self.post_init()

    def get_text_features(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> ContextRmiTextFeatures:
        """See [`RmiForReferringSegmentation.get_text_features`]; the embeddings of the words are kept too."""
        features = super().get_text_features(input_ids, attention_mask, **kwargs)
        return ContextRmiTextFeatures(**features, words=self.word_embeddings(input_ids))  # (N, T) -> (N, T, V)

    def get_image_features(self, pixel_values: torch.Tensor, **kwargs) -> ContextRmiImageFeatures:
        """See [`RmiForReferringSegmentation.get_image_features`]; what words and decoder look at is kept too."""
        refuse_unknown(self, kwargs)
        maps, visual = self.encode_image(pixel_values)
        return ContextRmiImageFeatures(
            visual_gates=self.get_visual_gates(visual),
            input_size=tuple(pixel_values.shape[-2:]),
            visual=visual,
            detail=maps[0] if self.config.detail_size else None,
        )

    def words_in_cells(
        self,
        image_features: ContextRmiImageFeatures,
        text_features: ContextRmiTextFeatures,
        image_index: torch.Tensor,
    ) -> WordsInCells:
        """The words, with the similarity of each to every cell of its image."""
        visual = image_features.visual[image_index]  # (B, V, h, w) -> (N, V, h, w)
        return WordsInCells(
            word_gates=text_features.word_gates,
            attention_mask=text_features.attention_mask,
            similarity=torch.einsum("ntv,nvhw->nthw", text_features.words, visual),  # -> (N, T, h, w)
            similarity_gates=self.multimodal_lstm.similarity_gates.weight[:, 0],  # (4D, 1, 1, 1) -> (4D, 1, 1)
        )

    def classify(
        self, hidden: torch.Tensor, image_features: ContextRmiImageFeatures, image_index: torch.Tensor
    ) -> torch.Tensor:
        """Mask logits with the stride of the detail map: (N, D, h, w) -> (N, h', w'); without one, (N, h, w)."""
        detail = image_features.detail
        detail = None if detail is None else detail[image_index]  # (B, S, h', w') -> (N, S, h', w')
        return self.classifier(F.relu(safe_atanh(hidden)), detail)[:, 0]

    def compute_loss(self, logits: torch.Tensor, grid_logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss that the configuration names against the (N, H, W) labels, on the grid or at their size."""
        check_labels(labels, logits)
        target, predicted = labels.float(), logits
        if self.config.loss_size == "grid":
            size = tuple(grid_logits.shape[-2:])
            target, predicted = resize_bilinear_tf1(target[:, None], size)[:, 0], grid_logits  # (N, H, W) -> (N, h, w)
        if self.config.loss == "dice_and_cross_entropy":
            return dice_and_cross_entropy(predicted.float(), target)
        return segmentation_loss(self.config, predicted, target)


__all__ = ["ContextRmiForReferringSegmentation"]
