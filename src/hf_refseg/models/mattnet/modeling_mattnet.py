"""MAttNet (Yu, Lin, Shen, Yang, Lu, Bansal, Berg, CVPR 2018)."""

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init

from ...layers.normalize_scale import NormalizeScale
from .configuration_mattnet import MAttNetConfig


class MAttNetPreTrainedModel(PreTrainedModel):
    config: MAttNetConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_modalities = ("image", "text")

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """PyTorch's defaults, as the original has them, but 1 for the batch normalisations (there U(0, 1))."""
        super()._init_weights(module)
        if isinstance(module, nn.Linear | nn.LSTM):
            limit = (module.in_features if isinstance(module, nn.Linear) else module.hidden_size) ** -0.5
            for parameter in module.parameters():
                init.uniform_(parameter, -limit, limit)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight)
        elif isinstance(module, NormalizeScale):
            module.initialise()


__all__ = ["MAttNetPreTrainedModel"]
