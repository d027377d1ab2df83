"""MAttNet (Yu, Lin, Shen, Yang, Lu, Bansal, Berg, CVPR 2018)."""

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init

from ...layers.language_encoder import LanguageEncoder
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
        if isinstance(module, nn.Linear):
            limit = module.in_features**-0.5
            init.uniform_(module.weight, -limit, limit)
            init.uniform_(module.bias, -limit, limit)
        elif isinstance(module, NormalizeScale | LanguageEncoder):
            module.initialise()


__all__ = ["MAttNetPreTrainedModel"]
