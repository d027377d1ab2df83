"""transformers' Trainer with the papers' optimization, an exact metric, and checkpoints that are whole or ignored."""

from pathlib import Path

import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, EvalLoopOutput, has_length, rotate_checkpoints
from transformers.utils import logging

from ..evaluation.batches import NumberedRows
from ..evaluation.evaluators import Evaluators
from ..writing import naming_the_disk
from .arguments import RefSegTrainingArguments
from .checkpointing import last_complete_checkpoint, missing_files, remove_manifest, write_manifest
from .parameter_scopes import (
    Scopes,
    decayed_parameters,
    freeze_parameters,
    frozen_normalizations,
    parameter_rates,
    scale_gradients,
)
from .schedules import build_scheduler
from .tensorflow_adam import TensorFlowAdam

logger = logging.get_logger(__name__)


class CollatorEpoch(TrainerCallback):
    """Tells the collator which epoch it draws for, so that a resumed run flips and picks as the killed one would."""

    def __init__(self, collator):
        self.collator = collator

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.collator.set_epoch(int(state.epoch or 0))


class FiniteGradients(TrainerCallback):
    """Ends a training that diverges before its weights are spoiled."""

    def __init__(self, trainer: "ReferringSegmentationTrainer"):
        self.trainer = trainer

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        if self.trainer.accelerator.scaler is not None:  # it skips such steps of fp16 itself
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        self.trainer.require_finite("the norm of its gradient", torch.nn.utils.get_total_norm(gradients))


class GradientClamp(TrainerCallback):
    """Limits every number of the accumulated gradient just before the optimizer sees it."""

    def __init__(self, accelerator, limit: float):
        self.accelerator, self.limit = accelerator, limit

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.accelerator.clip_grad_value_(model.parameters(), self.limit)


class ReferringSegmentationTrainer(Trainer):
    """
    Trains and evaluates any model of this package.

    Args:
        model: returns an output with `loss` for a batch of the collator.
        args ([`RefSegTrainingArguments`]): transformers' arguments and the papers'.
        processing_class: the model's processor, saved with it.
        data_collator: rows -> inputs of the model, targets included; has `set_epoch` ([`RowDraws`]).
        evaluators ([`Evaluators`], *optional*): what `evaluate()` measures, e.g.
            `referring_evaluators(processor, "hu2016")`; None: there is nothing to evaluate.
        parameter_scopes: names of groups of parameters, and the patterns of their names, that `args` may name; see
            `hf_refseg.training.parameter_scopes`.
        train_dataset, eval_dataset: rows of the one schema (`hf_refseg.data`); evaluation needs a known length.
        kwargs: of transformers' `Trainer`, without `compute_metrics` and `model_init`.

    `evaluate()` reports what the evaluators compute, with "eval_" before each name: for masks `eval_oIoU`, `eval_mIoU`,
    `eval_Pr@0.5` ... and `eval_loss`, `eval_num`, `eval_protocol`. `metric_for_best_model: oIoU` chooses the best
    checkpoint. `last_metrics` has the same numbers of the last evaluation under their own names.
    """

    def __init__(
        self,
        *,
        model,
        args: RefSegTrainingArguments,
        processing_class,
        data_collator,
        evaluators: Evaluators | None = None,
        parameter_scopes: Scopes | None = None,
        callbacks=None,
        **kwargs,
    ):
        for name in ("compute_metrics", "preprocess_logits_for_metrics", "model_init"):
            if kwargs.get(name) is not None:
                raise ValueError(f"this trainer does not read {name}: give evaluators, and the model itself")
        self.evaluators, self.parameter_scopes = evaluators, parameter_scopes or {}
        # Before Trainer wraps the model: the optimizer and distributed training only see what is trained.
        if args.freeze is not None:
            freeze_parameters(model, self.parameter_scopes, args.freeze)
        scale_gradients(model, self.parameter_scopes, args.gradient_factors)
        self._frozen_normalizations = frozen_normalizations(model)
        if not has_length(kwargs.get("train_dataset", ())):
            # Every process reads its own shards of a stream. Accelerate would cut one process's batches up for all,
            # which batches of a free number of expressions don't allow.
            args.accelerator_config.dispatch_batches = False
        super().__init__(
            model=model,
            args=args,
            processing_class=processing_class,
            data_collator=data_collator,
            callbacks=[CollatorEpoch(data_collator), *(callbacks or [])],
            optimizer_cls_and_kwargs=_paper_optimizer(args),
            **kwargs,
        )
        # Our forwards take and ignore extra keywords, which Trainer would take for a loss normalized by token counts.
        self.model_accepts_loss_kwargs = False
        self.add_callback(FiniteGradients(self))  # before the clamp, which would hide what is infinite
        if args.gradient_clamp:
            self.add_callback(GradientClamp(self.accelerator, args.gradient_clamp))

    # ---- Optimization ----

    def get_decay_parameter_names(self, model: torch.nn.Module) -> list[str]:
        if self.args.weight_decay_scope is None:
            return super().get_decay_parameter_names(model)
        return decayed_parameters(model, self.parameter_scopes, self.args.weight_decay_scope)

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        """Trainer's, in which parameters with a rate of their own (`rate_factors`) have groups of their own."""
        is_new = self.optimizer is None
        optimizer = super().create_optimizer(model)
        if is_new and self.args.rate_factors:
            trained = self.model if model is None else model
            rates = parameter_rates(trained, self.parameter_scopes, self.args.rate_factors)
            factor_of = {trained.get_parameter(name): factor for name, factor in rates.items()}
            groups = list(optimizer.param_groups)
            optimizer.param_groups.clear()
            for group in groups:
                factors = [factor_of.get(parameter, 1.0) for parameter in group["params"]]
                for factor in dict.fromkeys(factors):
                    members = [p for p, own in zip(group["params"], factors, strict=True) if own == factor]
                    optimizer.add_param_group({**group, "params": members, "lr": factor * group["lr"]})
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None):
        if self.lr_scheduler is None and self.args.schedule is not None:
            self.lr_scheduler = build_scheduler(
                optimizer or self.optimizer,
                self.args.schedule,
                learning_rate=self.args.learning_rate,
                num_training_steps=num_training_steps,
                end=self.args.lr_end,
                power=self.args.lr_power,
                decay_steps=self.args.lr_decay_steps,
                factor=self.args.lr_decay_factor,
                every=self.args.lr_decay_every,
                start=self.args.lr_decay_start,
                warmup_steps=self.args.get_warmup_steps(num_training_steps),
            )
            self._created_lr_scheduler = True
        return super().create_scheduler(num_training_steps, optimizer)

    def _prepare_inputs(self, inputs):
        inputs = super()._prepare_inputs(inputs)
        if self.args.channels_last and "pixel_values" in inputs:
            images = inputs["pixel_values"].contiguous(memory_format=torch.channels_last)
            inputs = {**inputs, "pixel_values": images}
        return inputs

    def compute_loss(self, model, inputs, *args, **kwargs):
        for module in self._frozen_normalizations:
            module.eval()  # Trainer has just put the whole model into training mode
        return super().compute_loss(model, inputs, *args, **kwargs)

    def training_step(self, model, inputs, *args, **kwargs) -> torch.Tensor:
        loss = super().training_step(model, inputs, *args, **kwargs)
        self.require_finite("its loss", loss)
        return loss

    def require_finite(self, what: str, number: torch.Tensor) -> None:
        """
        Raises:
            FloatingPointError: `number` is infinite or no number: the training has diverged.
        """
        if not number.isfinite():
            raise FloatingPointError(
                f"the training diverged at step {self.state.global_step + 1}: {what} is {number.item()}. Begin again "
                f"with a lower --learning_rate (it is {self.args.learning_rate}), more --warmup_steps or "
                "--max_grad_norm 1; where the first step diverges, look at the weights and pictures it began with. "
                f"The last whole checkpoint: {last_complete_checkpoint(self.args.output_dir)}"
            )

    # ---- Checkpoints ----

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs):
        """Train; `resume_from_checkpoint=True` resumes from the last complete checkpoint of `output_dir`.

        Raises:
            ValueError: if a checkpoint named by path is not complete.
        """
        if resume_from_checkpoint is True:
            resume_from_checkpoint = last_complete_checkpoint(self.args.output_dir)
            if resume_from_checkpoint is None:
                logger.warning(f"no complete checkpoint in {self.args.output_dir}: training starts at step 0")
        elif resume_from_checkpoint and (missing := missing_files(resume_from_checkpoint)):
            raise ValueError(
                f"{resume_from_checkpoint} is not a complete checkpoint (absent or cut short: {', '.join(missing)}); "
                f"the last complete one of {self.args.output_dir} is {last_complete_checkpoint(self.args.output_dir)}"
            )
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def _run_epoch(self, *args, **kwargs) -> None:
        """As Trainer, which takes one step too many where it resumes from a checkpoint of the last step."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False):
        with naming_the_disk(output_dir or self.args.output_dir):
            super().save_model(output_dir, _internal_call)

    def _save_checkpoint(self, model, trial):
        folder = Path(self._get_output_dir(trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        if self.args.should_save:
            remove_manifest(folder)
        # Old checkpoints may go only when this one is whole, so Trainer's own rotation is switched off meanwhile.
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            with naming_the_disk(folder):
                super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = limit
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            write_manifest(folder)
            rotate_checkpoints(
                output_dir=str(folder.parent),
                save_total_limit=limit,
                best_model_checkpoint=self.state.best_model_checkpoint,
                use_mtime=True,
            )

    # ---- The Hub ----

    def init_hf_repo(self, *args, **kwargs) -> None:
        """As in transformers; what is saved from now on has its code, so that it works without this package."""
        self.model.take_code_along()
        self.processing_class.take_code_along()
        super().init_hf_repo(*args, **kwargs)

    # ---- Evaluation ----

    def get_eval_dataloader(self, eval_dataset=None) -> DataLoader:
        if isinstance(eval_dataset, str):
            eval_dataset = self.eval_dataset[eval_dataset]
        rows = self.eval_dataset if eval_dataset is None else eval_dataset
        if rows is None or self.evaluators is None:
            raise ValueError("evaluation needs an eval_dataset and evaluators")
        return self.accelerator.prepare(
            DataLoader(
                NumberedRows(rows),
                batch_size=self.args.eval_batch_size,
                collate_fn=self.evaluators.batch,
                num_workers=self.args.dataloader_num_workers,
            )
        )

    def get_test_dataloader(self, test_dataset) -> DataLoader:
        """For `predict`, which gives the metrics under "test_" and no predictions: `hf-refseg evaluate` keeps masks."""
        return self.get_eval_dataloader(test_dataset)

    def hyperparameter_search(self, *args, **kwargs):
        """
        Raises:
            NotImplementedError: always; a search begins every trial with a new model, which a recipe makes.
        """
        raise NotImplementedError(
            "a trainer has one model, and a search begins each trial with a new one: start one training per setting, "
            "such as hf-refseg train NAME --learning_rate 1e-4 --output_dir runs/1"
        )

    def evaluation_loop(
        self, dataloader, description, prediction_loss_only=None, ignore_keys=None, metric_key_prefix="eval"
    ) -> EvalLoopOutput:
        """Let the evaluators ask the model about each row, once over all processes."""
        model = self.accelerator.unwrap_model(self.model_wrapped).eval()
        self.callback_handler.eval_dataloader = dataloader
        for batch in dataloader:
            batch = {**batch, "inputs": self._prepare_inputs(batch["inputs"])}
            with self.compute_loss_context_manager():
                self.evaluators.add(model, batch)
            self.control = self.callback_handler.on_prediction_step(self.args, self.state, self.control)
        self.last_metrics = self.evaluators.compute()
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self.last_metrics.items()}
        return EvalLoopOutput(predictions=None, label_ids=None, metrics=metrics, num_samples=self.last_metrics["num"])


def _paper_optimizer(args: RefSegTrainingArguments):
    if args.optimizer == "adam":
        betas = (args.adam_beta1, args.adam_beta2)
        return TensorFlowAdam, {"lr": args.learning_rate, "betas": betas, "eps": args.adam_epsilon}
    if args.optimizer == "sgd":
        return torch.optim.SGD, {"lr": args.learning_rate, "momentum": args.momentum}
    return None
