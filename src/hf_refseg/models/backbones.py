"""The backbone that a configuration describes: one of the papers' own, or any other of transformers or timm."""

import torch
from transformers import PreTrainedConfig, PreTrainedModel


def load_backbone(config: PreTrainedConfig) -> PreTrainedModel:
    """
    A new backbone with random weights, in the precision in which the model around it is being built. Its configuration
    may say another one: that of the checkpoint it was saved in.

    Ours are found by the name of their type: in a folder with remote code every file has classes of its own, so that
    `AutoBackbone` would not recognize the class of their configuration.

    Args:
        config: of the model around it; `config.backbone_config` describes the backbone.
    """
    backbone_config, dtype = config.backbone_config, torch.get_default_dtype()
    if backbone_config.model_type == "refseg_caffe_resnet":
        from .caffe_resnet.modeling_caffe_resnet import CaffeResNetBackbone as Backbone
    elif backbone_config.model_type == "refseg_vgg_fcn":
        from .vgg_fcn.modeling_vgg_fcn import VggFcnBackbone as Backbone
    elif backbone_config.model_type == "refseg_mobilenet_v2":
        from .mobilenet_v2.modeling_mobilenet_v2 import RefSegMobileNetV2Backbone as Backbone
    elif backbone_config.model_type == "refseg_shufflenet_pan":
        from .shufflenet_pan.modeling_shufflenet_pan import ShuffleNetPanBackbone as Backbone
    else:
        from transformers.models.auto.modeling_auto import AutoBackbone

        return AutoBackbone.from_config(backbone_config, dtype=dtype)
    return Backbone._from_config(backbone_config, dtype=dtype)
