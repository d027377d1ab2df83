"""
Recurrent Multimodal Interaction (Liu, Lin, Shen, Yang, Lu, Yuille, ICCV 2017), in the paper's order.

An LSTM reads the words; a second, convolutional LSTM shared by all cells of the feature map reads, word by word, the
word, the first LSTM's state, the visual feature and the position of its cell. Its last state gives the mask.

The kernel of the multimodal LSTM is kept as its three natural parts: what an image contributes is computed once per
image, what a word contributes once per word, and only the recurrent part per cell and word. The original multiplies
the whole 3508-row kernel at each of them: 449 GFLOP instead of 71 for 20 words at 320x320, same numbers.

B images, N expressions, T words, E embedding, D multimodal state, (H, W) input, (h, w) feature grid.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput, can_return_tuple

from ...layers.image_index import resolve_image_index
from ...layers.inputs import check_expressions, check_labels, check_pixel_values
from ...layers.spatial_coordinates import NUM_COORDINATES, spatial_coordinates
from ...layers.tf1_resize import resize_bilinear_tf1
from ...layers.word_lstm import WordLstm, forget_bias, lstm_cell
from ...losses import segmentation_loss
from ...outputs import ReferringSegmentationOutput
from ..backbones import load_backbone
from .configuration_rmi import RmiConfig
from .context_decoder import ContextDecoder


@dataclass
class RmiImageFeatures(ModelOutput):
    """
    Everything about B images that needs no words; reusable for any number of expressions.

    Args:
        visual_gates: (B, 4D, h, w), what image and position add to the gates of the multimodal LSTM.
        input_size: (H, W) of the network's input.
        visual: (B, V, h, w) normalised visual features; with `config.word_similarity`.
        detail: (B, S, h', w') feature map of smaller stride; with `config.detail_size`.
    """

    visual_gates: torch.FloatTensor | None = None
    input_size: tuple[int, int] | None = None
    visual: torch.FloatTensor | None = None
    detail: torch.FloatTensor | None = None


@dataclass
class RmiExplanation(ModelOutput):
    """
    What the paper draws (Fig. 5).

    Args:
        word_maps: (T, N, h, w), the mean multimodal state of each cell after each word.
    """

    word_maps: torch.FloatTensor | None = None


class MultimodalLstm(nn.Module):
    """The convolutional LSTM with 1x1 kernels of Eq. 6: one cell, shared by all positions (i, j)."""

    def __init__(self, visual_size: int, word_size: int, hidden_size: int, word_similarity: bool = False):
        super().__init__()
        self.visual_gates = nn.Conv2d(visual_size, 4 * hidden_size, 1)
        self.word_gates = nn.Linear(word_size, 4 * hidden_size, bias=False)
        self.state_gates = nn.Conv2d(hidden_size, 4 * hidden_size, 1, bias=False)
        self.similarity_gates = nn.Conv2d(1, 4 * hidden_size, 1, bias=False) if word_similarity else None

    def gates(self, visual_gates, word_gates, hidden, similarity=None) -> torch.Tensor:
        """(N, 4D, h, w), (N, 4D), (N, D, h, w) and (N, h, w) to the gates (N, 4D, h, w) of one step."""
        gates = visual_gates + word_gates[:, :, None, None]  # (N, 4D) -> (N, 4D, 1, 1)
        if similarity is None:
            return gates + self.state_gates(hidden)
        # The similarity is one more input channel of the same product, which is cheaper than a product of its own.
        state = torch.cat([hidden, similarity[:, None]], 1)  # (N, D, h, w) + (N, 1, h, w) -> (N, D + 1, h, w)
        weight = torch.cat([self.state_gates.weight, self.similarity_gates.weight], 1)  # (4D, D + 1, 1, 1)
        return gates + F.conv2d(state, weight)

    def forward(
        self,
        visual_gates: torch.Tensor,
        word_gates: torch.Tensor,
        attention_mask: torch.Tensor | None,
        image_index: torch.Tensor,
        similarity: torch.Tensor | None = None,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """
        Yield the hidden and cell state (N, D, h, w) after each word; padded steps leave them as they are.

        Args:
            visual_gates: (B, 4D, h, w).
            word_gates: (N, T, 4D).
            attention_mask: (N, T) bool; None where no step is padded.
            image_index: (N,).
            similarity: (N, T, h, w) of each word and cell, with `config.word_similarity`.
        """
        visual_gates = visual_gates[image_index]  # (B, 4D, h, w) -> (N, 4D, h, w)
        batch, size, height, width = visual_gates.shape
        hidden = cell = visual_gates.new_zeros(batch, size // 4, height, width)
        for step in range(word_gates.shape[1]):
            similar = None if similarity is None else similarity[:, step]
            gates = self.gates(visual_gates, word_gates[:, step], hidden, similar)
            new_hidden, new_cell = lstm_cell(gates, cell)
            if attention_mask is None:
                hidden, cell = new_hidden, new_cell
            else:
                keep = attention_mask[:, step, None, None, None]  # (N, T) -> (N, 1, 1, 1)
                hidden, cell = torch.where(keep, new_hidden, hidden), torch.where(keep, new_cell, cell)
            yield hidden, cell

    def read_packed(
        self,
        visual_gates: torch.Tensor,
        word_gates: torch.Tensor,
        num_reading: list[int],
        image_index: torch.Tensor,
        similarity: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        The same for expressions sorted by falling length: step t reads a word of the first `num_reading[t]` only.

        Args:
            visual_gates: (B, 4D, h, w).
            word_gates: (N, T, 4D), every expression from step 0 on.
            num_reading: T falling numbers of expressions.
            image_index: (N,).
            similarity: (N, T, h, w).

        Returns:
            (N, D, h, w) the hidden state after the last word of each.
        """
        # Contiguous, for in the layout of a channels-last backbone the gates are slow to cut in four.
        visual_gates = visual_gates[image_index].contiguous()  # (B, 4D, h, w) -> (N, 4D, h, w)
        batch, size, height, width = visual_gates.shape
        hidden = cell = visual_gates.new_zeros(batch, size // 4, height, width)
        done = []  # states of the expressions that ended, the shortest first
        for step, reading in enumerate([*num_reading, 0]):
            if reading < len(hidden):
                done.append(hidden[reading:])
                visual_gates, hidden, cell = visual_gates[:reading], hidden[:reading], cell[:reading]
            if reading:
                similar = None if similarity is None else similarity[:reading, step]
                gates = self.gates(visual_gates, word_gates[:reading, step], hidden, similar)
                hidden, cell = lstm_cell(gates, cell)
        return torch.cat(done[::-1])

    def infer(
        self, visual_gates: torch.Tensor, word_gates: torch.Tensor, similarity: torch.Tensor | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """
        The same for one expression without padding and without gradient, in place: the yielded tensors are reused.

        On a CPU the recurrence is bound by memory traffic, so every temporary of `forward` costs; and the state is
        zero before the first word, which needs no product at all.

        Args:
            visual_gates: (1, 4D, h, w).
            word_gates: (T, 4D).
            similarity: (T, h, w).
        """
        _, size, height, width = visual_gates.shape
        hidden = visual_gates.new_zeros(1, size // 4, height, width)
        cell = torch.zeros_like(hidden)
        for step, words in enumerate(word_gates):
            if step == 0:
                gates = visual_gates + words[:, None, None]  # (4D,) -> (4D, 1, 1), over (1, 4D, h, w)
            else:
                gates = F.conv2d(hidden, self.state_gates.weight, words).add_(visual_gates)  # (1, D, ..) -> (1, 4D, ..)
            if similarity is not None:
                gates.add_(self.similarity_gates(similarity[None, step, None]))  # (T, h, w) -> (1, 4D, h, w)
            input_gate, forget_gate, candidate, output_gate = gates.chunk(4, 1)  # (1, 4D, h, w) -> 4 x (1, D, h, w)
            cell.mul_(forget_gate.sigmoid_()).addcmul_(input_gate.sigmoid_(), candidate.tanh_())
            torch.tanh(cell, out=hidden).mul_(output_gate.sigmoid_())
            yield hidden, cell


def safe_atanh(state: torch.Tensor) -> torch.Tensor:
    """Undo the last tanh of the LSTM; the original adds 1e-3 so that a saturated state stays finite."""
    wide = state.float()  # bfloat16 knows no 1.001: it would be 1, and a saturated state infinite
    return (0.5 * (torch.log(1.001 + wide) - torch.log(1.001 - wide))).to(state.dtype)


class RmiPreTrainedModel(PreTrainedModel):
    config: RmiConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_modalities = ("image", "text")
    _no_split_modules = ["CaffeResNetUnit"]  # not MultimodalLstm: FSDP would shard its parts, which we call one by one

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """Glorot uniform kernels, zero biases but 1 on forget gates, embedding U(-0.08, 0.08)."""
        super()._init_weights(module)
        if isinstance(module, nn.Embedding):
            init.uniform_(module.weight, -0.08, 0.08)
        elif isinstance(module, nn.Conv2d):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, WordLstm):
            module.initialise()
        elif isinstance(module, MultimodalLstm):
            parts = [module.visual_gates, module.word_gates, module.state_gates]
            gates = module.visual_gates.out_channels
            limit = (6 / (sum(part.weight.shape[1] for part in parts) + gates)) ** 0.5
            for part in parts if module.similarity_gates is None else [*parts, module.similarity_gates]:
                init.uniform_(part.weight, -limit, limit)
            init.copy_(module.visual_gates.bias, forget_bias(gates // 4))


class RmiForReferringSegmentation(RmiPreTrainedModel):
    """R+RMI and D+RMI: a photo and N expressions in, N masks out."""

    def __init__(self, config: RmiConfig):
        super().__init__(config)
        self.backbone = load_backbone(config)
        self.visual_projection = nn.Conv2d(self.backbone.channels[-1], config.visual_size, 1)
        self.word_embeddings = nn.Embedding(
            config.vocab_size, config.word_embedding_size, padding_idx=config.pad_token_id
        )
        self.word_lstm = WordLstm(config.word_embedding_size, config.lstm_hidden_size)
        self.multimodal_lstm = MultimodalLstm(
            visual_size=config.visual_size + NUM_COORDINATES,
            word_size=config.word_embedding_size + config.lstm_hidden_size,
            hidden_size=config.hidden_size,
            word_similarity=config.word_similarity,
        )
        if config.context_size:
            self.classifier = ContextDecoder(
                config.hidden_size, config.context_size, self.backbone.channels[0], config.detail_size
            )
        else:
            self.classifier = nn.Conv2d(config.hidden_size, 1, 1)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding):
        self.word_embeddings = value

    def get_image_features(self, pixel_values: torch.Tensor, **kwargs) -> RmiImageFeatures:
        """
        All that needs no words: backbone, projection, and the visual and spatial part of the multimodal gates.

        Args:
            pixel_values: (B, 3, H, W) as the processor returns them; brought to the model's dtype.
        """
        check_pixel_values(pixel_values)
        pixel_values = pixel_values.to(self.visual_projection.weight.dtype)
        maps = self.backbone(pixel_values).feature_maps  # (B, 3, H, W) -> (B, C, h, w) each
        visual = F.normalize(self.visual_projection(maps[-1]), dim=1, eps=1e-6)  # (B, C, h, w) -> (B, V, h, w)
        batch, _, height, width = visual.shape
        position = spatial_coordinates(height, width, visual.device, visual.dtype).expand(batch, -1, -1, -1)
        cells = torch.cat([visual, position], 1)  # (B, V, h, w) + (B, 8, h, w) -> (B, V + 8, h, w)
        return RmiImageFeatures(
            visual_gates=self.multimodal_lstm.visual_gates(cells),  # (B, V + 8, h, w) -> (B, 4D, h, w)
            input_size=tuple(pixel_values.shape[-2:]),
            visual=visual if self.config.word_similarity else None,
            detail=maps[0] if self.config.detail_size else None,
        )

    def get_word_gates(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """What each word and the sentence up to it add to the gates of every cell: (N, T) -> (N, T, 4D)."""
        words = self.word_embeddings(input_ids)  # (N, T) -> (N, T, E)
        sentence, _ = self.word_lstm(words, attention_mask)  # (N, T, E) -> (N, T, L); h_t of Eq. 3
        sentence = F.normalize(sentence, dim=-1, eps=1e-6)
        return self.multimodal_lstm.word_gates(torch.cat([words, sentence], -1))  # (N, T, E + L) -> (N, T, 4D)

    def get_word_similarity(
        self, image_features: RmiImageFeatures, input_ids: torch.Tensor, image_index: torch.Tensor
    ) -> torch.Tensor | None:
        """Product of each word and each cell's visual feature (N, T, h, w), where the config asks for it."""
        if not self.config.word_similarity:
            return None
        words = self.word_embeddings(input_ids)  # (N, T) -> (N, T, V)
        return torch.einsum("ntv,nvhw->nthw", words, image_features.visual[image_index])  # (N, T, h, w)

    def multimodal_states(
        self,
        image_features: RmiImageFeatures,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        image_index: torch.Tensor,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Hidden and cell state (N, D, h, w) of the multimodal LSTM after each of the T words."""
        word_gates = self.get_word_gates(input_ids, attention_mask)
        similarity = self.get_word_similarity(image_features, input_ids, image_index)
        return self.multimodal_lstm(image_features.visual_gates, word_gates, attention_mask, image_index, similarity)

    def classify(
        self, hidden: torch.Tensor, image_features: RmiImageFeatures, image_index: torch.Tensor
    ) -> torch.Tensor:
        """Mask logits on the grid from the last multimodal state: (N, D, h, w) -> (N, h, w)."""
        state = F.relu(safe_atanh(hidden))
        if self.config.detail_size:
            return self.classifier(state, image_features.detail[image_index])[:, 0]  # (N, D, h, w) -> (N, h', w')
        return self.classifier(state)[:, 0]

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.FloatTensor | None = None,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.LongTensor | None = None,
        image_index: torch.LongTensor | None = None,
        image_features: RmiImageFeatures | None = None,
        labels: torch.FloatTensor | None = None,
        output_attentions: bool | None = None,
        **kwargs,
    ) -> ReferringSegmentationOutput:
        """
        Args:
            pixel_values: (B, 3, H, W); or `image_features` from [`get_image_features`].
            input_ids: (N, T), padded anywhere; every sample skips its own padding.
            attention_mask: (N, T), 0 on padding; made from `config.pad_token_id` when absent.
            image_index: (N,) the image of each expression; needed unless B = 1 or B = N.
            labels: (N, H, W) target masks in [0, 1] at the size of the network's input.
            output_attentions: return an [`RmiExplanation`]; None: as `config.output_attentions` says.

        Raises:
            ValueError: neither images nor image features, no expression, an unknown word, no way to tell which image
                one means, or labels of another shape.
        """
        if input_ids is None or (pixel_values is None and image_features is None):
            raise ValueError("RMI needs input_ids, and pixel_values or image_features (from get_image_features)")
        check_expressions(input_ids, attention_mask, self.word_embeddings.num_embeddings)
        if image_features is None:
            image_features = self.get_image_features(pixel_values)
        if attention_mask is None:
            attention_mask = input_ids != self.config.pad_token_id
        attention_mask = attention_mask.bool()
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        num_images = len(image_features.visual_gates)
        image_index = resolve_image_index(image_index, num_images, len(input_ids), input_ids.device)

        on_cpu = input_ids.device.type == "cpu" and not torch.compiler.is_compiling()
        word_maps = None
        if on_cpu and not torch.is_grad_enabled():
            grid_logits, word_maps = self._segment_each(
                image_features, input_ids, attention_mask, image_index, output_attentions
            )
        elif on_cpu and not output_attentions:
            grid_logits = self._segment_packed(image_features, input_ids, attention_mask, image_index)
        else:
            grid_logits, word_maps = self._segment_batch(
                image_features, input_ids, attention_mask, image_index, output_attentions
            )
        logits = resize_bilinear_tf1(grid_logits[:, None], image_features.input_size)[:, 0]  # (N, h, w) -> (N, H, W)

        loss = losses = None
        if labels is not None:
            check_labels(labels, logits)
            if self.config.loss_size == "input":
                loss = segmentation_loss(self.config, logits, labels)
            else:
                grid_size = tuple(grid_logits.shape[-2:])
                target = resize_bilinear_tf1(labels[:, None].float(), grid_size)[:, 0]  # (N, H, W) -> (N, h, w)
                loss = segmentation_loss(self.config, grid_logits, target)
            losses = {"segmentation": loss}
        return ReferringSegmentationOutput(
            loss=loss,
            logits=logits,
            grid_logits=grid_logits,
            image_index=image_index,
            explanation=None if word_maps is None else RmiExplanation(word_maps=word_maps),
            losses=losses,
        )

    def _segment_batch(self, image_features, input_ids, attention_mask, image_index, output_attentions):
        """All expressions at once: GPUs, compilation. No step depends on the data."""
        word_maps = []
        for hidden, _ in self.multimodal_states(image_features, input_ids, attention_mask, image_index):
            if output_attentions:
                word_maps.append(safe_atanh(hidden).mean(1))  # (N, D, h, w) -> (N, h, w)
        return self.classify(hidden, image_features, image_index), torch.stack(word_maps) if word_maps else None

    def _segment_packed(self, image_features, input_ids, attention_mask, image_index):
        """Every expression over its own words only, the longest first, so that those still read are the first rows.

        For training on a CPU, where a padded step would cost as much as a word.
        """
        word_gates = self.get_word_gates(input_ids, attention_mask)
        similarity = self.get_word_similarity(image_features, input_ids, image_index)
        lengths = attention_mask.sum(1)  # (N, T) -> (N,)
        order = lengths.argsort(descending=True)  # (N,)
        # The words of each expression before its padding, wherever that was: (N, T) -> (N, longest)
        words = attention_mask[order].int().argsort(dim=1, descending=True, stable=True)[:, : int(lengths.max())]
        num_reading = (lengths[:, None] > torch.arange(words.shape[1])).sum(0).tolist()  # (T',), falling
        states = self.multimodal_lstm.read_packed(
            image_features.visual_gates,
            word_gates[order[:, None], words],  # (N, T, 4D) -> (N, T', 4D)
            num_reading,
            image_index[order],
            None if similarity is None else similarity[order[:, None], words],  # (N, T, h, w) -> (N, T', h, w)
        )
        hidden = states[order.argsort()]  # (N, D, h, w), as the expressions came
        return self.classify(hidden, image_features, image_index)

    def _segment_each(self, image_features, input_ids, attention_mask, image_index, output_attentions):
        """One expression after the other, each over its own words only: inference on a CPU."""
        num_expressions, num_steps = input_ids.shape
        height, width = image_features.visual_gates.shape[-2:]
        word_gates = self.get_word_gates(input_ids, attention_mask)
        similarity = self.get_word_similarity(image_features, input_ids, image_index)
        grid_logits, word_maps = [], word_gates.new_zeros(num_steps, num_expressions, height, width)
        for expression, image in enumerate(image_index.tolist()):
            steps = attention_mask[expression].nonzero()[:, 0]  # (T,) -> (words of this expression,)
            hidden = word_gates.new_zeros(1, self.config.hidden_size, height, width)
            visual_gates = image_features.visual_gates[image : image + 1]
            similar = None if similarity is None else similarity[expression, steps]  # (N, T, h, w) -> (T', h, w)
            states = self.multimodal_lstm.infer(visual_gates, word_gates[expression, steps], similar)
            for step, (hidden, _) in zip(steps.tolist(), states, strict=True):
                if output_attentions:
                    word_maps[step:, expression] = safe_atanh(hidden).mean(1)[0]  # (1, D, h, w) -> (h, w)
            grid_logits.append(self.classify(hidden, image_features, image_index[expression, None]))
        return torch.cat(grid_logits), word_maps if output_attentions else None  # N x (1, h, w) -> (N, h, w)


__all__ = ["RmiExplanation", "RmiForReferringSegmentation", "RmiImageFeatures", "RmiPreTrainedModel"]
