"""Elsewhere: a file of a few kilobytes unpacks to gigabytes of weights."""

import json
import shutil
import zipfile

import numpy as np
import torch
from safetensors.torch import load_file

from hf_refseg.checkpoints.loading import load_model
from hf_refseg.conversion.torch_pickles import read_named_arrays


def test_a_view_that_repeats_one_number(tmp_path, harmless):
    torch.save({"a": torch.zeros(1).expand(1 << 30)}, tmp_path / "model.pth")
    with harmless("model.pth"):
        read_named_arrays(tmp_path / "model.pth")


def test_compressed_zeros(tmp_path, tiny_checkpoint, harmless):
    np.savez_compressed(tmp_path / "model.npz", a=np.zeros(1 << 26, np.uint8), b=np.zeros(1 << 26, np.uint8))
    with harmless("model.npz"):
        read_named_arrays(tmp_path / "model.npz")
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), tmp_path / "stored.bin")
    (folder / "model.safetensors").unlink()
    with (
        zipfile.ZipFile(tmp_path / "stored.bin") as stored,
        zipfile.ZipFile(folder / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as deflated,
    ):
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))
    with harmless("pytorch_model.bin is compressed"):
        load_model(str(folder))


def test_a_header_that_promises_more_than_the_file(tmp_path, tiny_checkpoint, harmless):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    weights = folder / "model.safetensors"
    entry = {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4 << 40]}
    header = json.dumps({"word_embeddings.weight": entry}).encode()
    for content in (
        (1 << 62).to_bytes(8, "little"),
        (90_000_000).to_bytes(8, "little") + b"{}",
        len(header).to_bytes(8, "little") + header,
        (2_000).to_bytes(8, "little") + b"[" * 2_000,
    ):
        weights.write_bytes(content)
        with harmless(str(folder)):
            load_model(str(folder))


def test_a_config_of_a_giant(tmp_path, tiny_checkpoint, harmless):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    backbone = config["backbone_config"]
    for change in (
        {"vocab_size": 9_000_000},
        {"vocab_size": 10**30},
        {"hidden_size": 100_000},
        {"backbone_config": backbone | {"depths": [10**6, 1, 1, 1]}},
        {"backbone_config": backbone | {"hidden_sizes": [1 << 20] * 4}},
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        with harmless(str(folder)):
            load_model(str(folder))
