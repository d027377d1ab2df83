"""Model folders that work where the package is not installed, with the same numbers to the last bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor, AutoModel, AutoProcessor

import hf_refseg
from hf_refseg.hub.bundle import bundle
from hf_refseg.systems import SYSTEMS
from tests.hub.tiny_checkpoints import TEXTS, write_checkpoints, write_photo

FAST = ("rmi", "mask_rcnn", "mattnet_nanodet")
SLOW = tuple(system.family for system in SYSTEMS if system.kind != "backbone" and system.family not in FAST)
DETECTORS = tuple(system.family for system in SYSTEMS if system.kind == "detector")  # they read no words
MODES = ["with-package", "without-package"]
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=[FAST, pytest.param(SLOW, marks=pytest.mark.slow)], ids=["fast", "slow"])
def families(request) -> tuple[str, ...]:
    """Those that share two fresh processes."""
    return request.param


@pytest.fixture(scope="module")
def root(tmp_path_factory, families) -> Path:
    """Tiny checkpoints in `plain`, their bundles in `bundles`, and what two processes made of them."""
    root = tmp_path_factory.mktemp("hub")
    write_photo(root / "photo.png")
    write_checkpoints(root / "plain", *families)
    for family in families:
        bundle(root / "plain" / family, root / "bundles" / family)
    for mode in MODES:
        path = str(REPOSITORY / "src") if mode == "with-package" else ""
        environment = {**os.environ, "HF_HOME": str(root / "cache" / mode), "PYTHONPATH": path}
        script = [sys.executable, str(Path(__file__).parent / "fresh_process.py"), str(root), mode]
        done = subprocess.run(script, env=environment, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "already registered" not in done.stderr
    return root


@pytest.fixture(scope="module")
def expected(root, families) -> dict[str, dict[str, np.ndarray]]:
    """What the plain checkpoints answer in this process."""
    answers = {}
    for family in families:
        auto = AutoImageProcessor if family in DETECTORS else AutoProcessor
        model = AutoModel.from_pretrained(root / "plain" / family)
        processor = auto.from_pretrained(root / "plain" / family)
        inputs = processor(str(root / "photo.png"), *([] if family in DETECTORS else [TEXTS]), return_tensors="pt")
        with torch.no_grad():
            outputs = model(**inputs)
        answers[family] = {name: value.numpy() for name, value in outputs.items() if isinstance(value, torch.Tensor)}
    return answers


def assert_same(path: Path, expected: dict[str, np.ndarray]) -> None:
    with np.load(path) as found:
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=f"{path.name}: {name}")


@pytest.mark.parametrize("mode", MODES)
def test_same_bits_with_and_without_the_package(root, expected, families, mode):
    for family in families:
        assert_same(root / mode / f"{family}.npz", expected[family])


@pytest.mark.parametrize("mode", MODES)
def test_saved_again_it_is_still_whole(root, expected, families, mode):
    for family in families:
        assert_same(root / mode / f"{family}-again.npz", expected[family])


def test_what_the_package_saves_again_works_without_it(root, expected, families):
    for family in families:
        assert_same(root / "without-package" / f"{family}-other.npz", expected[family])


def test_the_hubs_snippet_and_the_pipeline_give_the_same_masks(root, families):
    """`pipeline("image-segmentation")`, as the Hub prints it, and our own task."""
    for family in families:
        masks = [np.load(root / mode / f"{family}-snippet.npz")["masks"] for mode in MODES]
        if family not in DETECTORS:
            masks += [np.load(root / mode / f"{family}-pipeline.npz")["masks"] for mode in MODES]
        assert masks[0].any() and masks[0].shape[1:] == (48, 64), family
        for other in masks[1:]:
            np.testing.assert_array_equal(other, masks[0])


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A tiny RMI without code."""
    root = tmp_path_factory.mktemp("plain")
    return write_checkpoints(root, "rmi")["rmi"]


def test_shipped_names_and_no_local_paths(tmp_path):
    folder = bundle("refseg-shapes-mattnet", tmp_path / "new" / "mattnet")
    config = (folder / "config.json").read_text()
    assert "_name_or_path" not in config and str(Path(hf_refseg.__file__).parent) not in config
    assert json.loads(config)["auto_map"]["AutoModel"] == "modeling_mattnet.MAttNetForReferringSegmentation"
    assert {"README.md", "eval_results.json", "model.safetensors", "tokenizer.json"} <= set(os.listdir(folder))


def test_only_what_belongs_to_the_model_is_copied(plain, tmp_path):
    source = tmp_path / "run"
    source.mkdir()
    for path in plain.iterdir():
        (source / path.name).symlink_to(path)
    for name in ("training_args.bin", "optimizer.pt", "notes.txt"):
        (source / name).write_bytes(b"secret")
    (source / "checkpoint-10").mkdir()
    assert not {"training_args.bin", "optimizer.pt", "notes.txt", "checkpoint-10"} & set(
        os.listdir(bundle(source, tmp_path / "bundle"))
    )


def test_a_model_that_is_pushed_brings_its_code(plain, tmp_path, monkeypatch):
    """`push_to_hub` uploads what `save_pretrained` writes; one that is merely saved stays as small as it was."""
    model = AutoModel.from_pretrained(plain)
    model.save_pretrained(tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("*.py"))
    pushed = []
    monkeypatch.setattr("transformers.utils.hub.PushToHubMixin.push_to_hub", lambda self, repo: pushed.append(repo))
    model.push_to_hub("me/rmi")
    model.save_pretrained(tmp_path / "pushed")
    assert pushed == ["me/rmi"] and (tmp_path / "pushed" / "modeling_rmi.py").is_file()
    assert "AutoModel" in json.loads((tmp_path / "pushed" / "config.json").read_text())["auto_map"]


def test_what_is_refused_leaves_nothing_behind(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint 'refseg-nothing'"):
        bundle("refseg-nothing", tmp_path / "new")
    with pytest.raises(FileExistsError, match="choose a new folder"):
        bundle("refseg-shapes-mattnet", tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileNotFoundError, match=r"config.json is missing"):
        bundle(empty, tmp_path / "new")
    (empty / "config.json").write_text('{"model_type": "refseg_rmi"}')
    (empty / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"no model.safetensors; load the model and save it"):
        bundle(empty, tmp_path / "new")
    (empty / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="unknown system 'bert'"):
        bundle(empty, tmp_path / "new")
    assert os.listdir(tmp_path) == ["empty"]
