"""Elsewhere: a YAML file names a function, and reading it calls that."""

import pytest

from hf_refseg.training.recipe import load_recipe


@pytest.mark.parametrize("value", ["!!python/object/apply:os.system ['touch {mark}']", "!!python/name:os.system"])
def test_yaml_is_data(value, tmp_path, harmless):
    mark, recipe = tmp_path / "it-ran", tmp_path / "evil.yaml"
    recipe.write_text(f"model: {{model_type: refseg_rmi}}\ntraining:\n  output_dir: {value.format(mark=mark)}\n")
    with harmless("evil.yaml"):
        load_recipe(recipe)
    assert not mark.exists()


def test_values_that_repeat_each_other(tmp_path, harmless):
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    (tmp_path / "evil.yaml").write_text("model:\n  model_type: refseg_rmi\n" + "".join(f"  {line}\n" for line in lines))
    with harmless("evil.yaml"):
        load_recipe(tmp_path / "evil.yaml")
