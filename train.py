"""Train a referring segmentation model by a recipe: `python train.py [configs/NAME.yaml] [--key value ...]`.

    python train.py                                        the tiny default: RMI on drawn shapes, minutes on a CPU
    accelerate launch train.py configs/r_rmi.yaml --path data/refcoco --partition unc
    python train.py configs/tiny_refshapes.yaml --resume   go on from the last complete checkpoint of a killed run
    ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 train.py      two processes on a CPU

Any key of a recipe can be given on the command line (see `hf_refseg.training.recipe`); an unknown one is an error that
names the nearest known keys. The trained model and its processor end up in `output_dir`, loadable by `from_pretrained`,
beside `eval_results.json`, `recipe.yaml` and `curve.png`.
"""

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

import yaml
from transformers import set_seed
from transformers.utils import logging as transformers_logging

import hf_refseg  # noqa: F401  (registers the models)
from hf_refseg.training import ReferringSegmentationTrainer
from hf_refseg.training.build import (
    DataArguments,
    ModelArguments,
    ProcessorArguments,
    build_collators,
    build_model,
    build_processor,
    build_rows,
    training_sentences,
)
from hf_refseg.training.checkpointing import last_complete_checkpoint, require_fresh
from hf_refseg.training.curve import plot_training_curve
from hf_refseg.training.recipe import load_recipe
from hf_refseg.training.word_naming import name_words

DEFAULT_RECIPE = Path(__file__).parent / "configs" / "tiny_refshapes.yaml"
logger = transformers_logging.get_logger("hf_refseg.train")


def parse_command_line(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The recipe (first word, if it is no --key), our own flags, and the overrides, which are all other words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default=DEFAULT_RECIPE, help="a YAML file of configs/")
    parser.add_argument("--resume", action="store_true", help="go on from the last complete checkpoint of output_dir")
    own = [index for index, word in enumerate(words) if word in ("--resume", "-h", "--help")]
    own += [0] if words and not words[0].startswith("-") else []
    return parser.parse_args([words[index] for index in own]), [w for i, w in enumerate(words) if i not in own]


def main(words: list[str] | None = None) -> dict[str, float]:
    """Train, evaluate and save; returns the final metrics."""
    options, overrides = parse_command_line(sys.argv[1:] if words is None else words)
    try:
        recipe = load_recipe(options.recipe, overrides)
        args = recipe.training_arguments()
        if not options.resume:
            require_fresh(args.output_dir)
    except (ValueError, FileNotFoundError, FileExistsError) as error:
        raise SystemExit(f"train.py: {error}") from error
    logging.basicConfig(format="%(message)s")
    transformers_logging.set_verbosity(args.get_process_log_level())

    data = DataArguments(**recipe.data)
    model_arguments = ModelArguments.from_section(recipe.model)
    train_rows = build_rows(data, data.train_split, data.train_samples, data.expression_types)
    eval_types = data.eval_expression_types or data.expression_types
    eval_rows = build_rows(data, data.eval_split, data.eval_samples, eval_types)
    processor = build_processor(
        ProcessorArguments(**recipe.processor), model_arguments, training_sentences(data, train_rows)
    )
    set_seed(args.seed)  # the same initial weights whatever was read before
    model = build_model(model_arguments, processor.tokenizer, "none" if args.naming_steps else args.freeze)
    if args.naming_steps and not (options.resume and last_complete_checkpoint(args.output_dir)):
        name_words(
            model,
            processor,
            train_rows,
            args.naming_steps,
            seed=args.seed,
            channels_last=args.channels_last,
        )
    train_collator, eval_collator = build_collators(data, processor, model, args.seed)
    trainer = ReferringSegmentationTrainer(
        model=model,
        args=args,
        processing_class=processor,
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        data_collator=train_collator,
        eval_collator=eval_collator,
    )
    trainer.train(resume_from_checkpoint=options.resume)
    trainer.save_model()
    metrics = trainer.evaluate() if eval_collator is not None else {}
    if trainer.is_world_process_zero():
        output_dir = Path(args.output_dir)
        (output_dir / "recipe.yaml").write_text(yaml.safe_dump(dataclasses.asdict(recipe), sort_keys=False))
        if any("loss" in entry for entry in trainer.state.log_history):
            plot_training_curve(trainer.state.log_history, output_dir / "curve.png")
        else:
            logger.warning(f"no curve.png: nothing was logged in {args.max_steps} steps (logging_steps)")
        logger.warning(f"the model is in {output_dir}")
        if metrics:
            trainer.save_metrics("eval", metrics, combined=False)
            logger.warning(
                f"oIoU {metrics['eval_oIoU']:.3f}, mIoU {metrics['eval_mIoU']:.3f} "
                f"({metrics['eval_protocol']}, {metrics['eval_num']} expressions)"
            )
    return metrics


if __name__ == "__main__":
    main()
