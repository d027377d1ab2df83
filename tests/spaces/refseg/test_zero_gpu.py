"""Hugging Face's ZeroGPU has a package `spaces`, whose decorator runs a function in another process with a GPU."""

import importlib.util
import pickle
import sys
import types

import numpy as np
import pytest
import segmenting
from choices import choices, find_choice
from why import why


def load(monkeypatch, spaces: types.ModuleType | None):
    """The module `segmenting` anew, where `import spaces` gives this, or fails."""
    monkeypatch.setitem(sys.modules, "spaces", spaces)
    spec = importlib.util.spec_from_file_location("segmenting_anew", segmenting.__file__)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def zero_gpu() -> types.ModuleType:
    """A stand-in of the package: what goes in and comes out is pickled, as between processes."""

    def decorator(function):
        def elsewhere(*arguments, **options):
            arguments, options = pickle.loads(pickle.dumps((arguments, options)))
            package.ran.append(function.__name__)
            return pickle.loads(pickle.dumps(function(*arguments, **options)))

        return elsewhere

    package = types.ModuleType("spaces")
    package.GPU, package.ran = decorator, []
    return package


@pytest.mark.parametrize("name", [one.name for one in choices()])
def test_what_computes_runs_inside_of_the_decorator(monkeypatch, zero_gpu, cat, name):
    module = load(monkeypatch, zero_gpu)
    choice = find_choice(name)
    expected, answer = (one(choice, cat, ["the cat"]) for one in (segmenting.segment, module.segment))
    assert zero_gpu.ran == ["segment"]
    np.testing.assert_array_equal(answer.findings[0].mask, expected.findings[0].mask)
    assert why(answer) == why(expected)


def test_examples_need_no_gpu(monkeypatch, zero_gpu, cat):
    module = load(monkeypatch, zero_gpu)
    assert module.segment_on("cpu", choices()[0], cat, ["the cat"]).findings[0].mask.any()
    assert zero_gpu.ran == []


def test_without_the_package_nothing_is_wrapped(monkeypatch, cat):
    module = load(monkeypatch, None)
    assert module.segment.__module__ == module.__name__
    assert module.segment(choices()[0], cat, ["the cat"]).findings[0].mask.any()
