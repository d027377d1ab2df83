"""Which parameters the papers decay, scale and freeze: patterns over the names of our models' parameters, as data."""

import re

from torch import nn

# RMI's code decays the trained variables whose name contains "DW": convolution kernels, and not the gates of the
# multimodal LSTM, which are 1x1 convolutions only in our writing.
_CONV_KERNELS = (
    r"backbone\..*",
    r"(visual_projection|visual_fusion|language_fusion|classifier)\.weight",
)

DECAY_SCOPES = {
    "conv_kernels": _CONV_KERNELS,
    # Hu et al.: variables named "weights" or "Matrix": also the LSTM's matrix and the deconvolution, not the embedding.
    "weights": (*_CONV_KERNELS, r"word_lstm\.weight_(ih|hh)", r"deconvolution\.weight"),
    # Mask R-CNN and CAC: all but biases.
    "kernels": (r".*\.weight",),
    "all": (r".*",),
}

FREEZE_SCOPES = {
    "none": (),
    "backbone": (r"backbone\..*",),
    # MAttNet: the detector it chooses among the regions of.
    "detector": (r"detector\..*",),
    # Mask R-CNN and CAC: conv1 and layer1 of the ResNet (all of its normalisations are frozen anyway).
    "stem_and_first_stage": (r"backbone\.stem\..*", r"backbone\.stages\.0\..*"),
    # Hu et al., low- and high-resolution stage: the 13 convolutions; fc6 and fc7 (and the projection, fc8) are trained.
    "vgg_convolutions": (r"backbone\.stages\..*",),
    # Hu et al., region stage: the whole of VGG up to fc8.
    "backbone_and_projection": (r"backbone\..*", r"visual_projection\..*"),
}

_CONV_BIASES = (r"backbone\..*\.bias", r"(visual_projection|visual_fusion|classifier)\.bias")

_NORMALIZATIONS = (nn.BatchNorm2d, nn.SyncBatchNorm)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def decayed_parameter_names(model: nn.Module, scope: str) -> list[str]:
    """Names of the trained parameters in a scope of `DECAY_SCOPES`.

    `"all"` has every trained parameter; the papers' scopes have matrices and kernels only (two dimensions or more).

    Raises:
        ValueError: if the scope has none in this model, so that no run silently goes without its weight decay.
    """
    names = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and _matches(name, DECAY_SCOPES[scope]) and (scope == "all" or parameter.ndim > 1)
    ]
    if not names:
        raise ValueError(f"weight_decay_scope {scope!r} has no trained parameter of {type(model).__name__}")
    return names


def frozen_parameter_names(model: nn.Module, scope: str) -> list[str]:
    """Names of the parameters in a scope of `FREEZE_SCOPES`.

    Raises:
        ValueError: if a scope other than `"none"` has no parameter in this model.
    """
    names = [name for name, _ in model.named_parameters() if _matches(name, FREEZE_SCOPES[scope])]
    if scope != "none" and not names:
        raise ValueError(f"freeze scope {scope!r} has no parameter of {type(model).__name__}")
    return names


def freeze_parameters(model: nn.Module, scope: str) -> list[str]:
    """Stop the training of a scope of `FREEZE_SCOPES` and return the names of its parameters."""
    names = frozen_parameter_names(model, scope)
    for name in names:
        model.get_parameter(name).requires_grad_(False)
    return names


def frozen_normalizations(model: nn.Module) -> list[nn.Module]:
    """Batch normalisations whose scale is not trained; their running statistics must not move either."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _NORMALIZATIONS) and not any(p.requires_grad for p in module.parameters())
    ]


def scale_bias_gradients(model: nn.Module, multiplier: float) -> list[str]:
    """Multiply the gradient of every trained convolution bias before the optimiser sees it, and return their names.

    LSTM biases are not scaled: the original looks for "biases" in the name, and theirs is "bias".
    """
    names = [
        name for name, parameter in model.named_parameters() if parameter.requires_grad and _matches(name, _CONV_BIASES)
    ]
    for name in names:
        model.get_parameter(name).register_hook(lambda gradient: gradient * multiplier)
    return names
