"""The golden training step: losses, gradient norms and sizes of the step of each original variable."""

from collections.abc import Callable

import torch

from hf_refseg.conversion.sources import Source

from .golden_case import TOLERANCE, TOLERANCE_AFTER_STEP, Checks, GoldenCase


def parameters_of(model: torch.nn.Module, sources: dict[str, Source], original: str) -> list[torch.nn.Parameter]:
    """Our parameters that one original variable was split into."""
    parameters = dict(model.named_parameters())
    return [parameters[name] for name, source in sources.items() if original in source.names and name in parameters]


def norm(tensors: list[torch.Tensor]) -> float:
    """Euclidean norm over several tensors, in float64; reordering an original's rows does not change it."""
    return sum(tensor.detach().double().pow(2).sum() for tensor in tensors).sqrt().item()


def check_training_step(
    checks: Checks,
    case: GoldenCase,
    model: torch.nn.Module,
    sources: dict[str, Source],
    compute: Callable[[], tuple[torch.Tensor, torch.Tensor]],
    optimizer: Callable[[list[dict]], torch.optim.Optimizer],
    prediction: str,
) -> None:
    """
    Run one step of the whole cost (loss and weight decay) and compare everything that is stored.

    Args:
        compute: runs the model with gradients and returns its loss and the prediction, in the golden's layout.
        optimizer: makes the optimizer from parameter groups that carry their `weight_decay`.
        prediction: name of the stored prediction after the step.
    """
    step = case.manifest["train_step"]
    weight_decay = step.get("weight_decay", 0.0005)
    decayed = {
        entry["name"]
        for entry in (*case.manifest["tensors"], *step["vars"])
        if entry.get("weight_decay") and entry.get("trained_in_this_stage", True)
    }
    trained = {variable["name"]: parameters_of(model, sources, variable["name"]) for variable in step["vars"]}
    model.requires_grad_(False)
    for parameters in trained.values():
        for parameter in parameters:
            parameter.requires_grad_(True)
    groups = [
        {"params": parameters, "weight_decay": weight_decay if name in decayed else 0.0}
        for name, parameters in trained.items()
    ]
    total = "cost" if "cost" in step["loss_before"] else "total_loss"

    def compare_losses(stage: str, loss: torch.Tensor, tolerance: float = TOLERANCE):
        squares = [sum(p.detach().double().pow(2).sum() for p in g["params"]) * g["weight_decay"] / 2 for g in groups]
        regularizer = sum(squares)
        for name, value in (
            ("cls_loss", loss.detach()),
            ("reg_loss", regularizer),
            (total, loss.detach().double() + regularizer),
        ):
            checks.compare(f"{stage}/{name}", float(value), step[stage][name], tolerance)

    loss, _ = compute()
    compare_losses("loss_before", loss)
    loss.backward()
    before = {}
    key = next(key for key in step["vars"][0] if key.startswith("grad_norm"))
    for variable, group in zip(step["vars"], groups, strict=True):
        gradients = [p.grad + group["weight_decay"] * p.detach() for p in group["params"]]
        checks.compare(f"grad_norm/{variable['name']}", norm(gradients), variable[key])
        before[variable["name"]] = [p.detach().clone() for p in group["params"]]
    optimizer(groups).step()
    for variable, group in zip(step["vars"], groups, strict=True):
        if variable.get("step_norm") is not None:
            moved = [p.detach() - old for p, old in zip(group["params"], before[variable["name"]], strict=True)]
            checks.compare(f"step_norm/{variable['name']}", norm(moved), variable["step_norm"], TOLERANCE_AFTER_STEP)
    with torch.no_grad():
        loss, predicted = compute()
    after = next(stage for stage in step if stage.startswith("loss_after"))
    compare_losses(after, loss, TOLERANCE_AFTER_STEP)
    checks.check(prediction, predicted, TOLERANCE_AFTER_STEP)
