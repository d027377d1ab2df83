"""Arguments of the trainer: transformers' own, and what the papers' schedules need beside them."""

from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments
from transformers.integrations import is_tensorboard_available
from transformers.utils import logging

from ..metrics import get_protocol
from .parameter_scopes import DECAY_SCOPES, FREEZE_SCOPES
from .schedules import SCHEDULES

logger = logging.get_logger(__name__)

OPTIMIZERS = ("adam", "sgd")


@dataclass
class RefSegTrainingArguments(TrainingArguments):
    """
    `transformers.TrainingArguments` with the papers' schedules, optimisers and parameter scopes.

    Left at None, `schedule` and `optimizer` leave the choice to transformers' own `lr_scheduler_type` and `optim`.
    Gradient clipping is off and no dataset column is dropped, unlike transformers' defaults; TensorBoard is the default
    of `report_to` where it is installed.

    Args:
        schedule (`str`, *optional*): `"polynomial"` (RMI), `"staircase"` (Hu et al.), `"exponential"` (MAttNet) or
            `"constant"`.
        lr_end (`float`): rate at the end of the polynomial decay.
        lr_power (`float`): its exponent.
        lr_decay_steps (`int`, *optional*): its length in optimiser steps; `max_steps` if not given.
        lr_decay_factor (`float`), lr_decay_every (`int`, *optional*): the staircase: times factor every so many steps;
            the exponential: as much, but continuously.
        lr_decay_start (`int`): steps before the exponential decay begins.
        gradient_clamp (`float`): limit of every single number of the gradient (MAttNet: 0.1); 0: none.
        optimizer (`str`, *optional*): `"adam"`, TensorFlow's Adam with the L2 term inside the gradient as in the papers
            (not AdamW), or `"sgd"`.
        momentum (`float`): of `"sgd"`.
        weight_decay_scope (`str`, *optional*): which trained parameters `weight_decay` pulls on, see `DECAY_SCOPES`;
            None is transformers' rule, everything but biases and normalisation.
        bias_gradient_multiplier (`float`): factor on the gradient of convolution biases before the optimiser (RMI: 2).
        freeze (`str`): which parameters are not trained, see `FREEZE_SCOPES`.
        naming_steps (`int`): steps of the stage before the training that names the words for things and attributes,
            see `hf_refseg.training.word_naming`; 0 leaves it out. Rows need the field `instances`.
        channels_last (`bool`): hand images to the model in PyTorch's channels-last layout. Same numbers; a GPU in bf16
            and a narrow network on a CPU are faster with it, a wide one (VGG-16) on a CPU is slower.
        metric_protocol (`str`): protocol of `RefSegMetric` in evaluations; it also sets the mask threshold.
        interpolation (`str`): `"clean"` or `"paper"`, the way back to the original size in evaluations.

    Raises:
        ValueError: for an unknown name, listing the known ones.
    """

    max_grad_norm: float = field(default=0.0, metadata={"help": "0 turns gradient clipping off, as in the papers."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "The collator needs all columns."})
    dataloader_pin_memory: bool = field(
        default_factory=torch.cuda.is_available, metadata={"help": "Only of use with a GPU."}
    )
    report_to: None | str | list[str] = field(
        default="auto", metadata={"help": "auto: TensorBoard if it is installed, else none."}
    )

    schedule: str | None = field(default=None, metadata={"help": f"One of {SCHEDULES}."})
    lr_end: float = field(default=0.0, metadata={"help": "Rate at the end of the polynomial decay."})
    lr_power: float = field(default=1.0, metadata={"help": "Exponent of the polynomial decay."})
    lr_decay_steps: int | None = field(default=None, metadata={"help": "Length of the polynomial decay in steps."})
    lr_decay_factor: float = field(default=0.1, metadata={"help": "Of the staircase and the exponential."})
    lr_decay_every: int | None = field(default=None, metadata={"help": "Steps in which the rate falls by the factor."})
    lr_decay_start: int = field(default=0, metadata={"help": "Steps before the exponential decay begins."})
    gradient_clamp: float = field(default=0.0, metadata={"help": "Limit of every number of the gradient; 0: none."})
    optimizer: str | None = field(default=None, metadata={"help": f"One of {OPTIMIZERS}."})
    momentum: float = field(default=0.9, metadata={"help": "Momentum of sgd."})
    weight_decay_scope: str | None = field(default=None, metadata={"help": f"One of {tuple(DECAY_SCOPES)}."})
    bias_gradient_multiplier: float = field(default=1.0, metadata={"help": "On convolution biases."})
    freeze: str = field(default="none", metadata={"help": f"One of {tuple(FREEZE_SCOPES)}."})
    naming_steps: int = field(default=0, metadata={"help": "Steps of the stage that names words; 0: none."})
    channels_last: bool = field(default=False, metadata={"help": "Layout of the images in memory."})
    metric_protocol: str = field(default="hu2016", metadata={"help": "Protocol of RefSegMetric in evaluations."})
    interpolation: str = field(default="clean", metadata={"help": "clean or paper: the way to the original size."})

    def __post_init__(self):
        if self.report_to == "auto":
            self.report_to = "tensorboard" if is_tensorboard_available() else "none"
            if self.report_to == "none":
                logger.warning("tensorboard is not installed: metrics go to the log and to trainer_state.json only")
        super().__post_init__()
        get_protocol(self.metric_protocol)
        for name, allowed in (
            ("schedule", (None, *SCHEDULES)),
            ("optimizer", (None, *OPTIMIZERS)),
            ("weight_decay_scope", (None, *DECAY_SCOPES)),
            ("freeze", tuple(FREEZE_SCOPES)),
            ("interpolation", ("clean", "paper")),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"unknown {name} {value!r}: choose one of {', '.join(map(str, allowed))}")
