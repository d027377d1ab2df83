"""Elsewhere: the key of a dict is a tuple of two tuples of two tuples ..., whose hash is never done."""

import pickle

import pytest
import torch

from hf_refseg.conversion.torch_pickles import MAGIC_NUMBER, read_torch_file
from hf_refseg.data.official_files import read_pickled_list

# a dict {t: 1} where t is () paired with itself sixty times
TUPLES = b")" + b"2\x86" * 60
CONTENTS = [b"}" + TUPLES + b"K\x01s", b"}(" + TUPLES + b"K\x01u", b"(" + TUPLES + b"K\x01d"]
CONTENTS += [b"(" + TUPLES + b"\x91", b"\x8f(" + TUPLES + b"\x90"]  # a frozenset and a set


@pytest.mark.parametrize("content", CONTENTS)
def test_refs(content, tmp_path, harmless):
    (tmp_path / "refs.p").write_bytes(b"\x80\x04]" + content + b"a.")
    with harmless("refs.p"):
        read_pickled_list(tmp_path / "refs.p")


@pytest.mark.parametrize("content", [*CONTENTS, b"c__builtin__\nset\n(" + TUPLES + b"l\x85R"])
def test_checkpoints(content, tmp_path):
    header = (pickle.dumps(part, 2) for part in (MAGIC_NUMBER, 1001, {"little_endian": True}))
    (tmp_path / "model.pth").write_bytes(b"".join(header) + b"\x80\x04" + content + b"." + pickle.dumps([], 2))
    try:
        read_torch_file(tmp_path / "model.pth")  # a set is read as a list, which asks for no hash
    except ValueError as error:
        assert "model.pth is not a checkpoint" in str(error)


def test_what_torch_itself_writes_is_read(tmp_path):
    torch.save({("a", 1): 2}, tmp_path / "model.pth")
    with pytest.raises(ValueError, match="a key in it is made of other values"):
        read_torch_file(tmp_path / "model.pth")
    torch.save({"a": (1, {2, 3}, torch.Size([4]))}, tmp_path / "model.pth")
    assert read_torch_file(tmp_path / "model.pth") == {"a": (1, [2, 3], [4])}
