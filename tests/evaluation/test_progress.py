"""What a kill leaves behind, and whose folder it is."""

import json

import pytest

from hf_refseg.evaluation.progress import BatchLog, open_run, read_batches


def test_a_cut_line_is_neither_read_nor_continued(tmp_path):
    with BatchLog(tmp_path, 0) as log:
        log.append({"batch": 0, "samples": ["ä"]})
    file = tmp_path / "predictions-00000.jsonl"
    file.write_bytes(file.read_bytes() + b'{"batch":1,"sam')
    assert read_batches(tmp_path) == {0: {"batch": 0, "samples": ["ä"]}}
    with BatchLog(tmp_path, 0) as log:
        log.append({"batch": 2, "samples": []})
    with BatchLog(tmp_path, 1) as log:
        log.append({"batch": 1, "samples": []})
    assert sorted(read_batches(tmp_path)) == [0, 1, 2]
    assert all(json.loads(line) for line in file.read_text().splitlines())


def test_a_line_that_something_else_damaged_is_named(tmp_path):
    (tmp_path / "predictions-00000.jsonl").write_text('{"batch": 0, "samples": []}\n{"batch"\n')
    with pytest.raises(ValueError, match="predictions-00000.jsonl, line 2 is damaged"):
        read_batches(tmp_path)


def test_a_folder_belongs_to_one_run(tmp_path):
    folder = tmp_path / "a" / "b"
    open_run(folder, {"protocol": "lavt", "limit": None})
    open_run(folder, {"protocol": "lavt", "limit": None})
    with pytest.raises(ValueError, match="another limit, protocol .limit: None there, 3 now.; give another --output"):
        open_run(folder, {"protocol": "cris", "limit": 3})
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(ValueError, match="is not empty and holds no evaluation"):
        open_run(tmp_path / "photos", {})
