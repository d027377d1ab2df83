"""Elsewhere: lists in lists, thousands deep or in themselves, end the process or never end."""

import json
import pickle

import pytest

from hf_refseg.data import load
from hf_refseg.data.official_files import iterate_json_list, read_json, read_pickled_list


def test_pickles(tmp_path, harmless):
    cyclic = [{"ref_id": 1}]
    cyclic[0]["sentences"] = cyclic
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    for content in (pickle.dumps(cyclic), deep):
        (tmp_path / "refs.p").write_bytes(content)
        with harmless("refs.p"):
            read_pickled_list(tmp_path / "refs.p")


@pytest.mark.parametrize("name", ["refs.json", "instances.json"])
def test_json(name, tmp_path, harmless):
    (tmp_path / "images").mkdir()
    (tmp_path / "instances.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    (tmp_path / "refs.json").write_text("[]")
    (tmp_path / name).write_text("[" * 100_000 + "]" * 100_000)
    with harmless(name):
        read_json(tmp_path / name, list)
    with harmless(name):
        load(tmp_path, "val")


def test_json_that_is_read_record_by_record(tmp_path, harmless):
    (tmp_path / "refer_val.json").write_text('[{"a": ' + "[" * 100_000 + "]" * 100_000 + "}]")
    with harmless("refer_val.json"):
        list(iterate_json_list(tmp_path / "refer_val.json"))
