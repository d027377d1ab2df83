"""Which parameters a training freezes, decays, or gives a rate of their own: patterns over their names.

The scopes of a model are data, a dict of names and patterns; each family has its own in `training_<family>.py`. A
pattern is a regular expression for whole names.
"""

import re
from collections.abc import Mapping, Sequence

from torch import nn

Scopes = Mapping[str, Sequence[str]]

_NORMALIZATIONS = (nn.BatchNorm2d, nn.SyncBatchNorm)


def require_scope(scopes: Scopes, scope: str, what: str, owner: str) -> None:
    """Raises ValueError for a scope that there is not, listing those of `owner`."""
    if scope not in scopes:
        raise ValueError(f"unknown {what} {scope!r}: the scopes of {owner} are {', '.join(scopes) or '-'}")


def parameters_in(model: nn.Module, scopes: Scopes, scope: str, what: str) -> list[str]:
    """Names of the parameters in a scope.

    Args:
        scopes: the scopes of the model's family.
        what: where the scope is asked for, for errors.

    Raises:
        ValueError: the family has no such scope, or it has no parameter in this model, so that no run silently goes
            without its weight decay.
    """
    require_scope(scopes, scope, what, type(model).__name__)
    names = [
        name for name, _ in model.named_parameters() if any(re.fullmatch(pattern, name) for pattern in scopes[scope])
    ]
    if not names:
        raise ValueError(f"{what}: the scope {scope!r} has no parameter in this {type(model).__name__}")
    return names


def freeze_parameters(model: nn.Module, scopes: Scopes, scope: str) -> list[str]:
    """Stop the training of a scope and return the names of its parameters."""
    names = parameters_in(model, scopes, scope, "freeze")
    for name in names:
        model.get_parameter(name).requires_grad_(False)
    return names


def decayed_parameters(model: nn.Module, scopes: Scopes, scope: str) -> list[str]:
    """Names of the matrices and kernels (two dimensions or more) of a scope that are trained.

    Raises:
        ValueError: there are none.
    """
    names = parameters_in(model, scopes, scope, "weight_decay_scope")
    parameters = {name: model.get_parameter(name) for name in names}
    trained = [name for name, parameter in parameters.items() if parameter.requires_grad and parameter.ndim > 1]
    if not trained:
        raise ValueError(
            f"weight_decay_scope: nothing of the scope {scope!r} is trained in this {type(model).__name__}"
        )
    return trained


def parameter_rates(model: nn.Module, scopes: Scopes, factors: Mapping[str, float]) -> dict[str, float]:
    """The factor on the learning rate of each parameter that is in one of the scopes of `factors`.

    Raises:
        ValueError: a parameter is in two of them.
    """
    rates: dict[str, float] = {}
    for scope, factor in factors.items():
        names = parameters_in(model, scopes, scope, "rate_factors")
        if twice := sorted(rates.keys() & set(names)):
            raise ValueError(f"rate_factors: {twice[0]} is in two of the scopes {', '.join(factors)}")
        rates |= dict.fromkeys(names, factor)
    return rates


def scale_gradients(model: nn.Module, scopes: Scopes, factors: Mapping[str, float]) -> list[str]:
    """Multiply the gradients of the trained parameters of scopes before the optimizer sees them; return their names."""
    scaled = []
    for scope, factor in factors.items():
        for name in parameters_in(model, scopes, scope, "gradient_factors"):
            parameter = model.get_parameter(name)
            if parameter.requires_grad:
                parameter.register_hook(lambda gradient, factor=factor: gradient * factor)
                scaled.append(name)
    return scaled


def frozen_normalizations(model: nn.Module) -> list[nn.Module]:
    """Batch normalizations whose scale is not trained; their running statistics must not move either."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _NORMALIZATIONS) and not any(p.requires_grad for p in module.parameters())
    ]
