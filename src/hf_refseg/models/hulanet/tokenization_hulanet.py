"""PhraseCut's tokenizer (utils/word_embed.py of its data set), as a plain fast tokenizer of transformers."""

from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import TokenizersBackend

from .phrase_structure import SEPARATOR, split_phrase

SPECIAL_WORDS = ("<PAD>", "<UNK>", "<BOS>", "<EOS>")
MAX_LENGTH = 10


def build_phrase_tokenizer(vocabulary: Sequence[str], max_length: int = MAX_LENGTH) -> TokenizersBackend:
    """Makes the tokenizer whose ids are the indices of `vocabulary`.

    Text is in lower case, split as `split_phrase` splits it, and framed by <BOS> and <EOS>; padding is on the right.

    Args:
        vocabulary: one word per id, starting with <PAD>, <UNK>, <BOS>, <EOS>.
        max_length: number of ids that are kept, <BOS> and <EOS> included.

    Returns: a tokenizer that `AutoTokenizer` reloads without this package.

    Raises ValueError where the vocabulary does not start with the special words, or holds a word twice.
    """
    if tuple(vocabulary[:4]) != SPECIAL_WORDS:
        raise ValueError(
            f"the vocabulary starts with {list(vocabulary[:4])}; its first four entries must be {list(SPECIAL_WORDS)}"
        )
    if len(set(vocabulary)) < len(vocabulary):
        twice = [word for word, count in Counter(vocabulary).items() if count > 1]
        raise ValueError(f"the vocabulary holds {twice[:5]} more than once; give every word once")
    ids = {word: index for index, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<UNK>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s+"), "removed"),
            pre_tokenizers.Split(Regex(SEPARATOR), "isolated"),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<BOS> $A <EOS>", special_tokens=[(word, ids[word]) for word in ("<BOS>", "<EOS>")]
    )
    return TokenizersBackend(
        tokenizer_object=tokenizer,
        pad_token="<PAD>",
        unk_token="<UNK>",
        bos_token="<BOS>",
        eos_token="<EOS>",
        padding_side="right",
        truncation_side="right",
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        split_special_tokens=True,
    )


def phrase_tokenizer_from_sentences(
    sentences: Iterable[str], min_count: int = 1, max_length: int = MAX_LENGTH
) -> TokenizersBackend:
    """Builds a vocabulary of the words that occur at least `min_count` times, the most frequent first.

    Ties are ordered alphabetically, so the result does not depend on the order of the sentences.
    """
    counts = Counter(word for sentence in sentences for word in split_phrase(sentence))
    words = sorted((word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
    return build_phrase_tokenizer([*SPECIAL_WORDS, *words], max_length)


__all__ = ["build_phrase_tokenizer", "phrase_tokenizer_from_sentences"]
