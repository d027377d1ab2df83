"""`hf-refseg train`, which is also what `train.py` runs. Heavy imports wait until the command runs."""

import argparse
import logging
import sys
import traceback

from .recipe_files import DEFAULT_RECIPE, FOLDER, describe_recipe, recipe_names

FLAGS = ("--resume", "-h", "--help")

DESCRIPTION = """\
Train a model by a recipe, a YAML file: a name from the list below, or a path.

  hf-refseg train                                          the small default: drawn shapes, minutes on a CPU
  hf-refseg train r_rmi --path data/refcoco --partition unc
  hf-refseg train tiny_refshapes --resume                  resume from the last complete checkpoint of a killed run
  accelerate launch -m hf_refseg.cli train r_rmi ...       several GPUs

Any key of a recipe can be given as --key value, or as --section.key value where two sections have it; an unknown one is
an error that names the nearest. The model and its processor end up in --output_dir, loadable by from_pretrained,
beside eval_results.json, recipe.yaml and curve.png.
"""


def add_commands(commands) -> None:
    """Adds the command to the subparsers of the command line."""
    names = recipe_names()
    width = max(map(len, names), default=0)
    recipes = "\n".join(f"  {name:{width}}  {describe_recipe(name)}" for name in names)
    train = commands.add_parser(
        "train",
        help="train a model by a recipe",
        usage="hf-refseg train [RECIPE] [--resume] [--key value ...]",
        description=DESCRIPTION,
        epilog=f"recipes of {FOLDER}:\n{recipes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("recipe", nargs="?", default=DEFAULT_RECIPE, help="name or YAML file (%(default)s)")
    train.add_argument("--resume", action="store_true", help="resume from the last complete checkpoint")
    train.set_defaults(run=run_train)


def split_overrides(words: list[str]) -> tuple[list[str], list[str]]:
    """The words of a command line that the parser knows, and the overrides of `train`: all that is not its recipe (the
    first word) or a flag. Other commands have none."""
    if words[:1] != ["train"]:
        return words, []
    known = {0} | {index for index, word in enumerate(words) if word in FLAGS}
    if len(words) > 1 and not words[1].startswith("-"):
        known.add(1)
    return [words[index] for index in sorted(known)], [word for i, word in enumerate(words) if i not in known]


def run_train(options: argparse.Namespace, overrides: list[str]) -> None:
    """Trains; an error of the recipe, the data or the weights is one line, one of the training has its traceback."""
    from .run import prepare

    logging.basicConfig(format="%(message)s")
    run = prepare(options.recipe, overrides, options.resume)
    try:
        run.start()
    except Exception:  # `main` would hide where it happened
        traceback.print_exc()
        sys.exit(1)
