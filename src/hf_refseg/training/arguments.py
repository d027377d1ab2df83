"""Arguments of the trainer: transformers' own, and what the papers' schedules need beside them."""

import dataclasses
from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments
from transformers.integrations import is_tensorboard_available
from transformers.utils import logging

from .schedules import SCHEDULES

logger = logging.get_logger(__name__)

OPTIMIZERS = ("adam", "sgd")

# Which schedules, and which optimizer, read an argument; said for another one it is an error.
READERS = {
    "lr_end": ("polynomial",),
    "lr_power": ("polynomial",),
    "lr_decay_steps": ("polynomial",),
    "lr_decay_factor": ("staircase", "exponential"),
    "lr_decay_every": ("staircase", "exponential"),
    "lr_decay_start": ("exponential",),
    "momentum": ("sgd",),
}


COUNTED = "evaluators count every batch when it is answered, and keep no predictions"
WORDS = "it is for language models"
# Fields of transformers that a training here has no use for, and why: said, they are an error.
UNREAD = {
    "label_smoothing_factor": "it is for classes, and labels are masks here",
    "remove_unused_columns": "the collator reads the whole row",
    "length_column_name": "rows have no column of lengths",
    "label_names": "a model says itself what it learns from",
    "prediction_loss_only": COUNTED,
    "eval_do_concat_batches": COUNTED,
    "eval_use_gather_object": COUNTED,
    "eval_accumulation_steps": COUNTED,
    "include_for_metrics": COUNTED,
    "batch_eval_metrics": COUNTED,
    "include_num_input_tokens_seen": "it would count pixels",
    "use_liger_kernel": WORDS,
    "liger_kernel_config": WORDS,
    "use_cache": WORDS,
    "debug": "it looks at floating point outputs alone, and a training that diverges ends by itself",
    "resume_from_checkpoint": "say it at the start: --resume, or trainer.train(resume_from_checkpoint=True)",
}
SAMPLING = ("random", "sequential")

LEAST = {  # of numbers with which a training would fail later, or do nothing
    "learning_rate": 0,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 0,
    "dataloader_num_workers": 0,
}


@dataclass
class RefSegTrainingArguments(TrainingArguments):
    """
    `transformers.TrainingArguments` with the papers' schedules, optimizers and treatment of single parameters.

    Left at None, `schedule` and `optimizer` leave the choice to transformers' own `lr_scheduler_type` and `optim`.
    Gradient clipping is off and no dataset column is dropped, unlike transformers' defaults; TensorBoard is the default
    of `report_to` where it is installed.

    A scope is a name for some of the parameters of a model, such as `"backbone"`. Each family has its own, the
    `parameter_scopes` of the trainer.

    Args:
        schedule (`str`, *optional*): `"polynomial"` (RMI), `"staircase"` (Hu et al.), `"exponential"` (MAttNet) or
            `"constant"`.
        lr_end (`float`): rate at the end of the polynomial decay.
        lr_power (`float`): its exponent.
        lr_decay_steps (`int`, *optional*): its length in optimizer steps; `max_steps` if not given.
        lr_decay_factor (`float`), lr_decay_every (`int`, *optional*): the staircase: times factor every so many steps;
            the exponential: as much, but continuously.
        lr_decay_start (`int`): steps before the exponential decay begins.
        gradient_clamp (`float`): limit of every single number of the gradient (MAttNet: 0.1); 0: none.
        optimizer (`str`, *optional*): `"adam"`, TensorFlow's Adam with the L2 term inside the gradient as in the papers
            (not AdamW), or `"sgd"`.
        momentum (`float`): of `"sgd"`.
        weight_decay_scope (`str`, *optional*): whose matrices and kernels `weight_decay` applies to; None is
            transformers' rule, everything but biases and normalization.
        freeze (`str`, *optional*): the scope that is not trained.
        rate_factors (`dict`): {scope: factor on the learning rate} (CAC: 10 for its new layers).
        gradient_factors (`dict`): {scope: factor on the gradient before the optimizer} (RMI: 2 for the biases of its
            convolutions).
        channels_last (`bool`): hand images to the model in PyTorch's channels-last layout. Same numbers; a GPU in bf16
            and a narrow network on a CPU are faster with it, a wide one (VGG-16) on a CPU is slower.

    Raises:
        ValueError: for a number that is out of range; an unknown name, listing the known ones; an argument that
            nothing here, or not the schedule or the optimizer, reads; a factor that is not above 0.
    """

    max_grad_norm: float = field(default=0.0, metadata={"help": "0 turns gradient clipping off, as in the papers."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "The collator needs all columns."})
    dataloader_pin_memory: bool = field(
        default_factory=torch.cuda.is_available, metadata={"help": "Only of use with a GPU."}
    )
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Such losses end a training."})
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
    weight_decay_scope: str | None = field(default=None, metadata={"help": "The scope that decays."})
    freeze: str | None = field(default=None, metadata={"help": "The scope that is not trained."})
    rate_factors: dict[str, float] = field(default_factory=dict, metadata={"help": "Learning rates of scopes."})
    gradient_factors: dict[str, float] = field(default_factory=dict, metadata={"help": "On gradients of scopes."})
    channels_last: bool = field(default=False, metadata={"help": "Layout of the images in memory."})

    def __post_init__(self):
        if self.report_to == "auto":
            self.report_to = "tensorboard" if is_tensorboard_available() else "none"
            if self.report_to == "none":
                logger.warning("tensorboard is not installed: metrics go to the log and to trainer_state.json only")
        for name, least in LEAST.items():
            number = getattr(self, name)
            if not (isinstance(number, int | float) and least <= number < float("inf")):
                raise ValueError(f"{name} is {number!r}; give a number, {least} or more")
        if type(self.max_steps) is not int or self.max_steps == 0 or self.max_steps < -1:  # Trainer takes 0 for -1
            raise ValueError(f"max_steps is {self.max_steps!r}; give 1 or more, or -1 for all of num_train_epochs")
        for name, reason in UNREAD.items():
            spec = self.__dataclass_fields__[name]
            default = spec.default if spec.default_factory is dataclasses.MISSING else spec.default_factory()
            if (value := getattr(self, name)) not in (default, None):
                raise ValueError(f"{name} is {value!r}: {reason}; leave it out")
        if self.train_sampling_strategy not in SAMPLING:
            raise ValueError(
                f"train_sampling_strategy is {self.train_sampling_strategy!r}: rows have no lengths; choose one of "
                f"{', '.join(SAMPLING)}"
            )
        super().__post_init__()
        for name, allowed in (("schedule", (None, *SCHEDULES)), ("optimizer", (None, *OPTIMIZERS))):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"unknown {name} {value!r}: choose one of {', '.join(map(str, allowed))}")
        for argument, readers in READERS.items():
            changed = getattr(self, argument) != self.__dataclass_fields__[argument].default
            if changed and self.schedule not in readers and self.optimizer not in readers:
                chosen = f"optimizer {self.optimizer}" if argument == "momentum" else f"schedule {self.schedule}"
                raise ValueError(f"{chosen} does not read {argument}; it is for {' and '.join(readers)}")
        for name in ("rate_factors", "gradient_factors"):
            for scope, factor in getattr(self, name).items():
                if not factor > 0:
                    raise ValueError(f"{name} has {factor} for {scope!r}: give a factor above 0, or freeze the scope")
