"""Streams speak the words of rows where these need no length."""

import pytest

from hf_refseg.data import HeldRows, RefShapes, StreamedRows, load
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
