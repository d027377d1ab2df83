"""Adam as TensorFlow 1 computes it."""

import torch


class TensorFlowAdam(torch.optim.Adam):
    """
    Adam whose epsilon is added before the bias correction: w -= lr_t m / (sqrt(v) + eps), with
    lr_t = lr sqrt(1 - b2^t) / (1 - b1^t).

    torch corrects v first, so its epsilon of step t must be eps / sqrt(1 - b2^t): 32 times larger in the first step,
    which is what weights with tiny gradients feel.
    """

    def __init__(self, params, lr: float = 1e-3, betas=(0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        for group in self.param_groups:
            group.setdefault("tensorflow_eps", group["eps"])

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            states = (self.state[parameter] for parameter in group["params"] if parameter.grad is not None)
            step = 1 + max((int(state["step"]) for state in states if state), default=0)
            group["eps"] = group["tensorflow_eps"] / (1 - group["betas"][1] ** step) ** 0.5
        return super().step(closure)
