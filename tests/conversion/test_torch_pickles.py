"""Files of torch.save read without torch.load, and what is refused."""

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from hf_refseg.conversion import sources, torch_pickles
from hf_refseg.conversion.sources import Source, as_given, build_state_dict
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
    with pytest.raises(ValueError, match="model.pth: its tensors have 127 elements, but only 4 are stored"):
        read_named_arrays(path)
    torch.save({"a": torch.rand(900)}, path)
    damaged = bytearray(path.read_bytes())
    damaged[7], damaged[27] = 0, 8  # the first name is no UTF-8, and has 2,000 bytes more, all of which zipfile repeats
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="model.pth is not a checkpoint that can be read") as refusal:
        read_named_arrays(path)
    assert len(str(refusal.value)) < 600
    (tmp_path / "x.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="x.npz is not a readable .npz"):
        read_named_arrays(tmp_path / "x.npz")


# ---- Files made to fill the memory, never to end, or to change us ----


@pytest.mark.parametrize("zipped", [True, False])
def test_a_small_file_cannot_ask_for_a_large_tensor(tmp_path, zipped):
    path = tmp_path / "model.pth"
    torch.save({"a": torch.zeros(1).expand(1 << 30)}, path, _use_new_zipfile_serialization=zipped)  # stride 0
    with pytest.raises(ValueError, match=r"a view of only 1 stored elements|elements, but only 1 are stored"):
        read_named_arrays(path)
    shared = torch.zeros(1000)
    torch.save({f"a{i}": shared for i in range(9)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match="have 9,000 elements, but only 1,000 are stored"):
        read_named_arrays(path)
    torch.save({"tied": shared, "to": shared}, path, _use_new_zipfile_serialization=zipped)
    assert set(read_named_arrays(path)) == {"tied", "to"}


def test_a_compressed_archive_is_refused(tmp_path):
    path, bomb = tmp_path / "model.pth", tmp_path / "bomb.pth"
    torch.save({"a": torch.zeros(1 << 20)}, path)
    with zipfile.ZipFile(path) as stored, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as deflated:
        for member in stored.namelist():
            deflated.writestr(member, stored.read(member))
    with pytest.raises(ValueError, match="data.pkl is compressed, which torch.save never does"):
        read_named_arrays(bomb)


def test_an_npz_that_unpacks_to_far_more_than_itself_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, a=np.zeros(1 << 18, np.float32))
    assert read_named_arrays(path)["a"].shape == (1 << 18,), "small enough to be read whatever its compression"
    monkeypatch.setattr(sources, "UNCHECKED_BYTES", 1 << 16)
    with pytest.raises(ValueError, match="it would unpack to 1,048,.* bytes, which no checkpoint of this size does"):
        read_named_arrays(path)


def test_modules_that_contain_each_other_end(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(1, 1))
    for _ in range(70):
        module = torch.nn.Sequential(module, module)  # seventy objects, 2 ** 70 paths
    torch.save(module, tmp_path / "model.pth")
    with pytest.raises(ValueError, match="nested 65 deep"):
        read_named_arrays(tmp_path / "model.pth")


def test_a_pickle_cannot_change_our_reader(tmp_path):
    """Of what a pickle is given it can set every attribute: here those of the function that rebuilds tensors."""

    # GLOBAL torch._utils._rebuild_tensor_v2, then BUILD with the slot state (None, {"load": 2, "__defaults__": (1,)})
    state = pickle.dumps((None, {"load": 2, "__kwdefaults__": {"x": 1}}), protocol=2)[2:-1]
    evil = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + state + b"b."
    header = b"".join(
        pickle.dumps(part, protocol=2)
        for part in (torch_pickles.MAGIC_NUMBER, 1001, {"little_endian": True, "protocol_version": 1001})
    )
    (tmp_path / "evil.pth").write_bytes(header + evil + pickle.dumps([], protocol=2))
    before = dict(vars(torch_pickles.StoredTensor))
    read_torch_file(tmp_path / "evil.pth")
    assert dict(vars(torch_pickles.StoredTensor)) == before
    torch.save({"a": torch.arange(3.0)}, tmp_path / "good.pth")
    assert read_named_arrays(tmp_path / "good.pth")["a"].tolist() == [0, 1, 2]


def test_members_of_an_archive_that_are_no_arrays_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", b"x")
    with pytest.raises(ValueError, match="its members a are no arrays"):
        read_named_arrays(tmp_path / "a.npz")


def test_weights_that_are_not_finite_are_not_converted():
    arrays = {"a": np.array([1.0, np.nan])}
    with pytest.raises(ValueError, match="a of the checkpoint hold nan or inf"):
        build_state_dict(arrays, {"weight": Source(("a",), as_given)})
