"""Files of gensim's `KeyedVectors.save`, pickles, read without running anything that is in them.

`KeyedVectors.load` runs whatever a pickle asks for, and reads further pickles beside it that the first one names.
"""

import pickle
from pathlib import Path

import numpy as np

from ..pickles import UNREADABLE, PlainKeysUnpickler

NUMPY = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): np._core.multiarray._reconstruct for core in ("core", "_core")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


def read_keyed_vectors(path: Path):
    """
    gensim's `KeyedVectors` of a `.kv` file, and of the `.kv.vectors.npy` beside it where there is one.

    Raises:
        ValueError: it is no such file, or holds anything but words and their vectors.
    """
    from gensim.models import KeyedVectors

    try:
        with open(path, "rb") as stream:
            state = _VectorsUnpickler(stream).load().state
        words, beside = state["index_to_key"], path.with_name(f"{path.name}.vectors.npy")
        vectors = state.get("vectors")
        if vectors is None:
            vectors = np.load(beside, mmap_mode="r", allow_pickle=False)
        fits = isinstance(vectors, np.ndarray) and vectors.ndim == 2 and vectors.dtype.kind == "f"
        if not fits or len(vectors) != len(words) or not all(isinstance(word, str) for word in words):
            raise ValueError("it has not one vector of numbers for each of its words")
    except (*UNREADABLE, OSError) as error:
        raise ValueError(f"{path} cannot be read as word vectors ({type(error).__name__}: {error})") from error
    found = KeyedVectors(vectors.shape[1])
    found.vectors, found.index_to_key = vectors, words
    found.key_to_index = {word: index for index, word in enumerate(words)}
    return found


class _VectorsUnpickler(PlainKeysUnpickler):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)

        class StandIn:  # made anew for each file, because a pickle can set attributes of whatever it is given
            state: dict = {}

            def __setstate__(self, state):
                self.state = state

        self.stand_in = StandIn

    def find_class(self, module: str, name: str):
        if (module, name) == ("gensim.models.keyedvectors", "KeyedVectors"):
            return self.stand_in
        if (module, name) in NUMPY:
            return NUMPY[module, name]
        raise pickle.UnpicklingError(
            f"it asks for {module}.{name}; only words and their vectors are read, which save_word2vec_format writes of "
            "other models of gensim, too"
        )
