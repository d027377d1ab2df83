"""
Recurrent Multimodal Interaction (Liu, Lin, Shen, Yang, Lu, Yuille, ICCV 2017), in the paper's order.

An LSTM reads the words. A second, convolutional LSTM, shared by all cells of the feature map, reads word by word: the
word, the first LSTM's state, and the visual feature and the position of its cell. Its last state gives the mask.

The second LSTM is in multimodal_lstm.py.

B images, N expressions, T words, E embedding, D multimodal state, (H, W) input, (h, w) feature grid.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import can_return_tuple

from ...layers.arguments import check_call, refuse_unknown
from ...layers.image_index import resolve_image_index
from ...layers.inputs import check_expressions, check_labels, check_pixel_values, values_are_readable
from ...layers.packed_convolution import lay_out_for_inference
from ...layers.spatial_coordinates import NUM_COORDINATES, spatial_coordinates
from ...layers.tf1_resize import resize_bilinear_tf1
from ...layers.word_lstm import WordLstm
from ...losses import segmentation_loss
from ...outputs import ReferringSegmentationOutput
from ...saving import SavesItsCode
from ..backbones import load_backbone
from ..whole_checkpoint import WholeCheckpoint
from .configuration_rmi import RmiConfig
from .multimodal_lstm import MultimodalLstm
from .outputs_rmi import RmiExplanation, RmiImageFeatures, RmiTextFeatures


def safe_atanh(state: torch.Tensor) -> torch.Tensor:
    """Undo the last tanh of the LSTM; the original adds 1e-3 so that a saturated state stays finite."""
    wide = state.float()  # bfloat16 knows no 1.001: it would be 1, and a saturated state infinite
    return (0.5 * (torch.log(1.001 + wide) - torch.log(1.001 - wide))).to(state.dtype)


class RmiPreTrainedModel(WholeCheckpoint, SavesItsCode, PreTrainedModel):
    config: RmiConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_modalities = ("image", "text")
    _input_embed_layer = "word_embeddings"
    _no_split_modules = ["CaffeResNetUnit"]  # not MultimodalLstm: FSDP would shard its parts, which we call one by one
    supports_gradient_checkpointing = True  # of the backbone, and of the recurrence word by word

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """Glorot uniform kernels, zero biases except for the forget gates, embedding U(-0.08, 0.08)."""
        super()._init_weights(module)
        if isinstance(module, nn.Embedding):
            init.uniform_(module.weight, -0.08, 0.08)
        elif isinstance(module, nn.Conv2d):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, (WordLstm, MultimodalLstm)):
            module.initialize()


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
        visual_size = config.visual_size + NUM_COORDINATES
        word_size = config.word_embedding_size + config.lstm_hidden_size
        self.multimodal_lstm = MultimodalLstm(visual_size, word_size, config.hidden_size)
        self.classifier = nn.Conv2d(config.hidden_size, 1, 1)
        self.post_init()

    def get_text_features(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> RmiTextFeatures:
        """
        The LSTM over the words, and what each word adds to the gates of the multimodal LSTM.

        Args:
            input_ids: (N, T), padded anywhere; every expression skips its own padding.
            attention_mask: (N, T), 0 on padding; made from `config.pad_token_id` when absent.
        """
        refuse_unknown(self, kwargs)
        check_expressions(input_ids, attention_mask, self.word_embeddings.num_embeddings)
        attention_mask = (input_ids != self.config.pad_token_id) if attention_mask is None else attention_mask.bool()
        words = self.word_embeddings(input_ids)  # (N, T) -> (N, T, E)
        sentence, _ = self.word_lstm(words, attention_mask)  # (N, T, E) -> (N, T, L); h_t of Eq. 3
        words = torch.cat([words, F.normalize(sentence, dim=-1, eps=1e-6)], -1)  # (N, T, E + L); l_t
        return RmiTextFeatures(self.multimodal_lstm.word_gates(words), attention_mask)  # (N, T, E + L) -> (N, T, 4D)

    def get_image_features(self, pixel_values: torch.Tensor, **kwargs) -> RmiImageFeatures:
        """
        The visual features of the cells, and what they and the positions add to the gates of the multimodal LSTM.

        Args:
            pixel_values: (B, 3, H, W) as the processor returns them; brought to the model's dtype.
        """
        refuse_unknown(self, kwargs)
        _, visual = self.encode_image(pixel_values)
        return RmiImageFeatures(self.get_visual_gates(visual), tuple(pixel_values.shape[-2:]))

    def encode_image(self, pixel_values: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """The backbone's feature maps, and the visual feature of each cell: (B, 3, H, W) -> (B, V, h, w)."""
        check_pixel_values(pixel_values)
        pixel_values = pixel_values.to(self.visual_projection.weight.dtype)
        maps = self.backbone(lay_out_for_inference(pixel_values)).feature_maps  # (B, 3, H, W) -> each (B, C, h, w)
        return maps, F.normalize(self.visual_projection(maps[-1]), dim=1, eps=1e-6)  # (B, C, h, w) -> (B, V, h, w)

    def get_visual_gates(self, visual: torch.Tensor) -> torch.Tensor:
        """What visual feature and position add to the gates of each cell: (B, V, h, w) -> (B, 4D, h, w)."""
        batch, _, height, width = visual.shape
        position = spatial_coordinates(height, width, visual.device, visual.dtype).expand(batch, -1, -1, -1)
        cells = torch.cat([visual, position], 1)  # (B, V, h, w) + (B, 8, h, w) -> (B, V + 8, h, w)
        return lay_out_for_inference(self.multimodal_lstm.visual_gates(cells))  # -> (B, 4D, h, w)

    def words_in_cells(
        self, image_features: RmiImageFeatures, text_features: RmiTextFeatures, image_index: torch.Tensor
    ) -> RmiTextFeatures:
        """What the cells read, word by word through `at`; in the paper a word is the same in all of them."""
        return text_features

    def classify(
        self, hidden: torch.Tensor, image_features: RmiImageFeatures, image_index: torch.Tensor
    ) -> torch.Tensor:
        """Mask logits on the grid from the last multimodal state: (N, D, h, w) -> (N, h, w)."""
        return self.classifier(F.relu(safe_atanh(hidden)))[:, 0]  # (N, D, h, w) -> (N, h, w)

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
            input_ids, attention_mask: (N, T), see [`get_text_features`].
            image_index: (N,) the image of each expression; needed unless B = 1 or B = N.
            labels: (N, H, W) target masks in [0, 1] at the size of the network's input.
            output_attentions: return an [`RmiExplanation`]; None: as `config.output_attentions` says.

        Raises:
            ValueError: neither images nor image features, or both; no expression, an unknown word, no way to tell which
                image an expression refers to, or labels of another shape. TypeError: an unknown argument.
        """
        check_call(self, kwargs, input_ids, {"image_features": image_features}, {"pixel_values": pixel_values})
        text_features = self.get_text_features(input_ids, attention_mask)
        if image_features is None:
            image_features = self.get_image_features(pixel_values)
        output_attentions = self.config.output_attentions if output_attentions is None else output_attentions
        num_images = len(image_features.visual_gates)
        image_index = resolve_image_index(image_index, num_images, len(input_ids), input_ids.device)

        words = self.words_in_cells(image_features, text_features, image_index)
        segment = self._segment_packed if values_are_readable(input_ids) else self._segment
        grid_logits, word_maps = segment(image_features, words, image_index, output_attentions)
        logits = resize_bilinear_tf1(grid_logits[:, None], image_features.input_size)[:, 0]  # (N, h, w) -> (N, H, W)
        loss = None if labels is None else self.compute_loss(logits, grid_logits, labels)
        return ReferringSegmentationOutput(
            loss=loss,
            logits=logits,
            grid_logits=grid_logits,
            image_index=image_index,
            explanation=RmiExplanation(word_maps) if output_attentions else None,
            losses=None if loss is None else {"segmentation": loss},
        )

    def _segment(self, image_features, words, image_index, output_attentions):
        """Grid logits (N, h, w), and (T, N, h, w) the mean state after each word: all expressions in step."""
        word_maps = []
        for hidden, _ in self.multimodal_lstm.read(image_features.visual_gates[image_index], words):
            if output_attentions:
                word_maps.append(safe_atanh(hidden).mean(1))  # (N, D, h, w) -> (N, h, w)
        return self.classify(hidden, image_features, image_index), torch.stack(word_maps) if word_maps else None

    def _segment_packed(self, image_features, words, image_index, output_attentions):
        """The same, each expression over its own words only; without gradients one after the other, to save memory."""
        order = words.attention_mask.sum(1).argsort(descending=True)  # (N, T) -> (N,), the longest first
        grid_logits, word_maps = [], []
        for rows in order.split(len(order) if torch.is_grad_enabled() else 1):
            images = image_index[rows] if len(rows) > 1 else slice(image_index[rows], image_index[rows] + 1)  # no copy
            states, maps = [], []
            for hidden in self.multimodal_lstm.read_packed(image_features.visual_gates[images], words, rows):
                states.append(hidden)
                if output_attentions:
                    mean = safe_atanh(hidden).mean(1)  # (n', D, h, w) -> (n', h, w)
                    maps.append(F.pad(mean, (0, 0, 0, 0, 0, len(rows) - len(hidden))))  # (n', h, w) -> (n, h, w)
            ends = [*map(len, states[1:]), 0]  # the rows from here on read no further word
            last = torch.cat([state[end:] for state, end in zip(states, ends, strict=True)][::-1])  # (n, D, h, w)
            grid_logits.append(self.classify(last, image_features, image_index[rows]))
            if output_attentions:
                num_read = words.attention_mask[rows].cumsum(1).T  # (n, T) -> (T, n)
                word_maps.append(torch.stack(maps)[num_read, torch.arange(len(rows))])  # (T' + 1, n, ..) -> (T, n, ..)
        as_given = order.argsort()
        word_maps = torch.cat(word_maps, 1)[:, as_given] if output_attentions else None  # (T, n, ..) -> (T, N, h, w)
        return torch.cat(grid_logits)[as_given], word_maps  # (n, h, w) -> (N, h, w)

    def compute_loss(self, logits: torch.Tensor, grid_logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of the grid logits (N, h, w) against the labels (N, H, W), made as small."""
        check_labels(labels, logits)
        target = resize_bilinear_tf1(labels[:, None].float(), grid_logits.shape[-2:])  # (N, H, W) -> (N, 1, h, w)
        return segmentation_loss(self.config, grid_logits, target[:, 0])


__all__ = ["RmiForReferringSegmentation", "RmiPreTrainedModel"]
