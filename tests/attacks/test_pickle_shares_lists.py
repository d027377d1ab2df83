"""Elsewhere: 200 bytes are a list of two lists of two lists ..., which takes forever and all memory to walk through."""

import pickle

import pytest

from hf_refseg.data.official_files import read_pickled_list


def doubled(make, times):
    value = make("x", "x")
    for _ in range(times):
        value = make(value, value)
    return value


@pytest.mark.parametrize(
    "content",
    [
        doubled(lambda one, other: [one, other], 60),
        doubled(lambda one, other: {"a": one, "b": other}, 60),
        [{"ref_id": 1, "sentences": doubled(lambda one, other: (one, other), 40)}],
    ],
)
def test_shared_values(content, tmp_path, harmless):
    (tmp_path / "refs.p").write_bytes(pickle.dumps([content], protocol=2))
    with harmless("refs.p"):
        read_pickled_list(tmp_path / "refs.p")
