"""Which words the table of word vectors gets."""

import json

import numpy as np
import pytest

from hf_refseg.processing.word_table import read_word_table
from recipes import choose_words as recipe
from recipes.choose_words import choose_words, main

WORDS = ["the", "of", "dog", "senate", "puppy", "smith", "1987", "hydrant"]
VECTORS = np.array([[9, 9], [9, 8], [1, 0], [0, 1], [1, 0.1], [0.1, 1], [1, 0], [0, 0]], dtype=np.float32)


def test_said_words_first_then_frequent_ones_then_near_ones(monkeypatch):
    monkeypatch.setattr(recipe, "FUNCTION_WORDS", 2)
    monkeypatch.setattr(recipe, "NEAREST", 1)
    # "hydrant" and "dog" are said, "the" is frequent, "puppy" lies near "dog"; a number does not come in by nearness.
    chosen = choose_words(WORDS, VECTORS, {"dog", "hydrant", "unheard"}, size=4, most_frequent=1)
    assert [WORDS[row] for row in chosen] == ["the", "dog", "puppy", "hydrant"]


def test_the_command(tmp_path, monkeypatch, capsys):
    pytest.importorskip("gensim")
    for name, sentences in {
        "authored_expressions": [("train", "the dog scrunchie"), ("val", "a senate")],
        "coco_cc_expressions": [],
    }.items():
        (tmp_path / name).mkdir()
        refs = [{"split": split, "sentences": [{"sent": sent}]} for split, sent in sentences]
        (tmp_path / name / "refs.json").write_text(json.dumps(refs))
    lines = [f"{word} {' '.join(map(str, vector))}" for word, vector in zip(WORDS, VECTORS + 0.01, strict=True)]
    (tmp_path / "glove.txt").write_text("\n".join(lines) + "\n")
    for name, value in {"SIZE": 4, "MOST_FREQUENT": 1, "FUNCTION_WORDS": 2, "NEAREST": 1}.items():
        monkeypatch.setattr(recipe, name, value)
    out = tmp_path / "table.npz"
    main(["--glove", str(tmp_path / "glove.txt"), "--data", str(tmp_path), "--output", str(out)])
    assert read_word_table(out).words == ["the", "dog", "puppy", "hydrant"]
    said = capsys.readouterr().out
    assert "4 words" in said and "scrunchie" in said and "senate" not in said
