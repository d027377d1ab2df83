"""Elsewhere: whoever loads the file runs a command of its author, as the user who loads it."""

import os
import pickle
import shutil

import pytest
import torch

from hf_refseg.checkpoints.loading import load_model
from hf_refseg.conversion.torch_pickles import read_named_arrays
from hf_refseg.data.official_files import read_pickled_list
from hf_refseg.processing.word_vectors import load_word_vectors


class Command:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("kind", ["checkpoint", "refs", "model", "vectors"])
def test_nothing_runs(kind, tiny_checkpoint, tmp_path, harmless):
    mark, file = tmp_path / "it-ran", tmp_path / "evil.p"
    evil = Command(f"touch {mark}")
    if kind == "refs":
        file.write_bytes(pickle.dumps([{"ref_id": evil}], protocol=2))
        with harmless("evil.p"):
            read_pickled_list(file)
    elif kind == "vectors":
        pytest.importorskip("gensim")
        file = file.with_suffix(".kv")
        file.write_bytes(pickle.dumps(evil))
        with harmless("evil.kv"):
            load_word_vectors(file)
    elif kind == "checkpoint":
        torch.save({"model": evil}, file)
        with harmless("evil.p"):
            read_named_arrays(file)
    else:
        folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
        (folder / "model.safetensors").unlink()
        torch.save({"weight": evil}, folder / "pytorch_model.bin")
        with harmless("model"):
            load_model(str(folder))
    assert not mark.exists()
