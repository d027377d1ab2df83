"""The YAML files of recipes: where they are, how a value is written, and what a recipe inherits from its base."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

# In an installed package the recipes are part of it; in a checkout they are the folder configs/ beside src/.
PACKAGED, CHECKOUT = Path(__file__).parents[1] / "recipes", Path(__file__).parents[3] / "configs"
FOLDER = PACKAGED if PACKAGED.is_dir() else CHECKOUT

DEFAULT_RECIPE = "tiny_refshapes"
BASE = "base"


class Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's numbers and truth values: 1e-3 is a number, and `no` (a strategy's name) a string."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # a date of month 13, `!!bool maybe`
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value!r} is no value of the kind {kind}", node.start_mark
            ) from error


_BOOL, _FLOAT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:float"
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(_BOOL, re.compile(r"(true|True|false|False)$"), list("tTfF"))
Loader.add_implicit_resolver(_FLOAT, re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789"))


def recipe_names() -> list[str]:
    """The names of the recipes that come with the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def describe_recipe(name: str) -> str:
    """The first sentence of the comment above a recipe."""
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.removeprefix("#").strip() for line in lines[:4] if line.startswith("#"))
    return re.split(r"\. (?=[A-Z`])", comment)[0].removesuffix(".")


def find_recipe(name_or_path: str | Path) -> Path:
    """The file of a recipe: a path, or the name of a recipe that comes with the package.

    Raises:
        FileNotFoundError: there is none; lists those that there are.
    """
    path, named = Path(name_or_path), FOLDER / f"{name_or_path}.yaml"
    if path.is_file():
        return path
    if path.parent == Path() and named.is_file():
        return named
    known = sorted(file.name for file in path.parent.glob("*.yaml")) if path.suffix else recipe_names()
    raise FileNotFoundError(f"no recipe {name_or_path}; there are {', '.join(known) or 'none'}")


def read_recipe(path: str | Path, sections: Sequence[str]) -> dict[str, dict[str, Any]]:
    """
    The sections of a recipe, those of its bases included.

    A recipe with `base: FILE` (relative to its own folder) has all keys of that file, which may have a base itself; a
    key that it says replaces the key of the base as a whole, and `null` takes it away.

    Args:
        sections: the names of all sections.

    Raises:
        FileNotFoundError: a base that does not exist.
        ValueError: an unknown section, a section that is no mapping, or a recipe that is its own base.
    """
    merged: dict[str, dict[str, Any]] = {name: {} for name in sections}
    for file in reversed(_chain(Path(path))):
        content = _read(file)
        content.pop(BASE, None)
        for name, values in content.items():
            if name not in sections:
                raise ValueError(f"{file}: unknown section {name!r}; a recipe has {', '.join((*sections, BASE))}")
            if not isinstance(values or {}, dict):
                raise ValueError(f"{file}: the section {name} is {values!r}; write its keys below it")
            merged[name] |= values or {}
    return {name: {k: v for k, v in values.items() if v is not None} for name, values in merged.items()}


def _chain(path: Path) -> list[Path]:
    """A recipe, its base, the base of that, and so on."""
    chain = [path]
    while base := _read(chain[-1]).get(BASE):
        file = chain[-1].parent / base
        if not file.is_file():
            raise FileNotFoundError(f"{chain[-1]} has the base {base}, but there is no {file}")
        if file.resolve() in [one.resolve() for one in chain]:
            raise ValueError(f"{chain[-1]} has the base {base}, which is based on it: {' -> '.join(map(str, chain))}")
        chain.append(file)
    return chain


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {type(content).__name__}, not the sections of a recipe")
    return content
