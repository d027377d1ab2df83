"""Where recipes are, how their values are read, and what they inherit."""

import tomllib
from pathlib import Path

import pytest
import yaml

from hf_refseg.training import recipe_files
from hf_refseg.training.recipe_files import Loader, describe_recipe, find_recipe, read_recipe, recipe_names

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ("model", "training")


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_recipes_are_found_by_name_and_by_path(tmp_path, monkeypatch):
    assert find_recipe("r_rmi").name == "r_rmi.yaml" and {"r_rmi", "tiny_refshapes"} <= set(recipe_names())
    mine = write(tmp_path, "mine.yaml", "model: {}")
    assert find_recipe(mine) == mine
    with pytest.raises(FileNotFoundError, match="no recipe r_rim; there are .*r_rmi"):
        find_recipe("r_rim")
    with pytest.raises(FileNotFoundError, match="no recipe .*other.yaml; there are mine.yaml"):
        find_recipe(tmp_path / "other.yaml")
    monkeypatch.chdir(tmp_path)
    assert find_recipe("mine.yaml") == Path("mine.yaml")


def test_the_wheel_brings_the_recipes_to_where_they_are_looked_for():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    package = Path(recipe_files.__file__).parents[1]
    assert package.parent / wheel["force-include"]["configs"] == recipe_files.PACKAGED
    assert recipe_files.FOLDER in (recipe_files.PACKAGED, ROOT / "configs")


def test_every_recipe_says_in_a_sentence_what_it_is():
    for name in recipe_names():
        sentence = describe_recipe(name)
        assert 20 < len(sentence) < 200 and not sentence.endswith("."), name
    assert describe_recipe("r_rmi").startswith("R+RMI (Liu et al., ICCV 2017): ResNet-101 of ImageNet")


def test_numbers_with_exponents_are_numbers_and_no_is_a_word():
    assert yaml.load("{a: 1e-5, b: no, c: true, d: -2E+3}", Loader) == {"a": 1e-5, "b": "no", "c": True, "d": -2000.0}
    assert yaml.load("[true north, Falsetto, 1e5 steps]", Loader) == ["true north", "Falsetto", "1e5 steps"]
    assert yaml.safe_load("1e-5") == "1e-5"  # why the loader is our own


@pytest.mark.parametrize("value", ["!!bool maybe", "!!int x", "!!float x", "!!timestamp x", "2020-13-45", "!!binary é"])
def test_values_that_are_none_of_their_kind_name_the_line(tmp_path, value):
    (tmp_path / "r.yaml").write_text(f"model:\n  size: {value}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="r.yaml is no YAML: (.|\n)*line 2, column 9"):
        read_recipe(tmp_path / "r.yaml", ["model"])


def test_a_recipe_inherits_the_keys_of_its_bases(tmp_path):
    write(tmp_path, "first.yaml", "model: {a: 1, b: {x: 1, y: 2}}\ntraining: {t: 3}")
    write(tmp_path, "second.yaml", "base: first.yaml\nmodel: {b: {x: 5}}")
    third = write(tmp_path / "deeper", "third.yaml", "base: ../second.yaml\nmodel: {a: null, c: 7}\ntraining:\n")
    assert read_recipe(third, SECTIONS) == {"model": {"b": {"x": 5}, "c": 7}, "training": {"t": 3}}


def test_bases_that_are_missing_or_go_in_circles(tmp_path):
    lost = write(tmp_path, "lost.yaml", "base: gone.yaml")
    with pytest.raises(FileNotFoundError, match="lost.yaml has the base gone.yaml, but there is no .*gone.yaml"):
        read_recipe(lost, SECTIONS)
    own = write(tmp_path, "own.yaml", "base: own.yaml")
    with pytest.raises(ValueError, match="own.yaml has the base own.yaml, which is based on it"):
        read_recipe(own, SECTIONS)
    a = write(tmp_path, "a.yaml", "base: b.yaml")
    write(tmp_path, "b.yaml", "base: a.yaml")
    with pytest.raises(ValueError, match="b.yaml has the base a.yaml, which is based on it: .*a.yaml -> .*b.yaml"):
        read_recipe(a, SECTIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimization: {}", "unknown section 'optimization'; a recipe has model, training, base"),
        ("model: 3", "the section model is 3; write its keys below it"),
        ("[1, 2]", "holds list, not the sections of a recipe"),
        ("model: {a: [}", "is no YAML"),
    ],
)
def test_files_that_are_no_recipes(tmp_path, text, message):
    (tmp_path / "binary.yaml").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match="binary.yaml is no YAML"):
        read_recipe(tmp_path / "binary.yaml", SECTIONS)
    with pytest.raises(ValueError, match=f"mine.yaml.*{message}"):
        read_recipe(write(tmp_path, "mine.yaml", text), SECTIONS)
