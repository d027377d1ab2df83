"""Chooses the 20,000 words of the table that ships, and writes it.

    python -m recipes.choose_words --glove glove-wiki-gigaword-50 --data ../shared/data --output word_table.npz

GloVe counted the words of newspapers: its 20,000 most frequent words have hundreds of surnames, and neither "giraffe"
nor "leftmost". So the table holds, of the words that a tokenizer can produce,
1. the words of the training sentences and the nouns of COCO's categories,
2. the 16,000 most frequent words,
3. of the 150,000 most frequent, those that are nearest to words of the training sentences (the mean cosine of the
   nearest three): "hydrant", "ponytail" and "cupcake" come in, surnames don't.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from hf_refseg.data.coco_categories import NOUNS
from hf_refseg.processing.word_table import WORD, WordTable, read_word_table, write_word_table
from hf_refseg.processing.word_vectors import load_word_vectors

SIZE = 20_000
MOST_FREQUENT = 16_000
CANDIDATES = 150_000
NEAREST = 3
# The most frequent words ("of", "have") are near everything.
FUNCTION_WORDS = 300


def training_words(files: Iterable[Path]) -> set[str]:
    """The words of the training sentences of `refs.json` files, and of COCO's nouns."""
    texts = [noun for nouns in NOUNS.values() for noun in nouns]
    for file in files:
        refs = json.loads(file.read_text(encoding="utf-8"))
        texts += [sentence["sent"] for ref in refs if ref["split"] == "train" for sentence in ref["sentences"]]
    return {word for text in texts for word in WORD.findall(text.lower())}


def choose_words(words: Sequence[str], vectors: np.ndarray, said: set[str], size: int, most_frequent: int) -> list[int]:
    """The rows of the `size` chosen words, in the order of their frequency.

    Args:
        words: n words, the most frequent first.
        vectors: (n, D) float.
        said: the words of the training sentences.
        most_frequent: how many of the first words are in whatever they mean.
    """
    chosen = {row for row, word in enumerate(words) if word in said or row < most_frequent}
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    landmarks = unit[[row for row, word in enumerate(words) if word in said and row >= FUNCTION_WORDS]]
    closeness = np.sort(unit @ landmarks.T, axis=1)[:, -NEAREST:].mean(1)
    further = (int(row) for row in np.argsort(-closeness) if row not in chosen and not words[row].isdigit())
    return sorted(chosen.union(islice(further, size - len(chosen))))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glove", required=True, help="file or name of word vectors, most frequent words first")
    parser.add_argument("--data", type=Path, required=True, help="folder whose */refs.json have training sentences")
    parser.add_argument("--output", type=Path, required=True, help="the table, .npz")
    options = parser.parse_args(arguments)
    glove = load_word_vectors(options.glove)
    possible = [word for word in glove.key_to_index if word.isascii() and WORD.fullmatch(word)]
    rows = np.array([glove.key_to_index[word] for word in possible])
    said = training_words(options.data / name / "refs.json" for name in ("authored_expressions", "coco_cc_expressions"))
    # words that are said are candidates whatever their rank
    kept = [number for number, word in enumerate(possible) if number < CANDIDATES or word in said]
    words, vectors = [possible[number] for number in kept], np.asarray(glove.vectors[rows[kept]], dtype=np.float32)
    chosen = choose_words(words, vectors, said, SIZE, MOST_FREQUENT)
    table = WordTable([words[row] for row in chosen], vectors[chosen])
    write_word_table(table, options.output)
    stored = read_word_table(options.output).vectors
    cosine = (stored * table.vectors).sum(1) / np.linalg.norm(stored, axis=1) / np.linalg.norm(table.vectors, axis=1)
    sys.stdout.write(
        f"{len(table):,} words, {options.output.stat().st_size:,} bytes; cosine with the original: mean "
        f"{cosine.mean():.6f}, least {cosine.min():.6f}; training words without a vector: "
        f"{sorted(said - set(table.words))}\n"
    )


if __name__ == "__main__":
    main()
