"""Word-level tokenizers with the splitting rule of the originals, as plain fast tokenizers of transformers.

The rule (text_processing.py of text_objseg and TF-phrasecut-public, run by Python 2, so that word characters are
ASCII): strip, split at runs of non-word characters and keep these as tokens, drop blank tokens, lower-case, drop the
last token if it is exactly ".". "a man's hat, red." becomes a, man, ', s, hat, ", ", red. A separator keeps its blanks,
so ", " is never in a vocabulary and becomes <unk>.
"""

import os
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import TokenizersBackend

SPECIAL_TOKENS = ("<pad>", "<go>", "<eos>", "<unk>")  # ids 0 to 3; <go> and <eos> are never produced

BLANK = r"[\s\x1c-\x1f]+"  # what Python's str.strip() strips


def build_tokenizer(vocabulary: list[str], padding_side: str = "left", max_length: int = 20) -> TokenizersBackend:
    """Makes the tokenizer whose token ids are the indices of `vocabulary`.

    Args:
        vocabulary: one word per id, starting with <pad>, <go>, <eos>, <unk>. A word that occurs twice has its last id.
        padding_side: `"left"` (LSTM-CNN, RMI) or `"right"`.
        max_length: number of words that are kept, from the left.

    Returns: a tokenizer that `AutoTokenizer` reloads without this package. `len(tokenizer) == len(vocabulary)`, the
        number of embedding rows. Special tokens written in a user's text are split like any text.

    Raises ValueError where the vocabulary does not start with the special tokens.
    """
    if tuple(vocabulary[:4]) != SPECIAL_TOKENS:
        raise ValueError(
            f"the vocabulary starts with {reprlib.repr(list(vocabulary[:4]))}; its first four entries must be "
            f"{list(SPECIAL_TOKENS)}"
        )
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side is {padding_side!r}; use 'left' or 'right'")
    ids = {word: index for index, word in enumerate(vocabulary)}
    for index, word in enumerate(vocabulary):
        if ids[word] != index:
            # keeps ids without holes; no text can produce it, because "<" and ">" are separators
            ids[f"<shadowed {index}>"] = index
    tokenizer = Tokenizer(models.WordLevel(dict(sorted(ids.items(), key=lambda item: item[1])), unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(rf"\A{BLANK}|{BLANK}\z"), ""),
            normalizers.Replace(Regex(r"(?<![^a-zA-Z0-9_])\.\z"), ""),
            # the two letters whose lower case is an ASCII letter: separators, as the originals split before lowering
            normalizers.Replace(Regex("[\u0130\u212a]"), "\ufffd"),
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("[^a-zA-Z0-9_]+"), "isolated"),
            pre_tokenizers.Split(Regex(rf"\A{BLANK}\z"), "removed"),
        ]
    )
    return TokenizersBackend(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<go>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side=padding_side,
        truncation_side="right",
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        split_special_tokens=True,
    )


def build_blank_split_tokenizer(word_to_ix: dict[str, int], max_length: int = 10) -> TokenizersBackend:
    """Makes the tokenizer of MAttNet's code: lower-case, split at blanks, nothing else.

    "The man's hat." becomes the, man's, hat. with the stop: REFER's tokens, which the vocabularies are made of, have
    none, so a caller who wants them writes them apart.

    Args:
        word_to_ix: id of each word, 0 to len - 1, with <PAD> at 0. Without <UNK> (where no word of the data set was
            dropped) an unknown word becomes <PAD>, which the models skip.
        max_length: number of words that are kept, from the left.

    Returns: a tokenizer that pads on the right and that `AutoTokenizer` reloads without this package.

    Raises ValueError where <PAD> is not 0 or the ids have holes.
    """
    if word_to_ix.get("<PAD>") != 0:
        raise ValueError(f"the vocabulary has <PAD> at {word_to_ix.get('<PAD>')}, expected it at 0")
    if sorted(word_to_ix.values()) != list(range(len(word_to_ix))):
        raise ValueError(f"the ids of the {len(word_to_ix)} words are not 0 to {len(word_to_ix) - 1}, each once")
    unknown = "<UNK>" if "<UNK>" in word_to_ix else "<PAD>"
    tokenizer = Tokenizer(
        models.WordLevel(dict(sorted(word_to_ix.items(), key=lambda item: item[1])), unk_token=unknown)
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(BLANK), "removed")
    return TokenizersBackend(
        tokenizer_object=tokenizer,
        pad_token="<PAD>",
        unk_token=unknown,
        **{name: word for name, word in (("bos_token", "<BOS>"), ("eos_token", "<EOS>")) if word in word_to_ix},
        padding_side="right",
        truncation_side="right",
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        split_special_tokens=True,
    )


def tokenizer_from_vocabulary_file(
    path: str | os.PathLike, build: Callable[..., TokenizersBackend] = build_tokenizer, **options
) -> TokenizersBackend:
    """Reads an original vocabulary file: one word per line, its id the line's index; lines are stripped.

    Args:
        path: the file, UTF-8 text.
        build: makes the tokenizer from the list of words.
        options: passed on to `build`.

    Raises FileNotFoundError, and ValueError naming the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no vocabulary file {path}; it has one word per line, starting with <pad>")
    try:
        lines = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
        return build([line.strip() for line in lines], **options)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a UTF-8 text file ({error}); a vocabulary has one word per line") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def tokenizer_from_sentences(sentences: Iterable[str], min_count: int = 1, **options) -> TokenizersBackend:
    """Builds a vocabulary of the words that occur at least `min_count` times, the most frequent first.

    Ties are ordered alphabetically, so the result does not depend on the order of the sentences.
    `options` go to `build_tokenizer`.
    """
    rule = build_tokenizer(list(SPECIAL_TOKENS))
    counts = Counter(word for sentence in sentences for word in split_words(rule, sentence))
    words = sorted(
        (word for word, count in counts.items() if count >= min_count and not any(c.isspace() for c in word)),
        key=lambda word: (-counts[word], word),
    )
    return build_tokenizer([*SPECIAL_TOKENS, *words], **options)


def split_words(tokenizer: TokenizersBackend, sentence: str) -> list[str]:
    """The words (and separators) that `tokenizer` looks up, untruncated, whether it knows them or not."""
    backend = tokenizer.backend_tokenizer
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(sentence))]
