"""Recipes with another value somewhere, and files that are no recipes."""

import json

import pytest
import yaml
from hypothesis import given

from hf_refseg.training.recipe import load_recipe
from hf_refseg.training.recipe_files import FOLDER, Loader

from .cases import answer_or_refusal, cases, damaged, with_another_value


@pytest.mark.parametrize("name", ["tiny_refshapes", "hulanet_refshapes_category"])
def test_recipes_of_any_values(name, tmp_path):
    recipe = tmp_path / "recipe.yaml"

    @cases(short=40)
    @given(with_another_value(load_recipe(name).said))
    def check(sections):
        recipe.write_text(json.dumps(sections))  # which is YAML too
        answer_or_refusal(lambda: load_recipe(recipe).config())

    check()


def test_damaged_recipes(tmp_path):
    whole, recipe = (FOLDER / "tiny_refshapes.yaml").read_bytes(), tmp_path / "recipe.yaml"
    assert yaml.load(whole, Loader)

    @cases(short=60)
    @given(damaged(whole))
    def check(content):
        recipe.write_bytes(content)
        answer_or_refusal(lambda: load_recipe(recipe).config())

    check()
