"""A training run as one YAML file, in sections; every key can be overridden on the command line.

    model:      {model_type: refseg_rmi, hidden_size: 128, backbone_config: {...}}
    processor:  {size: 128}
    data:       {dataset: refshapes/refcoco}
    weights:    {backbone: FOLDER}
    evaluation: {protocol: hu2016}
    stages:     {naming: {steps: 300}}
    training:   {output_dir: runs/tiny, learning_rate: 1e-3}

The family of the model decides which keys there are: `model` has the fields of its configuration, `training` those of
`RefSegTrainingArguments`, and the dataclasses of the others are in `models/<family>/training_<family>.py`. A key that
nobody would read is an error. `null` means the same as leaving a key out. A recipe inherits from the file that it
names as `base`, see `recipe_files.py`.

On the command line `--learning_rate 2e-3` or `--training.learning_rate 2e-3`, and
`--model.backbone_config.depths "[1, 1]"`. Values are YAML 1.2.
"""

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from ..systems import SYSTEMS, System, find_system
from .arguments import RefSegTrainingArguments
from .parameter_scopes import require_scope
from .recipe_files import Loader, find_recipe, read_recipe
from .sections import RecipeKeys, check_type, read_section, section_keys

SECTIONS = ("model", "processor", "data", "weights", "evaluation", "stages", "training")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """
    A checked recipe: every key is read by somebody.

    Args:
        system: the family of the model.
        said: what the recipe says, by section; this is what `recipe.yaml` of a run holds.
        model: fields of the configuration.
        processor, data, weights, evaluation, stages: the sections of the family, see its `KEYS`.
    """

    system: System
    said: dict[str, dict[str, Any]]
    model: dict[str, Any]
    processor: Any
    data: Any
    weights: Any
    evaluation: Any
    stages: Any

    @property
    def keys(self) -> RecipeKeys:
        """What recipes of the family may say."""
        return self.system.module("training").KEYS

    def training_arguments(self) -> RefSegTrainingArguments:
        """The `training` section."""
        return RefSegTrainingArguments(**self.said["training"])

    def require_unsaid(self, keys: Mapping[str, Sequence[str]], why: str) -> None:
        """
        Refuse keys that a kind of training does not read although its family does.

        Args:
            keys: per section the keys.
            why: the end of the error.

        Raises:
            ValueError: the recipe says one of them.
        """
        for section, names in keys.items():
            for name in names:
                if name in self.said[section]:
                    raise ValueError(f"{section}.{name} is not read: {why}; leave it out (--{section}.{name} null)")

    def config(self, **derived) -> PreTrainedConfig:
        """The configuration that the `model` section describes; `derived` are fields that follow from other things.

        Raises:
            ValueError: the section describes no model.
        """
        values = {**self.model, **derived}
        try:
            if isinstance(values.get("backbone_config"), Mapping):
                backbone = dict(values["backbone_config"])
                model_type = backbone.pop("model_type", None)
                if model_type not in CONFIG_MAPPING:
                    ours = ", ".join(system.model_type for system in SYSTEMS if system.kind == "backbone")
                    raise ValueError(
                        f"backbone_config.model_type is {model_type!r}: give that of a backbone, ours ({ours}) or one "
                        "of transformers"
                    )
                values["backbone_config"] = AutoConfig.for_model(model_type, **backbone)
            return CONFIG_MAPPING[self.system.model_type](**values)
        except Exception as error:  # backbones come from transformers and timm, which raise what they like
            raise ValueError(f"model section of the recipe: {error}") from error


# Arguments that transformers' Trainer leaves to the script around it; ours always trains, and evaluates as said.
OF_SCRIPTS = ("do_train", "do_eval", "do_predict")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply command-line overrides to it.

    Args:
        name_or_path: a YAML file, or the name of a recipe that comes with the package, e.g. `"r_rmi"`.
        overrides: `["--key", "value", "--section.key=value", ...]`; a key without section must be known to one section
            only.

    Raises:
        FileNotFoundError: no such file; names those that there are.
        ValueError: a key in the files or on the command line that the family does not read, with the nearest that it
            reads; a key that two sections know; an override without value; a value of another type; values that
            contradict each other.
    """
    path = find_recipe(name_or_path)
    sections, changes = read_recipe(path, SECTIONS), parse_overrides(overrides)
    for name in ("model_type", "model.model_type"):
        if name in changes:
            sections["model"]["model_type"] = changes.pop(name)
    system = find_family(sections["model"].pop("model_type", None), path)
    keys: RecipeKeys = system.module("training").KEYS
    known = known_keys(system, keys)
    for section, values in sections.items():
        for key in values:
            if key not in known[section]:
                raise unknown_key(f"{section}.{key}", known, f"in {path}", system, keys)
    for name, value in changes.items():
        section, *parents, key = find_key(name, known, system, keys)
        values = sections[section]
        for parent in parents:
            values[parent] = dict(values.get(parent) or {})
            values = values[parent]
        values[key] = value
    sections = {name: {k: v for k, v in values.items() if v is not None} for name, values in sections.items()}
    training, hints = sections["training"], typing.get_type_hints(RefSegTrainingArguments)
    for key, value in training.items():
        check_type(value, hints[key], f"training.{key}")
    for argument in ("freeze", "weight_decay_scope"):
        if argument in training:
            require_scope(keys.parameter_scopes, training[argument], argument, system.model_type)
    for argument in ("rate_factors", "gradient_factors"):
        for scope in training.get(argument, {}):
            require_scope(keys.parameter_scopes, scope, argument, system.model_type)
    parts = {
        name: read_section(getattr(keys, name), sections[name], name)
        for name in ("processor", "data", "weights", "evaluation", "stages")
    }
    said = {**sections, "model": {"model_type": system.model_type, **sections["model"]}}
    return Recipe(system, said, sections["model"], **parts)


def find_family(model_type: str | None, source: Path) -> System:
    """The system of a `model_type` that can be trained."""
    trained = [system.model_type for system in SYSTEMS if system.has("training")]
    if model_type not in trained:
        said = "has no model.model_type" if model_type is None else f"has the unknown model_type {model_type!r}"
        raise ValueError(f"{source} {said}; those with a training are {', '.join(trained)}")
    return find_system(model_type)


def known_keys(system: System, keys: RecipeKeys) -> dict[str, list[str]]:
    """The keys of each section of a family's recipes."""
    fields = section_keys(CONFIG_MAPPING[system.model_type])
    return {
        "model": sorted(set(fields) - set(section_keys(PreTrainedConfig)) - keys.derived.keys()),
        "training": [key for key in section_keys(RefSegTrainingArguments) if key not in OF_SCRIPTS],
        **{
            name: section_keys(getattr(keys, name)) for name in ("processor", "data", "weights", "evaluation", "stages")
        },
    }


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """`--key value` and `--key=value` as a dict.

    Raises:
        ValueError: a word that is no `--key`, or a key without value.
    """
    overrides, words = {}, list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise ValueError(f"expected --key value, got {word!r}")
        name, equals, value = word[2:].partition("=")
        if not equals:
            if not words or words[0].startswith("--"):
                raise ValueError(f"--{name} needs a value, for instance --{name} true")
            value = words.pop(0)
        try:
            overrides[name] = yaml.load(value, Loader)
        except yaml.YAMLError as error:
            raise ValueError(f"--{name} {value} is no YAML: {error}") from error
    return overrides


def find_key(name: str, known: Mapping[str, list[str]], system: System, keys: RecipeKeys) -> list[str]:
    """The section, and the keys in it, that an override's name means: "size" or "model.backbone_config.depths"."""
    first, *rest = name.split(".")
    if first in SECTIONS and rest:
        if rest[0] not in known[first]:
            raise unknown_key(name, known, "on the command line", system, keys)
        return [first, *rest]
    owners = [section for section in SECTIONS if first in known[section]]
    if not owners:
        raise unknown_key(name, known, "on the command line", system, keys)
    if len(owners) > 1:
        choices = " or ".join(f"--{owner}.{name}" for owner in owners)
        raise ValueError(f"--{name} could mean several things: write {choices}")
    return [owners[0], first, *rest]


def unknown_key(
    name: str, known: Mapping[str, Iterable[str]], where: str, system: System, keys: RecipeKeys
) -> ValueError:
    """An error about a key that a family does not read."""
    bare = name.rpartition(".")[2]
    if bare in keys.derived:
        return ValueError(f"{name} {where} can't be chosen: it follows from {keys.derived[bare]}")
    everything = {f"{section}.{key}": key for section, of_section in known.items() for key in of_section}
    near = difflib.get_close_matches(bare, set(everything.values()), n=3, cutoff=0.5)
    full = [full for full, key in everything.items() if key in near]
    return ValueError(
        f"unknown key {name!r} {where}: a training of {system.model_type} does not read it; the nearest that it reads: "
        f"{', '.join(full) or 'none'}"
    )
