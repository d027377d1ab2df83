"""A training run as one YAML file: sections `model`, `processor`, `data`, `training`; every key can be overridden.

    model:     {model_type: refseg_rmi, hidden_size: 128, backbone_config: {...}}
    processor: {size: 128}
    data:      {dataset: refshapes, dialect: refcoco}
    training:  {output_dir: runs/tiny, learning_rate: 1e-3}

On the command line `--learning_rate 2e-3` or `--training.learning_rate 2e-3`, and
`--model.backbone_config.depths "[1, 1]"`. Values are YAML 1.2.
"""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from transformers import CONFIG_MAPPING

from .arguments import RefSegTrainingArguments
from .build import DataArguments, ModelArguments, ProcessorArguments

SECTIONS = ("model", "processor", "data", "training")


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's numbers and truth values: 1e-3 is a number, and `no` (a strategy's name) a string."""


_BOOL, _FLOAT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:float"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"true|True|false|False"), list("tTfF"))
_Loader.add_implicit_resolver(_FLOAT, re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+"), list("-+0123456789"))


@dataclasses.dataclass
class Recipe:
    """The four sections of a run, checked: no unknown key is left in any of them."""

    model: dict[str, Any]
    processor: dict[str, Any]
    data: dict[str, Any]
    training: dict[str, Any]

    def training_arguments(self) -> RefSegTrainingArguments:
        return RefSegTrainingArguments(**self.training)

    def data_arguments(self) -> DataArguments:
        return DataArguments(**self.data)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML file and apply command-line overrides to it.

    Args:
        overrides: `["--key", "value", "--section.key=value", ...]`; a key without section must be known to one section
            only. A key that is a transformers flag may stand alone and means true.

    Raises:
        FileNotFoundError: no such file; names the files that are there.
        ValueError: an unknown key in the file or on the command line, with the nearest known names; a key two sections
            know; an override without value.
    """
    path = Path(path)
    if not path.is_file():
        known = ", ".join(sorted(file.name for file in path.parent.glob("*.yaml"))) or "none"
        raise FileNotFoundError(f"no recipe {path}; in {path.parent} there are: {known}")
    content = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
    sections = {name: dict(content.pop(name, None) or {}) for name in SECTIONS}
    if content:
        raise ValueError(f"{path}: unknown section {next(iter(content))!r}; a recipe has {', '.join(SECTIONS)}")
    parsed = _parse_overrides(overrides)
    if "model_type" in parsed or "model.model_type" in parsed:
        sections["model"]["model_type"] = parsed.pop("model.model_type", None) or parsed.pop("model_type")
    known = known_keys(sections["model"].get("model_type"))
    for section, values in sections.items():
        for key in values:
            if key not in known[section]:
                raise _unknown(f"{section}.{key}", known, f"in {path}")
    for name, value in parsed.items():
        _override(sections, known, name, value)
    return Recipe(**sections)


def known_keys(model_type: str | None) -> dict[str, list[str]]:
    """The keys of each section; those of `model` depend on the configuration class of `model_type`."""
    config_fields = []
    if model_type is not None:
        if model_type not in CONFIG_MAPPING:
            ours = [name for name in CONFIG_MAPPING if name.startswith("refseg_")]
            raise ValueError(f"unknown model_type {model_type!r}; ours are {', '.join(ours)}")
        config_fields = _fields(CONFIG_MAPPING[model_type])
    return {
        "model": sorted({*_fields(ModelArguments), *config_fields}),
        "processor": _fields(ProcessorArguments),
        "data": _fields(DataArguments),
        "training": _fields(RefSegTrainingArguments),
    }


def _fields(dataclass: type) -> list[str]:
    return [field.name for field in dataclasses.fields(dataclass) if field.init]


def _parse_overrides(words: Sequence[str]) -> dict[str, Any]:
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
        overrides[name] = yaml.load(value, _Loader)
    return overrides


def _override(sections: dict[str, dict], known: dict[str, list[str]], name: str, value: Any) -> None:
    section, _, rest = name.partition(".")
    if section not in SECTIONS or not rest:
        owners = [candidate for candidate in SECTIONS if name.partition(".")[0] in known[candidate]]
        if not owners:
            raise _unknown(name, known, "on the command line")
        if len(owners) > 1:
            choices = " or ".join(f"--{owner}.{name}" for owner in owners)
            raise ValueError(f"--{name} could mean several things: write {choices}")
        section, rest = owners[0], name
    elif rest.partition(".")[0] not in known[section]:
        raise _unknown(name, known, "on the command line")
    *parents, key = rest.split(".")
    values = sections[section]
    for parent in parents:
        values[parent] = dict(values.get(parent) or {})
        values = values[parent]
    values[key] = value


def _unknown(name: str, known: dict[str, Iterable[str]], where: str) -> ValueError:
    bare = name.rpartition(".")[2]
    everything = {f"{section}.{key}": key for section, keys in known.items() for key in keys}
    near = difflib.get_close_matches(bare, set(everything.values()), n=3, cutoff=0.5)
    full = [full for full, key in everything.items() if key in near]
    return ValueError(f"unknown key {name!r} {where}; the nearest known: {', '.join(full) or 'none'}")
