"""The package's modules as sibling files."""

import ast
import re

import pytest
from transformers.dynamic_module_utils import get_relative_imports

from hf_refseg.hub import flattening
from hf_refseg.hub.code import system_code
from hf_refseg.systems import SYSTEMS


@pytest.mark.parametrize("system", [system for system in SYSTEMS if system.kind != "backbone"], ids=lambda s: s.family)
def test_every_import_is_a_file_that_transformers_finds(system, tmp_path):
    files = system_code(system).files
    system_code(system).write(tmp_path)
    for name, source in files.items():
        imported = {
            (node.level, node.module)
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.ImportFrom) and (node.level or node.module.startswith("hf_refseg"))
        }
        assert all(level == 1 and module in files for level, module in imported), name
        assert set(get_relative_imports(tmp_path / f"{name}.py")) == {module for _, module in imported}, name


@pytest.mark.parametrize("system", [system for system in SYSTEMS if system.kind != "backbone"], ids=lambda s: s.family)
def test_only_imports_differ_from_the_package(system):
    """And nothing that only the package needs is reached: no training, data, metrics, command line."""
    for source in system_code(system).files.values():
        origin = re.match(r"# hf_refseg/(\S+), ", source)
        if origin:
            assert origin[1].split("/")[0].removesuffix(".py") not in ("data", "metrics", "training", "cli", "systems")
            ours = (flattening.PACKAGE / origin[1]).read_text(encoding="utf-8").splitlines()
            theirs = source.splitlines()[1:]
            for line, other in zip(ours, theirs, strict=False):
                assert line == other or re.match(r"\s*from \.+\S+ import ", line), line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("from . import other", "has no place in a flat folder"),
        ("from .. import layers", "has no place in a flat folder"),
        ("from ..layers import inputs", "has no place in a flat folder"),
        ("import hf_refseg.layers.inputs", "import relatively"),
        ("from hf_refseg.layers.inputs import check_labels", "has no place in a flat folder"),
        ('"""\nfrom .other import y\n"""', "transformers would read the imports"),
    ],
)
def test_other_imports_are_refused(tmp_path, monkeypatch, line, message):
    (tmp_path / "hf_refseg" / "layers").mkdir(parents=True)
    (tmp_path / "hf_refseg" / "layers" / "inputs.py").write_text("")
    (tmp_path / "hf_refseg" / "layers" / "broken.py").write_text(f"{line}\n")
    monkeypatch.setattr(flattening, "PACKAGE", tmp_path / "hf_refseg")
    with pytest.raises(ValueError, match=message):
        flattening.flattened_source.__wrapped__("layers.broken")


def test_names():
    assert flattening.flat_name("models.rmi.modeling_rmi") == "modeling_rmi"
    assert flattening.flat_name("models.cac.captioner") == "cac_captioner"
    assert flattening.flat_name("layers.inputs") == "layers_inputs"
    assert flattening.flat_name("outputs") == "outputs"
