"""The running average of the weights that a training run stores in place of the last ones."""

import torch


def moving_average(decay: float):
    """Exponential moving average whose first steps forget faster, so that the random start leaves no trace."""

    @torch.no_grad()
    def update(averaged: list[torch.Tensor], current: list[torch.Tensor], num_averaged: torch.Tensor) -> None:
        steps = int(num_averaged)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + steps) / (10 + steps)))

    return update
