"""Words that a model does not know yet: into its vocabulary, and into its embeddings."""

import json
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import PreTrainedModel, TokenizersBackend
from transformers.utils import logging

from ..processing.tokenization import split_words

logger = logging.get_logger(__name__)

# In GloVe's 50 dimensions neighbors below this cosine are of a word's topic, not of its kind: kettle -> fork has 0.74,
# robot -> mouse 0.73; above it are cyclist -> rider 0.85, pumpkin -> cake 0.79.
LEAST_SIMILARITY, MOST_NEIGHBORS = 0.75, 3
TOKENIZER_SETTINGS = (
    *("pad_token", "bos_token", "eos_token", "unk_token", "padding_side", "truncation_side", "model_max_length"),
    *("model_input_names", "split_special_tokens"),
)


def new_words(tokenizer: TokenizersBackend, sentences: Iterable[str], known_words: int | None = None) -> list[str]:
    """The words of these sentences that are not among the first `known_words` of a tokenizer (None: among all of
    them), sorted; separators are none."""
    known = {word: row for word, row in tokenizer.get_vocab().items() if known_words is None or row < known_words}
    words = {word for sentence in sentences for word in split_words(tokenizer, sentence)}
    return sorted(word for word in words - known.keys() if any(letter.isalnum() for letter in word))


def grown_tokenizer(tokenizer: TokenizersBackend, words: Iterable[str]) -> TokenizersBackend:
    """A tokenizer that has these words too; those that it has not yet get the ids that follow. All else stays."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    for word in words:
        vocabulary.setdefault(word, len(vocabulary))
    settings = {name: getattr(tokenizer, name) for name in TOKENIZER_SETTINGS}
    return TokenizersBackend(tokenizer_object=Tokenizer.from_str(json.dumps(content)), **settings)


@torch.no_grad()
def grow_embeddings(model: PreTrainedModel, tokenizer: TokenizersBackend, vectors, seed: int = 0) -> dict[str, str]:
    """
    Give the words that `tokenizer` has and `model` has not an embedding.

    A word starts from those of its neighbors in `vectors` that the model knows, weighted by their similarity; a word
    without such neighbors in a random direction. Both get the median length of the known words.

    Args:
        model: has `word_embeddings`; its vocabulary grows to that of the tokenizer.
        tokenizer: of [`grown_tokenizer`].
        vectors: what `load_word_vectors` returns.
        seed: of the random directions.

    Returns: for each new word what it starts from, in words.
    """
    known_rows = model.config.vocab_size
    words = {word: row for word, row in tokenizer.get_vocab().items() if row >= known_rows}
    known = {word: row for word, row in tokenizer.get_vocab().items() if row < known_rows}
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    weight = model.get_input_embeddings().weight
    lengths = weight[:known_rows].norm(dim=1)
    length = lengths[lengths > 0].median()
    generator = torch.Generator().manual_seed(seed)
    neighbors_of, starts = known_neighbors(vectors, words, known), {}
    for word, row in sorted(words.items()):
        direction = torch.randn(weight.shape[1], generator=generator).to(weight)
        neighbors = neighbors_of.get(word, [])
        if neighbors:
            rows = torch.tensor([known[neighbor] for neighbor, _ in neighbors])
            shares = torch.tensor([similarity for _, similarity in neighbors]).to(weight)
            direction = shares @ weight[rows]  # (K,) @ (K, E) -> (E,)
        weight[row] = length * F.normalize(direction, dim=0)
        names = ", ".join(f"{neighbor} ({similarity:.2f})" for neighbor, similarity in neighbors)
        starts[word] = names or "nothing"
        logger.info(f"the new word {word!r} starts from {starts[word]}")
    return starts


def known_neighbors(vectors, words: Iterable[str], known: Iterable[str]) -> dict[str, list[tuple[str, float]]]:
    """
    The known words nearest to each of `words`, up to three with a cosine of 0.75 or more: {"lorry": [("truck", 0.81),
    ...]}. Words that have no such neighbor, or no vector, are left out.
    """
    words = [word for word in words if word in vectors]
    others = [other for other in known if other in vectors and other.isalpha()]
    if not words or not others:
        return {}
    rows, columns = unit_vectors(vectors, words), unit_vectors(vectors, others)  # (N, E), (K, E)
    nearest = (rows @ columns.T).topk(min(MOST_NEIGHBORS, len(others)), dim=1)  # (N, E) @ (E, K) -> (N, 3)
    neighbors = {
        word: [(others[index], value) for value, index in zip(*pair, strict=True) if value >= LEAST_SIMILARITY]
        for word, *pair in zip(words, nearest.values.tolist(), nearest.indices.tolist(), strict=True)
    }
    return {word: found for word, found in neighbors.items() if found}


def unit_vectors(vectors, words: Iterable[str]) -> torch.Tensor:
    """The vectors of words at length 1, (N, E)."""
    return F.normalize(torch.stack([torch.tensor(vectors[word]) for word in words]), dim=1)
