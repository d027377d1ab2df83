"""Word vectors in every file format, generated here; and what they initialize."""

import gzip
import sys

import numpy as np
import pytest
import torch

from hf_refseg.processing.tokenization import tokenizer_from_sentences
from hf_refseg.processing.word_vectors import initial_embeddings, load_word_vectors, similar

VECTORS = {"king": [1.0, 0.1, 0.0], "queen": [0.9, 0.2, 0.1], "dog": [-1.0, 0.5, 0.0], "the": [0.0, 0.0, 1.0]}

gensim = pytest.importorskip("gensim")


@pytest.fixture
def glove_text():
    return "".join(f"{word} {' '.join(map(str, vector))}\n" for word, vector in VECTORS.items())


@pytest.fixture
def glove(tmp_path, glove_text):
    path = tmp_path / "glove.3d.txt"
    path.write_text(glove_text)
    return path


def check(vectors):
    assert set(vectors.key_to_index) == set(VECTORS)
    for word, vector in VECTORS.items():
        np.testing.assert_allclose(vectors[word], vector, rtol=1e-6)


def test_every_file_format(glove, glove_text, tmp_path):
    vectors = load_word_vectors(glove)
    check(vectors)
    vectors.save(str(tmp_path / "all.kv"))
    vectors.save_word2vec_format(str(tmp_path / "all.bin"), binary=True)
    vectors.save_word2vec_format(str(tmp_path / "all.vec"))
    (tmp_path / "header.gz").write_bytes(gzip.compress((tmp_path / "all.vec").read_bytes()))
    (tmp_path / "plain.gz").write_bytes(gzip.compress(glove_text.encode()))
    for name in ("all.kv", "all.bin", "all.vec", "header.gz", "plain.gz"):
        check(load_word_vectors(tmp_path / name))


def test_name_in_the_data_folder(monkeypatch, tmp_path, glove_text):
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path))
    folder = tmp_path / "glove-test-3"
    folder.mkdir()
    (folder / "glove-test-3.gz").write_bytes(gzip.compress(f"4 3\n{glove_text}".encode()))
    check(load_word_vectors("glove-test-3"))


def test_unknown_name_and_missing_file(monkeypatch, tmp_path):
    import gensim.downloader

    def refuse(name):
        raise ValueError("no network")

    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(gensim.downloader, "load", refuse)
    with pytest.raises(ValueError, match="no word vectors named 'glove-of-nobody' in .*give the path"):
        load_word_vectors("glove-of-nobody")
    with pytest.raises(FileNotFoundError, match="gone.txt"):
        load_word_vectors(tmp_path / "gone.txt")
    (tmp_path / "broken.bin").write_bytes(b"\x00\x01")
    with pytest.raises(ValueError, match="broken.bin cannot be read as word vectors"):
        load_word_vectors(tmp_path / "broken.bin")


@pytest.mark.parametrize("name", ["many.vec", "many.bin", "many.gz"])
def test_a_header_of_more_than_the_file_holds_is_refused_before_memory_is_taken(tmp_path, name):
    content = b"1000000000 300\nthe 0.1 0.2\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(
        ValueError, match=f"{name} cannot be read as word vectors .*1,000,000,000 vectors of 300 numbers"
    ):
        load_word_vectors(tmp_path / name)


def test_other_models_of_gensim_are_refused(tmp_path):
    from gensim.models.fasttext import FastTextKeyedVectors

    FastTextKeyedVectors(3, min_n=2, max_n=3, bucket=4).save(str(tmp_path / "fast.kv"))
    with pytest.raises(ValueError, match="fast.kv cannot be read .*FastTextKeyedVectors; only words and their vectors"):
        load_word_vectors(tmp_path / "fast.kv")


def test_vectors_in_a_file_of_their_own(glove, tmp_path):
    """gensim writes large arrays beside the pickle."""
    load_word_vectors(glove).save(str(tmp_path / "large.kv"), sep_limit=0)
    assert (tmp_path / "large.kv.vectors.npy").is_file()
    vectors = load_word_vectors(tmp_path / "large.kv")
    check(vectors)
    assert vectors.most_similar("king", topn=1)[0][0] == "queen"
    np.save(tmp_path / "large.kv.vectors.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="large.kv cannot be read .*not one vector of numbers for each of its words"):
        load_word_vectors(tmp_path / "large.kv")


def test_without_gensim_the_extra_is_named(monkeypatch, glove):
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(ImportError, match=r"hf-refseg\[vectors\]"):
        load_word_vectors(glove)


def test_initial_embeddings(glove, caplog):
    tokenizer = tokenizer_from_sentences(["the king", "the blorp"])
    vectors = load_word_vectors(glove)
    with caplog.at_level("INFO", logger="hf_refseg.processing.word_vectors"):
        matrix = initial_embeddings(tokenizer, vectors, 3)
    assert "cover 2 of 3 words" in caplog.text
    assert matrix.shape == (len(tokenizer), 3) and matrix.dtype == torch.float32
    for word in ("the", "king"):
        torch.testing.assert_close(matrix[tokenizer.convert_tokens_to_ids(word)], torch.tensor(VECTORS[word]))
    assert matrix[0].abs().sum() == 0
    unknown = matrix[tokenizer.convert_tokens_to_ids("blorp")]
    assert 0 < unknown.abs().max() <= 0.08
    assert torch.equal(matrix, initial_embeddings(tokenizer, vectors))


def test_vectors_that_do_not_fit(glove):
    vectors = load_word_vectors(glove)
    with pytest.raises(ValueError, match="3 dimensions, the model's embedding 1000"):
        initial_embeddings(tokenizer_from_sentences(["the dog"]), vectors, 1000)
    with pytest.raises(ValueError, match="none of the 2 words"):
        initial_embeddings(tokenizer_from_sentences(["der hund"]), vectors)


def test_similar(glove):
    vectors = load_word_vectors(glove)
    assert similar(vectors, "king", 2)[0][0] == "queen"
    assert similar(vectors, "king", 1)[0][1] == pytest.approx(0.98, abs=0.01)
    with pytest.raises(ValueError, match="no vector for 'Emperor'"):
        similar(vectors, "Emperor")
