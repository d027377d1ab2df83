"""Files of torch.save read without torch.load, and what is refused."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from hf_refseg.conversion.torch_pickles import read_named_arrays, read_torch_file

WRITER = Path(__file__).parents[1] / "legacy_checkpoint.py"


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {
        "rnn_encoder.rnn.weight_ih_l0": (8, 3),
        "rnn_encoder.rnn.weight_hh_l0": (8, 2),
        "weight_fc.weight": (3, 4),
        "weight_fc.bias": (3,),
        "sub_encoder.pool5_normalizer.weight": (1, 5),
        "sub_encoder.att_fuse.1.weight": (6,),
        "sub_encoder.att_fuse.1.bias": (6,),
        "sub_encoder.att_fuse.1.running_mean": (6,),
        "sub_encoder.att_fuse.1.running_var": (6,),
    }
    lstm = ("bias_ih_l0", "bias_hh_l0", *(f"{kind}_l0_reverse" for kind in ("bias_ih", "bias_hh")))
    shapes |= {f"rnn_encoder.rnn.{name}": (8,) for name in lstm}
    shapes |= {"rnn_encoder.rnn.weight_ih_l0_reverse": (8, 3), "rnn_encoder.rnn.weight_hh_l0_reverse": (8, 2)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def write(arrays: dict[str, np.ndarray], folder: Path, *options: str) -> Path:
    np.savez(folder / "arrays.npz", **arrays)
    command = [sys.executable, str(WRITER), str(folder / "arrays.npz"), str(folder / "model.pth"), *options]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "model.pth"


@pytest.mark.parametrize("options", [(), ("parameters",), ("zip",)])
def test_a_pickled_module_gives_its_tensors_and_none_of_its_classes(arrays, tmp_path, options):
    path = write(arrays, tmp_path, *options)
    read = read_named_arrays(path)
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
    assert "layers" not in sys.modules
    content = read_torch_file(path)
    assert content["opt"]["id"] == "mrcn_cmr_with_st"
    assert type(content["model"]).__module__ == "layers.joint_match"


@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_of_any_form(tmp_path, zipped):
    whole = torch.arange(12.0).view(3, 4)
    tensors = {"a.weight": whole, "a.half": whole[1:, ::2].half(), "b.count": torch.tensor(3), "empty": torch.zeros(0)}
    expected = {name: value.float().numpy() for name, value in tensors.items()}
    for content in (tensors, {"model": tensors, "epoch": 3}):
        torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
        read = read_named_arrays(tmp_path / "x.pth")
        assert set(read) == set(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(read[name], array)
    np.savez(tmp_path / "x.npz", **expected)
    save_file(expected, tmp_path / "x.safetensors")
    for source in (tensors, tmp_path / "x.npz", tmp_path / "x.safetensors"):
        np.testing.assert_array_equal(read_named_arrays(source)["a.half"], expected["a.half"])


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/hf_refseg_was_here",)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_could_run_is_refused_by_name(tmp_path, zipped):
    path = tmp_path / "evil.pth"
    torch.save({"model": Evil()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"evil.pth is not a checkpoint that can be read \(it asks for \w+.system"):
        read_torch_file(path)


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        read_named_arrays(tmp_path / "absent.pth")
    path = tmp_path / "model.pth"
    torch.save({"model": {"a": torch.rand(9, 9), "b": torch.rand(5)}}, path, _use_new_zipfile_serialization=False)
    complete = path.read_bytes()
    for length in (0, 10, 300, len(complete) // 2, len(complete) - 1):
        path.write_bytes(complete[:length])
        with pytest.raises(ValueError, match="model.pth is not a checkpoint that can be read"):
            read_named_arrays(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="model.pth is not a checkpoint"):
        read_named_arrays(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match="neither a state dict nor a module"):
        read_named_arrays(path)
    torch.save({"a": torch.arange(4.0)}, path, _use_new_zipfile_serialization=False)
    broken = path.read_bytes().replace(b"K\x04\x85", b"K\x7f\x85", 1)  # a view of 127 elements on a storage of 4
    assert broken != path.read_bytes()
    path.write_bytes(broken)
    with pytest.raises(ValueError, match="model.pth: .*out of bounds"):
        read_named_arrays(path)
    (tmp_path / "x.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="x.npz is not a readable .npz"):
        read_named_arrays(tmp_path / "x.npz")
