"""Training: transformers' Trainer with the papers' optimization, exact evaluation and whole checkpoints.

Read `run` first: from a recipe to the trained model. `recipe`, `recipe_files` and `sections` say what a recipe is,
`task` what a family makes of it (`models/<family>/training_<family>.py`), `trainer` and `arguments` how it is trained.
"""

import importlib

# Imported when first used: the command line needs neither torch nor transformers to list its commands.
_MODULE_OF = {"RefSegTrainingArguments": "arguments", "ReferringSegmentationTrainer": "trainer"}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
