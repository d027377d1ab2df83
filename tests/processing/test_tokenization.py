"""The tokenizer against the originals' ids and against the originals' rule written in plain Python."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from transformers import AutoTokenizer, TokenizersBackend

from hf_refseg.processing.tokenization import (
    SPECIAL_TOKENS,
    build_tokenizer,
    split_words,
    tokenizer_from_sentences,
    tokenizer_from_vocabulary_file,
)

WORDS = [*SPECIAL_TOKENS, "the", "dog", "cat", "pad", ",", "\u00e9", "t", "shirt", "-"]


def original_words(sentence):
    """The originals' rule (specs/rmi.md section 5), independent of the tokenizers library."""
    pieces = re.split(r"(\W+)", sentence.strip(), flags=re.ASCII)
    words = [piece.lower() for piece in pieces if piece.strip()]
    return words[:-1] if words and words[-1] == "." else words


@pytest.mark.parametrize("name", ["referit", "Gref"])
def test_ids_equal_the_originals(shared_dir, name):
    tokenizer = tokenizer_from_vocabulary_file(shared_dir / "data" / "vocabulary" / f"vocabulary_{name}.txt")
    assert len(tokenizer) == {"referit": 8803, "Gref": 12112}[name]
    cases = json.loads((shared_dir / "golden" / "evaltext" / "text.json").read_text())["cases"]
    assert len(cases) >= 15
    for case in cases:
        expected, sentence = case[name], case["sentence"]
        assert tokenizer(sentence)["input_ids"] == expected["ids_py2"], sentence
        padded = tokenizer(sentence, padding="max_length", truncation=True, max_length=20)
        assert padded["input_ids"] == expected["padded20_py2"], sentence
        assert sum(padded["attention_mask"]) == min(len(expected["ids_py2"]), 20)


def test_rule_equals_plain_python_on_random_text():
    tokenizer = build_tokenizer(WORDS)
    ids = {word: index for index, word in enumerate(WORDS)}
    pieces = [
        *"the Dog CAT t SHIRT . .. ' , _ 9 - ( <pad> <unk>".split(),
        " ",
        "\t",
        "\n",
        "\xa0",
        "\x1c",
        "\u00e9",
        "\u00c9",
    ]
    pieces += ["\u0130", "\u212a", "\u00df", "\u72ac", "\u200b", "\u2003", "e\u0301"]
    random = np.random.default_rng(0)
    for _ in range(3000):
        sentence = "".join(random.choice(pieces, random.integers(0, 9)))
        expected = [ids.get(word, 3) for word in original_words(sentence)]
        assert tokenizer(sentence)["input_ids"] == expected, repr(sentence)


def test_no_character_is_a_word_character_unless_ascii():
    tokenizer = build_tokenizer(WORDS)
    for code in [*range(1, 0xD800), *range(0xE000, 0x10000)]:
        character = chr(code)
        words = split_words(tokenizer, f"a{character}b")
        assert len(words) == len(original_words(f"a{character}b")), hex(code)


def test_last_of_duplicate_lines_wins_and_ids_have_no_holes(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("<pad>\n<go>\n<eos>\n<unk>\n.\n dog \n\n.\n\n", encoding="utf-8-sig")  # as Windows writes
    tokenizer = tokenizer_from_vocabulary_file(path)
    assert len(tokenizer) == 9
    assert tokenizer("dog. .dog")["input_ids"] == [5, 3, 5]
    assert tokenizer("dog.dog")["input_ids"] == [5, 7, 5]
    assert sorted(tokenizer.get_vocab().values()) == list(range(9))


def test_special_tokens_in_text_are_text():
    tokenizer = build_tokenizer(WORDS)
    assert tokenizer("<pad> dog")["input_ids"] == [3, 7, 3, 5]
    assert 1 not in tokenizer("<go> <eos>")["input_ids"]


def test_padding_truncation_and_sides():
    tokenizer = build_tokenizer(WORDS, max_length=3)
    batch = tokenizer(["the dog", "the cat the dog"], padding=True, truncation=True)
    assert batch["input_ids"] == [[0, 4, 5], [4, 6, 4]]
    assert batch["attention_mask"] == [[0, 1, 1], [1, 1, 1]]
    assert set(batch) == {"input_ids", "attention_mask"}
    right = build_tokenizer(WORDS, padding_side="right", max_length=10)
    assert right("the dog", padding="max_length")["input_ids"] == [4, 5] + [0] * 8


def test_empty_sentences_are_empty():
    tokenizer = build_tokenizer(WORDS)
    assert [tokenizer(text)["input_ids"] for text in ("", ".", "  ", " .")] == [[], [], [], []]


def test_vocabulary_from_sentences():
    tokenizer = tokenizer_from_sentences(["The dog, the cat", "a dog.", "the t-shirt"], padding_side="right")
    words = [word for word, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    assert words == [*SPECIAL_TOKENS, "the", "dog", "-", "a", "cat", "shirt", "t"]
    assert tokenizer.padding_side == "right"
    assert len(tokenizer_from_sentences(["the dog", "the cat"], min_count=2)) == 5


def test_reloads_without_this_package(tmp_path):
    tokenizer = build_tokenizer(WORDS, max_length=5)
    tokenizer(["the"], padding="max_length", truncation=True, max_length=7)  # leaves no trace in what is saved
    tokenizer.save_pretrained(tmp_path)
    text = ["The DOG .", "<pad> t-shirt the cat the dog."]
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert type(again) is TokenizersBackend
    expected = dict(tokenizer(text, padding=True, truncation=True))
    assert dict(again(text, padding=True, truncation=True)) == expected
    code = (
        "import sys; sys.modules['hf_refseg'] = None\n"
        "from transformers import AutoTokenizer\n"
        f"print(dict(AutoTokenizer.from_pretrained({str(tmp_path)!r})({text!r}, padding=True, truncation=True)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == str(expected)


def test_bad_vocabularies_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"starts with \['the', 'dog'\]; its first four entries must be"):
        build_tokenizer(["the", "dog"])
    with pytest.raises(ValueError, match="'middle'"):
        build_tokenizer(WORDS, padding_side="middle")
    with pytest.raises(FileNotFoundError, match="no vocabulary file .*gone.txt"):
        tokenizer_from_vocabulary_file(tmp_path / "gone.txt")
    (tmp_path / "words.txt").write_text("the\ndog\n")
    with pytest.raises(ValueError, match="the vocabulary starts with") as caught:
        build_tokenizer(["[" + "word, " * 10_000 + "]"])
    assert len(str(caught.value)) < 300
    with pytest.raises(ValueError, match="words.txt: the vocabulary starts with"):
        tokenizer_from_vocabulary_file(tmp_path / "words.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="binary.txt is not a UTF-8 text file"):
        tokenizer_from_vocabulary_file(tmp_path / "binary.txt")
