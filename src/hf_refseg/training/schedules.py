"""The learning-rate schedules of the papers, as functions of the number of finished optimizer steps."""

from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

SCHEDULES = ("polynomial", "staircase", "exponential", "constant")


def polynomial_decay(step: int, *, initial: float, end: float, power: float, decay_steps: int) -> float:
    """(initial - end) * (1 - step / decay_steps) ** power + end, then `end` (RMI's training code)."""
    return (initial - end) * (1 - min(step, decay_steps) / decay_steps) ** power + end


def staircase_decay(step: int, *, initial: float, factor: float, every: int) -> float:
    """initial * factor ** (step // every) (Hu et al. 2016: times 0.1 every 10000 or 6000 steps)."""
    return initial * factor ** (step // every)


def exponential_decay(step: int, *, initial: float, factor: float, every: int, start: int) -> float:
    """initial, and from `start` on initial * factor ** ((step - start) / every) (MAttNet: a tenth per 8000 steps)."""
    return initial * factor ** (max(0, step - start) / every)


def build_scheduler(
    optimizer: Optimizer,
    schedule: str,
    *,
    learning_rate: float,
    num_training_steps: int,
    end: float = 0.0,
    power: float = 1.0,
    decay_steps: int | None = None,
    factor: float = 0.1,
    every: int | None = None,
    start: int = 0,
    warmup_steps: int = 0,
) -> LambdaLR:
    """A scheduler that multiplies the learning rate of every parameter group.

    Args:
        schedule (`str`): one of `SCHEDULES`.
        learning_rate (`float`): the rate before any decay.
        decay_steps (`int`, *optional*): length of the polynomial decay; the whole training if not given.
        every (`int`, *optional*): steps between two stairs of `staircase`; in which `exponential` falls by `factor`.
        start (`int`): steps before `exponential` begins to fall.
        warmup_steps (`int`): the rate additionally grows linearly from 0 over these first steps (no paper does).

    Raises:
        ValueError: unknown schedule, or a staircase or exponential without `every`.
    """
    rate: Callable[[int], float]
    if schedule == "polynomial":
        decay_steps = decay_steps or num_training_steps

        def rate(step):
            return polynomial_decay(step, initial=learning_rate, end=end, power=power, decay_steps=decay_steps)
    elif schedule in ("staircase", "exponential"):
        if not every:
            raise ValueError(f"the {schedule} schedule needs lr_decay_every: the steps in which the rate falls once")

        def rate(step):
            if schedule == "staircase":
                return staircase_decay(step, initial=learning_rate, factor=factor, every=every)
            return exponential_decay(step, initial=learning_rate, factor=factor, every=every, start=start)
    elif schedule == "constant":

        def rate(step):
            return learning_rate
    else:
        raise ValueError(f"unknown schedule {schedule!r}: choose one of {', '.join(SCHEDULES)}")

    def multiplier(step: int) -> float:
        warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
        return warmup * rate(step) / learning_rate

    return LambdaLR(optimizer, multiplier)
