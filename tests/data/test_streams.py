"""Streams speak the words of rows where these need no length."""

import pytest
from datasets import Dataset

from hf_refseg.data import HeldRows, RefShapes, StreamedRows, load, row_features
from hf_refseg.data.refshapes.scene import CATEGORIES


@pytest.fixture
def stream(built):
    return load(built["refcoco"], "train", partition="google", streaming=True, shuffle_buffer=8)


def test_a_stream_has_the_words_of_rows(stream, built):
    rows = load(built["refcoco"], "train", partition="google")
    assert isinstance(stream, StreamedRows) and stream.is_stream and stream
    assert list(stream.sentences()) == list(stream.vocabulary_texts()) == list(rows.sentences())
    assert stream.categories == rows.categories == ["dog", "horse"]
    some = stream.take(3)
    assert some.is_stream and len(list(some)) == 3 and list(some.sentences()) == list(rows.sentences())
    held = some.in_memory()
    assert isinstance(held, HeldRows) and len(held) == 3 and held[0]["image"].size == (40, 30)


def test_words_are_read_without_opening_a_picture(stream, monkeypatch):
    monkeypatch.setattr("PIL.Image.open", lambda *arguments: pytest.fail("a picture was opened"))
    assert len(list(stream.sentences())) == 12 and stream.categories


def test_a_stream_has_no_length(stream):
    with pytest.raises(TypeError, match="a stream has no length: give a training max_steps"):
        len(stream)
    assert len(list(stream)) == 8


def test_a_stream_of_scenes():
    stream = load("refshapes/refcocog", "val", num_samples=4, size=48, streaming=True)
    assert stream.categories == list(CATEGORIES)
    assert list(stream.vocabulary_texts()) == RefShapes.vocabulary("refcocog")
    assert [row["ref_id"] for row in stream.take(2)] == [0, 1]


CARD = "---\nconfigs:\n- config_name: mine\n  data_files:\n  - split: val\n    path: data/val-*\n---\n"


def test_sentences_without_words_are_found_when_a_stream_is_opened(tmp_path):
    rows = [{name: row[name] for name in row_features()} for row in RefShapes("val", num_samples=3)]
    rows[2]["sentences"][0]["sent"] = "."
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text(CARD)
    file = tmp_path / "data" / "val-0.parquet"
    Dataset.from_list(rows, features=row_features()).to_parquet(file)
    with pytest.raises(ValueError, match="row 2 has a sentence without words: filter such sentences out"):
        load(tmp_path, "val", images=False, streaming=True)
    Dataset.from_list(rows[:2], features=row_features()).to_parquet(file)
    assert len(list(load(tmp_path, "val", images=False, streaming=True))) == 2


@pytest.mark.parametrize("header", ["configs: [}", "configs: [{data_files: [{}], config_name: a}]", "configs: 3"])
def test_a_damaged_card_of_a_data_set_is_named(tmp_path, header):
    (tmp_path / "README.md").write_text(f"---\n{header}\n---\n")
    with pytest.raises(ValueError, match="README.md: the list of files at its top can't be read"):
        load(tmp_path, "val")
