"""
Gradient checkpointing: a layer that keeps its inputs alone, and computes again what its backward pass needs.

transformers' `GradientCheckpointingLayer` is the same, but importing it imports the Auto classes, which import us.
A batch normalization that is being trained counts every batch twice in its running statistics then.
"""

from collections.abc import Callable

import torch
from torch import nn


class RecomputedLayer(nn.Module):
    """`model.gradient_checkpointing_enable()` sets the attribute, and the function `_gradient_checkpointing_func`."""

    gradient_checkpointing = False

    def recomputed(self, compute: Callable, *inputs: torch.Tensor):
        """`compute(*inputs)`, of which only the inputs are kept in a training that asks for it."""
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(compute, *inputs)
        return compute(*inputs)
