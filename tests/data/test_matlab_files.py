"""MATLAB's files are read as scipy reads them, and damaged ones end in an error instead of the process."""

import random

import numpy as np
import pytest
from scipy.io import savemat

from hf_refseg.data import matlab_files
from hf_refseg.data.matlab_files import read_matrix


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "bool"])
def test_matrices_of_every_type(tmp_path, compressed, dtype):
    values = np.random.default_rng(0).integers(0, 2, (5, 7)).astype(dtype)
    others = {"other": np.arange(3), "text": "words", "structure": {"x": 1}, "empty": np.zeros((0, 0))}
    savemat(tmp_path / "a.mat", others | {"segimg_t": values, "one": np.ones((1, 1), dtype)}, do_compression=compressed)
    np.testing.assert_array_equal(read_matrix(tmp_path / "a.mat", "segimg_t"), values)
    assert read_matrix(tmp_path / "a.mat", "one").tolist() == [[1]]
    with pytest.raises(ValueError, match="a.mat has no absent"):
        read_matrix(tmp_path / "a.mat", "absent")


def test_damaged_bytes_are_an_error(tmp_path):
    """One of them ends the process inside of scipy."""
    file = tmp_path / "a.mat"
    savemat(file, {"segimg_t": np.eye(9, dtype=np.uint8)})
    whole, draw = file.read_bytes(), random.Random(0)
    for _ in range(500):
        content = bytearray(whole)
        content[draw.randrange(126, len(content))] = draw.randrange(256)
        file.write_bytes(content[: draw.choice([len(content), draw.randrange(len(content))])])
        try:
            assert read_matrix(file, "segimg_t").shape == (9, 9)
        except ValueError as error:
            assert "a.mat" in str(error)


def test_what_unpacks_to_far_more_than_a_mask_is_refused(tmp_path, monkeypatch):
    savemat(tmp_path / "a.mat", {"segimg_t": np.zeros((100, 100), np.uint8)}, do_compression=True)
    assert read_matrix(tmp_path / "a.mat", "segimg_t").shape == (100, 100)
    monkeypatch.setattr(matlab_files, "MOST_BYTES", 9_999)
    with pytest.raises(ValueError, match="a.mat can't be read as a MATLAB file: it unpacks to more than"):
        read_matrix(tmp_path / "a.mat", "segimg_t")


def test_other_files_are_named(tmp_path):
    for content in (b"", b"no matrix" * 40):
        (tmp_path / "a.mat").write_bytes(content)
        with pytest.raises(
            ValueError, match="a.mat can't be read as a MATLAB file: it does not begin as one|version 5"
        ):
            read_matrix(tmp_path / "a.mat", "segimg_t")
