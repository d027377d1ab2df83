"""Elsewhere: eight bytes say that the next value has the number 2 ** 28, for which 4 GB of memo are reserved."""

import pickle

import pytest

from hf_refseg.conversion.torch_pickles import MAGIC_NUMBER, read_torch_file
from hf_refseg.data.official_files import read_pickled_list


@pytest.mark.parametrize("put", [b"r\xff\xff\xff\x0f", b"p268435455\n"])
def test_large_numbers_take_no_memory(put, tmp_path, harmless):
    (tmp_path / "refs.p").write_bytes(b"\x80\x02]" + put + b"N")
    with harmless("refs.p"):
        read_pickled_list(tmp_path / "refs.p")
    header = (pickle.dumps(part, 2) for part in (MAGIC_NUMBER, 1001, {"little_endian": True}))
    (tmp_path / "model.pth").write_bytes(b"".join(header) + b"\x80\x02]" + put + b"N")
    with harmless("model.pth"):
        read_torch_file(tmp_path / "model.pth")
