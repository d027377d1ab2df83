"""
The structure of free text, by rule. The parser is ours: the benchmark gives every model the structure, and has none.

Word by word the longest known predicate, attribute or category counts. See `parse` for what is made of them.
"""

from collections.abc import Sequence

from .phrase_structure import PhraseStructure, PhraseVocabulary, WordRole, roles_of

ARTICLES = frozenset("a an the".split())


def parse(words: Sequence[str], vocabulary: PhraseVocabulary) -> tuple[PhraseStructure, list[WordRole]]:
    """
    What a phrase says, and which word says what.

    Known predicates, the longest first, split the words: what stands between two of them is the object of the first.
    Left of them all, the last known category is the name; known attributes, the longest first, and all other words are
    attributes. Where no category is known, the words that are no known attribute are the name, or all of them.
    Articles say nothing, nor does a predicate that has nothing on its left or right.

    Args:
        words: of one phrase, as `split_phrase` gives them; at least one.

    Returns:
        the structure and the role of each word.
    """
    roles = [WordRole.NONE] * len(words)
    predicates = _find_predicates(words, vocabulary)
    left_end = predicates[0].start if predicates else len(words)
    name, attributes = _parse_left(words, left_end, vocabulary, roles)
    relations = []
    for predicate, end in zip(predicates, _ends(predicates, words), strict=True):
        target = [index for index in range(predicate.stop, end) if words[index] not in ARTICLES]
        _mark(roles, WordRole.PREDICATE, predicate)
        _mark(roles, WordRole.OBJECT, target)
        relations.append(
            (
                vocabulary.spelling(WordRole.PREDICATE, words, predicate),
                vocabulary.spelling(WordRole.NAME, words, target),
            )
        )
    return PhraseStructure(name, attributes, tuple(relations)), roles


def _find_predicates(words: Sequence[str], vocabulary: PhraseVocabulary) -> list[range]:
    """Where predicates stand that have something on either side."""
    found, start = [], 0
    while start < len(words):
        lengths = {
            role: vocabulary.match(role, words, start, len(words))
            for role in (WordRole.PREDICATE, WordRole.ATTRIBUTE, WordRole.NAME)
        }
        length = max(lengths.values())
        if length and lengths[WordRole.PREDICATE] == length:
            found.append(range(start, start + length))
        start += max(length, 1)
    while found and not _says_something(words, 0, found[0].start):
        found.pop(0)
    ends = _ends(found, words)
    return [
        predicate for predicate, end in zip(found, ends, strict=True) if _says_something(words, predicate.stop, end)
    ]


def _ends(predicates: list[range], words: Sequence[str]) -> list[int]:
    """Where the object of each predicate ends: at the next predicate, the last at the end of the phrase."""
    return [*(predicate.start for predicate in predicates), len(words)][1:]


def _says_something(words: Sequence[str], start: int, end: int) -> bool:
    return any(word not in ARTICLES for word in words[start:end])


def _parse_left(
    words: Sequence[str], end: int, vocabulary: PhraseVocabulary, roles: list[WordRole]
) -> tuple[str, tuple[str, ...]]:
    """Name and attributes among the words before `end`, whose roles are written into `roles`."""
    name = _last_category(words, end, vocabulary)
    attributes, others, start = [], [], 0
    while start < end:
        if start in name:
            start = name.stop
            continue
        limit = name.start if start < name.start else end
        length = vocabulary.match(WordRole.ATTRIBUTE, words, start, limit)
        if length:
            attributes.append(range(start, start + length))
        elif dangling := vocabulary.match(WordRole.PREDICATE, words, start, limit):
            length = dangling
        elif words[start] not in ARTICLES:
            others.append(start)
        start += max(length, 1)
    if name:
        attributes += [range(index, index + 1) for index in others]
    elif not others:
        attributes, others = [], list(range(end))
    indices = list(name) or others
    for part in attributes:
        _mark(roles, WordRole.ATTRIBUTE, part)
    _mark(roles, WordRole.NAME, indices)
    # in the order of PhraseCut's structures, which grow from the name to the front and then to the back
    front = sorted((part for part in attributes if part.start < indices[0]), key=lambda part: -part.start)
    back = sorted((part for part in attributes if part.start > indices[0]), key=lambda part: part.start)
    spelled = tuple(vocabulary.spelling(WordRole.ATTRIBUTE, words, part) for part in (*front, *back))
    return vocabulary.spelling(WordRole.NAME, words, indices), spelled


def _last_category(words: Sequence[str], end: int, vocabulary: PhraseVocabulary) -> range:
    """The known category that ends last before `end`, the longest of these; an empty range where there is none."""
    for stop in range(end, 0, -1):
        for start in range(stop):
            if vocabulary.is_known(WordRole.NAME, words[start:stop]):
                return range(start, stop)
    return range(0)


def _mark(roles: list[WordRole], role: WordRole, indices: Sequence[int]) -> None:
    for index, value in zip(indices, roles_of(role, len(indices)), strict=True):
        roles[index] = value


__all__ = ["parse"]
