"""A training from its recipe to the trained model: what `train.py` and `hf-refseg train` do."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from transformers.utils import logging

from ..evaluation.results import write_eval_results
from ..writing import claimed_folder, write_text
from .arguments import RefSegTrainingArguments
from .checkpointing import last_complete_checkpoint, require_fresh
from .curve import plot_training_curve
from .initial_weights import require_pretrained
from .parameter_scopes import parameters_in
from .recipe import Recipe, load_recipe
from .recipe_files import DEFAULT_RECIPE
from .task import TrainingTask
from .trainer import ReferringSegmentationTrainer

logger = logging.get_logger(__name__)


@dataclass
class TrainingRun:
    """
    A training that is ready to start.

    Args:
        recipe: says everything.
        args: its section `training`.
        task: the parts, made by the family.
        resume: whether to resume from the last complete checkpoint of `output_dir`.
    """

    recipe: Recipe
    args: RefSegTrainingArguments
    task: TrainingTask
    resume: bool

    def start(self) -> dict[str, Any]:
        """
        Run the stages, train, evaluate, and save everything into `output_dir`.

        The model and its processor are there afterwards, loadable by `from_pretrained`, with `eval_results.json`,
        `recipe.yaml` and `curve.png`.

        Returns:
            What the evaluators measured; empty where there are none.

        Raises:
            FileExistsError: another training writes into `output_dir`.
            FloatingPointError: the training diverged.
        """
        if self.args.process_index > 0:
            return self._start()
        with claimed_folder(self.args.output_dir, "training", "--output_dir"):
            if not self.resume:
                require_fresh(self.args.output_dir)  # another training may have begun and ended meanwhile
            return self._start()

    def _start(self) -> dict[str, Any]:
        task, args = self.task, self.args
        if not (self.resume and last_complete_checkpoint(args.output_dir)):
            for stage in task.stages:
                stage()
        trainer = ReferringSegmentationTrainer(
            model=task.model,
            args=args,
            processing_class=task.processor,
            train_dataset=task.train_rows,
            eval_dataset=task.eval_rows,
            data_collator=task.collator,
            evaluators=task.evaluators,
            parameter_scopes=self.recipe.keys.parameter_scopes,
        )
        trainer.train(resume_from_checkpoint=self.resume)
        trainer.save_model()
        metrics = {}
        if task.evaluators is not None:
            trainer.evaluate()
            metrics = trainer.last_metrics
        if trainer.is_world_process_zero():
            self._write(trainer, metrics)
        return metrics

    def _write(self, trainer: ReferringSegmentationTrainer, metrics: dict[str, Any]) -> None:
        output_dir = Path(self.args.output_dir)
        write_text(output_dir / "recipe.yaml", yaml.safe_dump(self.recipe.said, sort_keys=False))
        if any("loss" in entry for entry in trainer.state.log_history):
            plot_training_curve(trainer.state.log_history, output_dir / "curve.png")
        else:
            logger.warning(f"no curve.png: nothing was logged in {self.args.max_steps} steps (logging_steps)")
        logger.warning(f"the model is in {output_dir}")
        if metrics:
            counts = {"rows": len(self.task.eval_rows)}
            if "protocol" in metrics:
                counts |= {"expressions": metrics["num"], "cut_off": metrics["cut_off"]}
            write_eval_results(
                output_dir,
                {name: value for name, value in metrics.items() if isinstance(value, float) and name != "loss"},
                dataset=self.recipe.data.name,
                split=self.recipe.data.eval_split,
                counts=counts,
                protocol=metrics.get("protocol"),
                command=shlex.join(["hf-refseg", "train", str(output_dir / "recipe.yaml")]),
            )
            logger.warning(self.task.evaluators.summary(metrics))


def prepare(
    name_or_path: str | Path = DEFAULT_RECIPE, overrides: Sequence[str] = (), resume: bool = False
) -> TrainingRun:
    """
    Read a recipe and make the parts of its training.

    Args:
        name_or_path: a YAML file, or the name of a recipe that comes with the package.
        overrides: `["--key", "value", ...]`, see `hf_refseg.training.recipe`.
        resume: resume from the last complete checkpoint of `output_dir`.

    Raises:
        FileExistsError: without `resume`, `output_dir` holds the checkpoints of an earlier training.
        FileNotFoundError, ValueError: of [`load_recipe`], and what a family says of its data and weights.
    """
    recipe = load_recipe(name_or_path, overrides)
    args = recipe.training_arguments()
    if not resume:
        require_fresh(args.output_dir)
    logging.set_verbosity(args.get_process_log_level())
    task = recipe.system.module("training").build(recipe, args)
    if args.freeze is not None:
        frozen = parameters_in(task.model, recipe.keys.parameter_scopes, args.freeze, "freeze")
        require_pretrained(frozen, task.pretrained)
    return TrainingRun(recipe, args, task, resume)
