"""
LSTM-CNN, "Segmentation from Natural Language Expressions" (Hu, Rohrbach, Darrell, ECCV 2016), in the paper's order,
and the R+LSTM and D+LSTM baselines of Liu et al. 2017, which differ in backbone, padding, upsampling and loss.

An LSTM reads the expression, a network of convolutions the image; both and the position of each cell go through a
two-layer classifier with 1x1 kernels. Its first kernel is kept as two parts, so that what the image and the position
contribute is computed once per image and the expression's part once per expression.

B images, N expressions, T words, L LSTM state, M hidden layer, (H, W) input, (h, w) feature grid.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import can_return_tuple

from ...layers.arguments import check_call, refuse_beside, refuse_unknown
from ...layers.image_index import resolve_image_index
from ...layers.inputs import check_expressions, check_labels, check_pixel_values
from ...layers.packed_convolution import lay_out_for_inference
from ...layers.spatial_coordinates import NUM_COORDINATES, box_coordinates, spatial_coordinates
from ...layers.tf1_resize import resize_bilinear_tf1
from ...layers.word_lstm import WordLstm
from ...losses import segmentation_loss
from ...outputs import ReferringSegmentationOutput
from ...saving import SavesItsCode
from ..backbones import load_backbone
from ..vgg_fcn.configuration_vgg_fcn import VggFcnConfig
from ..whole_checkpoint import WholeCheckpoint
from .configuration_lstm_cnn import LstmCnnConfig
from .outputs_lstm_cnn import LstmCnnImageFeatures, LstmCnnTextFeatures


class LstmCnnPreTrainedModel(WholeCheckpoint, SavesItsCode, PreTrainedModel):
    config: LstmCnnConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_modalities = ("image", "text")
    _input_embed_layer = "word_embeddings"
    _no_split_modules = ["CaffeResNetUnit", "VggFcnStage"]
    supports_gradient_checkpointing = True  # of the backbone

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """Hu's classifier N(0, 0.05) and N(0, 0.1) and TensorFlow's Glorot defaults elsewhere."""
        super()._init_weights(module)
        if isinstance(module, nn.Embedding):
            init.uniform_(module.weight, -0.08, 0.08)
        elif isinstance(module, WordLstm):
            module.initialize()
        elif isinstance(module, nn.ConvTranspose2d):
            init.copy_(module.weight, bilinear_kernel(module.stride[0]))
        elif hasattr(module, "initial_std"):
            init.normal_(module.weight, std=module.initial_std)
        elif isinstance(module, nn.Conv2d):
            init.xavier_uniform_(module.weight)
        if isinstance(module, nn.Conv2d):
            init.zeros_(module.bias)


def bilinear_kernel(stride: int) -> torch.Tensor:
    """Initial kernel (1, 1, 2s, 2s) of Hu's deconvolution: a tent peaking at index s, so not quite symmetric."""
    ramp = torch.from_numpy(np.concatenate([np.arange(stride), np.arange(stride, 0, -1)]).astype(np.float32) / stride)
    return torch.outer(ramp, ramp)[None, None]  # (2s, 2s) -> (1, 1, 2s, 2s)


class LstmCnnForReferringSegmentation(LstmCnnPreTrainedModel):
    """Hu et al. 2016 in all three stages, R+LSTM and D+LSTM: a photo and N expressions in, N masks (or scores) out."""

    deconvolution_stride = 32

    def __init__(self, config: LstmCnnConfig):
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.word_embedding_size)
        self.word_lstm = WordLstm(config.word_embedding_size, config.lstm_hidden_size)
        self.backbone = load_backbone(config)
        self.visual_projection = nn.Conv2d(self.backbone.channels[-1], config.visual_size, 1)
        self.visual_fusion = nn.Conv2d(config.visual_size + NUM_COORDINATES, config.mlp_size, 1)
        self.language_fusion = nn.Linear(config.lstm_hidden_size, config.mlp_size, bias=False)
        self.classifier = nn.Conv2d(config.mlp_size, 1, 1)
        self.visual_fusion.initial_std = self.language_fusion.initial_std = 0.05
        self.classifier.initial_std = 0.1
        self.deconvolution = None
        if config.stage == "high_res":
            stride = self.deconvolution_stride
            self.deconvolution = nn.ConvTranspose2d(1, 1, 2 * stride, stride, padding=stride // 2, bias=False)
        self.post_init()

    @classmethod
    def from_previous_stage(cls, pretrained: str, stage: str) -> "LstmCnnForReferringSegmentation":
        """
        A network of Hu's "low_res" or "high_res" stage with all weights of the stage before it.

        Every tensor keeps its shape, since fc6 to fc8 are convolutions in all stages; only the deconvolution of
        "high_res" is new, and starts as bilinear interpolation.

        Raises:
            ValueError: the checkpoint is not of the stage before, or lacks tensors.
        """
        previous = {"low_res": "region", "high_res": "low_res"}.get(stage)
        config = LstmCnnConfig.from_pretrained(pretrained)
        if config.stage != previous:
            raise ValueError(f"stage {stage!r} follows {previous!r}, the checkpoint {pretrained} is {config.stage!r}")
        config.stage, config.background_weight = stage, 1 / 3 if stage == "high_res" else 1.0
        if config.backbone_config.model_type == VggFcnConfig.model_type:
            config.backbone_config.fc6_padding = config.backbone_config.fc6_kernel // 2
        model, report = cls.from_pretrained(pretrained, config=config, output_loading_info=True)
        missing = set(report["missing_keys"]) - {"deconvolution.weight"}
        if missing:
            raise ValueError(f"{pretrained} lacks {sorted(missing)}")
        return model

    def get_text_features(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> LstmCnnTextFeatures:
        """
        The normalized last state of the LSTM over the words (Sec. 3.2).

        Args:
            input_ids: (N, T), padded on the left.
            attention_mask: (N, T), 0 on padding; read only where `config.skip_padding`, then made from
                `config.pad_token_id` when absent.
        """
        refuse_unknown(self, kwargs)
        check_expressions(input_ids, attention_mask, self.word_embeddings.num_embeddings)
        if not self.config.skip_padding:
            attention_mask = None
        elif attention_mask is None:
            attention_mask = input_ids != self.config.pad_token_id
        states, _ = self.word_lstm(self.word_embeddings(input_ids), attention_mask)  # (N, T) -> (N, T, L)
        return LstmCnnTextFeatures(F.normalize(states[:, -1], dim=-1, eps=1e-6))  # (N, T, L) -> (N, L)

    def get_image_features(
        self,
        pixel_values: torch.Tensor,
        crop_boxes: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        **kwargs,
    ) -> LstmCnnImageFeatures:
        """
        All that needs no words: backbone, projection, and the visual and spatial part of the classifier.

        Args:
            pixel_values: (B, 3, H, W) as the processor returns them; crops in the "region" stage.
            crop_boxes: (B, 4) xyxy of each crop in its image, in pixels, x2 and y2 outside; "region" stage only.
            original_sizes: (B, 2) height and width of the image of each crop; "region" stage only.

        Raises:
            ValueError: no batch of images; in the "region" stage no box for each crop, or crops of another size than
                the classifier takes (224 x 224).
        """
        refuse_unknown(self, kwargs)
        check_pixel_values(pixel_values)
        pixel_values = lay_out_for_inference(pixel_values.to(self.visual_projection.weight.dtype))
        maps = self.backbone(pixel_values).feature_maps[-1]  # (B, 3, H, W) -> (B, C, h, w)
        visual = F.normalize(self.visual_projection(maps), dim=1, eps=1e-6)  # (B, C, h, w) -> (B, V, h, w); Sec. 3.1
        batch, _, height, width = visual.shape
        if self.config.stage == "region":
            if crop_boxes is None or original_sizes is None:
                raise ValueError("the region classifier needs crop_boxes (B, 4) and original_sizes (B, 2) of its crops")
            if (height, width) != (1, 1) or len(crop_boxes) != batch or len(original_sizes) != batch:
                raise ValueError(
                    f"{batch} crops of {tuple(pixel_values.shape[-2:])}, {len(crop_boxes)} crop_boxes and "
                    f"{len(original_sizes)} original_sizes: the region classifier takes one of each, at 224 x 224"
                )
            position = box_coordinates(crop_boxes, original_sizes).to(visual)[:, :, None, None]  # (B, 8, 1, 1)
        else:
            refuse_beside(f"by the stage {self.config.stage!r}", {"crop_boxes": crop_boxes})
            position = spatial_coordinates(height, width, visual.device, visual.dtype)
        position = position.expand(batch, -1, height, width)
        visual = torch.cat([visual, position], 1)  # (B, V, h, w) + (B, 8, h, w) -> (B, V + 8, h, w)
        return LstmCnnImageFeatures(fusion=self.visual_fusion(visual), input_size=tuple(pixel_values.shape[-2:]))

    def classify(self, fusion: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
        """The two-layer classifier of Sec. 3.3 at every cell: (N, M, h, w) and (N, L) -> (N, h, w)."""
        hidden = F.relu(fusion + self.language_fusion(expression)[:, :, None, None])
        return self.classifier(hidden)[:, 0]  # (N, M, h, w) -> (N, h, w)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.FloatTensor | None = None,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.LongTensor | None = None,
        image_index: torch.LongTensor | None = None,
        image_features: LstmCnnImageFeatures | None = None,
        labels: torch.FloatTensor | None = None,
        crop_boxes: torch.FloatTensor | None = None,
        original_sizes: torch.LongTensor | None = None,
        **kwargs,
    ) -> ReferringSegmentationOutput:
        """
        Args:
            pixel_values: (B, 3, H, W); or `image_features` from [`get_image_features`].
            input_ids, attention_mask: (N, T), see [`get_text_features`].
            image_index: (N,) the image (or crop) of each expression; needed unless B = 1 or B = N.
            labels: (N, H, W) target masks in {0, 1} at the size of the network's input; (N,) in the "region" stage.
            crop_boxes, original_sizes: see [`get_image_features`].

        Returns:
            `logits` (N, H, W) and `grid_logits` (N, h, w); in the "region" stage `scores` (N,) instead. No step
            between words and masks could be drawn, so `explanation` is None even with `output_attentions=True`.

        Raises:
            ValueError: neither images nor image features, or both; no expression, an unknown word, no way to tell which
                image an expression refers to, labels of another shape, or an input whose size the x32 deconvolution
                cannot reach. TypeError: an unknown argument.
        """
        images = {"pixel_values": pixel_values, "crop_boxes": crop_boxes}
        check_call(self, kwargs, input_ids, {"image_features": image_features}, images)
        expression = self.get_text_features(input_ids, attention_mask).expression
        if image_features is None:
            image_features = self.get_image_features(pixel_values, crop_boxes, original_sizes)
        num_images = len(image_features.fusion)
        image_index = resolve_image_index(image_index, num_images, len(input_ids), input_ids.device)
        grid_logits = self.classify(image_features.fusion[image_index], expression)

        if self.config.stage == "region":
            scores = grid_logits[:, 0, 0]  # (N, 1, 1) -> (N,)
            loss = None if labels is None else segmentation_loss(self.config, scores, labels.reshape(-1))
            losses = None if loss is None else {"region": loss}
            return ReferringSegmentationOutput(loss=loss, scores=scores, image_index=image_index, losses=losses)

        logits = self.upsample(grid_logits, image_features.input_size)
        loss = None if labels is None else self.compute_loss(logits, grid_logits, labels)
        return ReferringSegmentationOutput(
            loss=loss,
            logits=logits,
            grid_logits=grid_logits,
            image_index=image_index,
            losses=None if loss is None else {"segmentation": loss},
        )

    def upsample(self, grid_logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """From the grid to the network's input: (N, h, w) -> (N, H, W)."""
        if self.deconvolution is None:
            return resize_bilinear_tf1(grid_logits[:, None], size)[:, 0]  # (N, h, w) -> (N, H, W)
        logits = self.deconvolution(grid_logits[:, None])[:, 0]  # (N, h, w) -> (N, 32h, 32w); Sec. 3.3
        if logits.shape[-2:] != size:
            raise ValueError(
                f"the x{self.deconvolution_stride} deconvolution makes {tuple(logits.shape[-2:])} of an input of size "
                f"{size}: resize images to multiples of {self.deconvolution_stride} (the processor's `size`)"
            )
        return logits

    def compute_loss(self, logits: torch.Tensor, grid_logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of the stage against (N, H, W) labels, on the grid or at full size."""
        check_labels(labels, logits)
        if self.config.stage == "high_res":
            return segmentation_loss(self.config, logits, labels)
        size, labels = tuple(grid_logits.shape[-2:]), labels[:, None].float()  # (N, H, W) -> (N, 1, H, W)
        if self.config.stage == "low_res":
            # A cell is foreground as soon as any of its pixels is.
            target = F.adaptive_max_pool2d(labels, size)[:, 0]  # (N, 1, H, W) -> (N, h, w)
        else:
            target = resize_bilinear_tf1(labels, size)[:, 0]  # (N, 1, H, W) -> (N, h, w)
        return segmentation_loss(self.config, grid_logits, target)


__all__ = ["LstmCnnForReferringSegmentation", "LstmCnnImageFeatures", "LstmCnnPreTrainedModel"]
