"""Folders of models with a damaged file, and the originals' checkpoints with damaged bytes."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_refseg import RmiImageProcessor, RmiProcessor
from hf_refseg.checkpoints.loading import load_model, load_processor
from hf_refseg.conversion.torch_pickles import read_named_arrays
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from tests.tiny import tiny_rmi

from .cases import answer_or_refusal, cases, damaged, with_another_value


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    tokenizer = tokenizer_from_sentences(["the red dog on the left"])
    tiny_rmi(vocab_size=len(tokenizer)).save_pretrained(folder)
    RmiProcessor(RmiImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def test_damaged_weights(folder):
    content = (folder / "model.safetensors").read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")

    @cases(short=15)
    @given(damaged(content) | damaged(content[:header]).map(lambda start: start + content[header:]))
    def check(data):
        (folder / "model.safetensors").write_bytes(data)
        model = answer_or_refusal(lambda: load_model(str(folder)), str(folder))
        assert model is None or all(value.isfinite().all() for value in model.state_dict().values())

    check()


def test_configurations_of_any_values(folder):
    config = json.loads((folder / "config.json").read_text())
    # what transformers makes of these is its own: they name other code and other libraries
    known = {key: value for key, value in config.items() if key not in ("architectures", "transformers_version")}

    @cases(short=20)
    @given(with_another_value(known) | with_another_value(known).flatmap(with_another_value))
    def check(values):
        (folder / "config.json").write_text(json.dumps(values))
        answer_or_refusal(lambda: load_model(str(folder)))

    check()


@pytest.mark.parametrize("name", ["processor_config.json", "tokenizer.json", "tokenizer_config.json"])
def test_processors_of_any_values(folder, name):
    content = json.loads((folder / name).read_text())

    @cases(short=6)
    @given(with_another_value(content))
    def check(values):
        (folder / name).write_text(json.dumps(values))
        answer_or_refusal(lambda: load_processor(str(folder)), str(folder))

    check()


def original_checkpoints() -> dict[str, bytes]:
    tensors, files = {"a.weight": torch.rand(3, 4), "a.bias": torch.rand(3)}, {}
    for name, zipped in (("zip", True), ("legacy", False)):
        stream = io.BytesIO()
        torch.save({"model": tensors, "epoch": 3}, stream, _use_new_zipfile_serialization=zipped)
        files[f"{name}.pth"] = stream.getvalue()
    stream = io.BytesIO()
    np.savez(stream, **{key: value.numpy() for key, value in tensors.items()})
    return files | {"arrays.npz": stream.getvalue()}


ORIGINALS = original_checkpoints()


@pytest.mark.parametrize("name", ORIGINALS)
def test_damaged_originals(name, tmp_path):
    @cases(short=60)
    @given(damaged(ORIGINALS[name]))
    def check(data):
        (tmp_path / name).write_bytes(data)
        arrays = answer_or_refusal(lambda: read_named_arrays(tmp_path / name), name)
        assert arrays is None or sum(array.size for array in arrays.values()) < 10_000

    check()


@pytest.mark.parametrize("name", ["model.pth", "model.npz", "model.safetensors"])
def test_bytes_of_no_checkpoint(name, tmp_path):
    @cases(short=10)
    @given(st.binary(max_size=200))
    def check(data):
        (tmp_path / name).write_bytes(data)
        assert answer_or_refusal(lambda: read_named_arrays(tmp_path / name), name) is None

    check()
