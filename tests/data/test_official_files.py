import json
import pickle

import pytest
from official_copies import Unicode, python2_pickle, refs_of

from hf_refseg.data.official_files import by_id, iterate_json_list, read_json, read_pickled_list

REFS = refs_of({"train": 2, "testA": 1})


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_pickles_as_python_2_wrote_them(tmp_path, protocol):
    file = tmp_path / "refs(unc).p"
    python2_pickle(REFS, file, protocol)
    assert read_pickled_list(file) == REFS
    # Python 2 wrote byte strings: without that the copy would be no copy.
    assert (b"U\x0bthe red box" if protocol else b"S'the red box'") in file.read_bytes()


def test_words_that_are_not_ascii(tmp_path):
    file = tmp_path / "refs(unc).p"
    utf8, unicode, ascii_only = "the café on the left", Unicode("naïve man"), "the man"
    python2_pickle([utf8, unicode, ascii_only, "x" * 300], file)
    assert read_pickled_list(file) == [utf8, str(unicode), ascii_only, "x" * 300]
    # Latin-1 bytes, which are no UTF-8.
    file.write_bytes(b"\x80\x02]U\x04caf\xe9a.")
    assert read_pickled_list(file) == ["café"]


@pytest.mark.parametrize("content", [print, {"a": json.loads}])
def test_pickles_that_would_run_something_are_refused(tmp_path, content):
    (tmp_path / "refs.p").write_bytes(pickle.dumps([content], protocol=2))
    with pytest.raises(ValueError, match=r"refs\.p.*only lists, dicts, numbers and strings"):
        read_pickled_list(tmp_path / "refs.p")


@pytest.mark.parametrize("protocol", [0, 2])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_pickle_that_is_cut_off(tmp_path, protocol, share):
    file = tmp_path / "refs(unc).p"
    python2_pickle(REFS, file, protocol)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"refs\(unc\)\.p is not a pickle.*cut off"):
        read_pickled_list(file)


def test_records_one_by_one(tmp_path, monkeypatch):
    file = tmp_path / "refer_train.json"
    records = [{"phrase": "café [" * 5, "number": number, "points": [[0.1, -2.5e-3]] * number} for number in range(50)]
    plain, spaced, direct = json.dumps(records), json.dumps(records, indent=2), json.dumps(records, ensure_ascii=False)
    for text, encoding in ((plain, "utf-8"), (spaced, "utf-8"), (direct, "utf-8"), (direct, "utf-8-sig")):
        file.write_text(text + "\n", encoding=encoding)
        # Chunks that end inside records, words and characters.
        monkeypatch.setattr("hf_refseg.data.official_files.CHUNK_BYTES", 37)
        read = list(iterate_json_list(file))
        assert [record for _, _, record in read] == records
        raw = file.read_bytes()
        assert [json.loads(raw[start:end]) for start, end, _ in read] == records
    file.write_text("[]")
    assert list(iterate_json_list(file)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1}, {"b": ', "record number 1 .byte 11"),
        ('[{"a": 1}', "record number 1"),
        ('[{"a": 1} {"b": 2}]', "record number 1.*comma"),
        ('[{"a": 1}, 5]', "'5' where"),
        ('{"a": 1}', "not a JSON list"),
        ("", "not a JSON list"),
        ('[{"a": 1}] x', "follows its closing"),
    ],
)
def test_broken_lists_name_the_record(tmp_path, text, message):
    file = tmp_path / "refer_train.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"refer_train.json is cut off or broken at .*{message}"):
        list(iterate_json_list(file))


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "refer_val.json").write_bytes(b'[{"a": "\xff\xfe"}]')
    with pytest.raises(ValueError, match="refer_val.json is cut off or broken at record number 0"):
        list(iterate_json_list(tmp_path / "refer_val.json"))
    with pytest.raises(ValueError, match="refer_val.json is not a text in UTF-8 .*save it in UTF-8"):
        read_json(tmp_path / "refer_val.json", list)


def test_missing_files_are_named(tmp_path):
    for read in (read_pickled_list, lambda file: read_json(file, dict), lambda file: list(iterate_json_list(file))):
        with pytest.raises(FileNotFoundError, match="nothing.json is missing"):
            read(tmp_path / "nothing.json")


def test_ids_that_are_there_twice(tmp_path):
    (tmp_path / "queries.json").write_text('{"1_1": ["a"], "1_2": ["b"], "1_1": ["c"]}')
    with pytest.raises(ValueError, match="queries.json has the id '1_1' twice"):
        read_json(tmp_path / "queries.json", dict, keys_are_ids=True)
    with pytest.raises(ValueError, match="instances.json, images: id 3 is there twice, second at number 2"):
        by_id([{"id": 3}, {"id": 4}, {"id": 3}], "instances.json, images")
    with pytest.raises(ValueError, match=r"images number 0 lacks \['id'\]"):
        by_id([{"name": "x"}], "images")
