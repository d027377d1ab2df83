"""
What a phrase says of its target: a name, attributes, relations to other things; and which of its words say which.

PhraseCut's phrases are assembled from such a structure, so its rows have it. phrase_parser.py reads it from free text.

The words are those of PhraseCut's own splitting rule (`split_phrase`). Facts about the original are from the code of
its data set (utils/phrase_handler.py and utils/word_embed.py).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

# each of these stands by itself; written so that Python and the tokenizers library read it alike
SEPARATOR = "[" + "".join(f"\\x{ord(character):02x}" for character in "-',:<./?*\"\\&\0`!][+@()") + "]"
# A longer attribute that begins with one of these, or with a word in -ing, stands behind the name.
BEHIND_NAME = frozenset("in on for of with made to not turned off from".split())
NO_PARTICIPLES = frozenset("living king ping ceiling".split())
MIN_COUNT = 21


class WordRole(IntEnum):
    """What a word says; the numbers are those of the original. The last word of each part has a role of its own."""

    NONE = 0
    BEGIN = 2
    END = 3
    NAME = 4
    LAST_OF_NAME = 5
    ATTRIBUTE = 6
    LAST_OF_ATTRIBUTE = 7
    PREDICATE = 8
    LAST_OF_PREDICATE = 9
    OBJECT = 10
    LAST_OF_OBJECT = 11


def split_phrase(text: str) -> list[str]:
    """PhraseCut's words: lower case, split at blanks and around each of - ' , : < . / ? * " \\ & ` ! ] [ + @ ( )."""
    return re.sub(f"({SEPARATOR})", r" \1 ", text.lower()).split()


def roles_of(role: WordRole, length: int) -> list[WordRole]:
    """The roles of a part of so many words: all `role`, the last one marked."""
    return [role] * (length - 1) + [WordRole(role + 1)] * (length > 0)


def stands_behind(attribute: str) -> bool:
    """Whether an attribute stands behind the name ("dog in the background") and not in front ("white dog")."""
    first, *others = attribute.split() or [""]
    return bool(others) and (first in BEHIND_NAME or (first.endswith("ing") and first not in NO_PARTICIPLES))


@dataclass(frozen=True)
class PhraseStructure:
    """
    What a phrase says.

    Args:
        name: what the target is called.
        attributes: what is said of the target itself.
        relations: pairs of a predicate and the name of the thing that the target stands in that relation to.
    """

    name: str
    attributes: tuple[str, ...] = ()
    relations: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_row(cls, structure: Mapping) -> "PhraseStructure":
        """From the `phrase_structure` of a row, or of PhraseCut's official files, whose relations are pairs.

        Raises:
            ValueError: it has no name, lacks one of the other fields, or these are no lists of words and pairs.
        """
        try:
            name, attributes, relations = (structure[key] for key in ("name", "attributes", "relation_descriptions"))
            pairs = [(r["predicate"], r["object"]) if isinstance(r, Mapping) else tuple(r) for r in relations]
            words = [name, *attributes, *(word for pair in pairs for word in pair)]
            if isinstance(attributes, str) or not all(isinstance(word, str) for word in words):
                raise TypeError("not all of them are words")
            if any(len(pair) != 2 for pair in pairs):
                raise TypeError("a relation is a pair of predicate and object")
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"phrase_structure is {structure!r}; give a dict of name, attributes and relation_descriptions, which "
                "are a word, a list of words, and a list of pairs of them"
            ) from error
        if not split_phrase(name):
            raise ValueError(f"phrase_structure has no name: {dict(structure)!r}; a phrase says what its target is")
        return cls(name, tuple(attributes), tuple(pairs))

    def to_dict(self) -> dict:
        """The same as the field of a row, but for PhraseCut's `type`, which only the whole image tells."""
        relations = [{"predicate": predicate, "object": name} for predicate, name in self.relations]
        return {"name": self.name, "attributes": list(self.attributes), "relation_descriptions": relations}

    def parts(self) -> list[tuple[WordRole, str]]:
        """The parts of the phrase in the order in which PhraseCut says them."""
        behind = [text for text in self.attributes if stands_behind(text)]
        # each attribute goes in front of those before it
        before = [text for text in reversed(self.attributes) if not stands_behind(text)]
        relations = [part for pair in self.relations for part in zip(RELATION_ROLES, pair, strict=True)]
        return [
            *((WordRole.ATTRIBUTE, text) for text in before),
            (WordRole.NAME, self.name),
            *((WordRole.ATTRIBUTE, text) for text in behind),
            *relations,
        ]

    def phrase(self) -> str:
        """The phrase that PhraseCut makes of the structure."""
        return " ".join(" ".join(text for _, text in self.parts()).split())

    def assemble(self) -> tuple[list[str], list[WordRole]]:
        """The words of that phrase and the role of each."""
        words, roles = [], []
        for role, text in self.parts():
            part = split_phrase(text)
            words += part
            roles += roles_of(role, len(part))
        return words, roles


RELATION_ROLES = (WordRole.PREDICATE, WordRole.OBJECT)


def original_labels(structure: PhraseStructure, length: int) -> list[int]:
    """
    The labels that PhraseCut's code gives the words of a phrase, to compare with it; `assemble` gives the right ones.

    The original labels words between blanks, but reads words split at separators too ("man's" is one label and three
    words); and it labels no attribute of a single word in front of the name. Either moves all later labels to the left.

    Returns:
        `length` numbers, of <BOS>, the words and <EOS>, cut off or padded with 0.
    """
    labels = [WordRole.BEGIN]
    for role, text in structure.parts():
        words = text.split()
        unlabeled = role == WordRole.ATTRIBUTE and len(words) == 1
        labels += [] if unlabeled else roles_of(role, len(words))
    labels = [*labels, WordRole.END][:length]
    return [int(label) for label in labels] + [0] * (length - len(labels))


class PhraseVocabulary:
    """
    The names that are known, each list by descending frequency.

    Args:
        categories: what targets and other things are called.
        attributes, predicates: as they stand in structures, of one or more words.
    """

    def __init__(self, categories: Sequence[str], attributes: Sequence[str] = (), predicates: Sequence[str] = ()):
        self.categories, self.attributes, self.predicates = tuple(categories), tuple(attributes), tuple(predicates)
        self.category_index = {name: index for index, name in reversed(list(enumerate(self.categories)))}
        self._known = {
            role: {tuple(split_phrase(name)): name for name in reversed(names)}
            for role, names in (
                (WordRole.NAME, self.categories),
                (WordRole.ATTRIBUTE, self.attributes),
                (WordRole.PREDICATE, self.predicates),
            )
        }
        self._longest = {role: max(map(len, names), default=0) for role, names in self._known.items()}

    @classmethod
    def from_counts(cls, counts: Mapping[str, Sequence], min_count: int = MIN_COUNT) -> "PhraseVocabulary":
        """From the content of PhraseCut's name_att_rel_count.json: the names that occur at least so often."""
        return cls(*([name for name, count in counts[key] if count >= min_count] for key in ("cat", "att", "rel")))

    @classmethod
    def from_structures(cls, structures: Iterable[PhraseStructure], min_count: int = 1) -> "PhraseVocabulary":
        """The names that occur in at least so many structures; ties in alphabetical order."""
        counters = Counter(), Counter(), Counter()
        for structure in structures:
            found = {structure.name}, set(structure.attributes), {predicate for predicate, _ in structure.relations}
            for counter, names in zip(counters, found, strict=True):
                counter.update(names)
        ordered = (sorted(counter.items(), key=lambda item: (-item[1], item[0])) for counter in counters)
        return cls(*([name for name, count in counts if count >= min_count] for counts in ordered))

    def match(self, role: WordRole, words: Sequence[str], start: int, end: int) -> int:
        """The length of the longest known name of this role that begins at word `start` and ends by `end`; 0: none."""
        longest = min(self._longest[role], end - start)
        return next((n for n in range(longest, 0, -1) if tuple(words[start : start + n]) in self._known[role]), 0)

    def is_known(self, role: WordRole, words: Sequence[str]) -> bool:
        return tuple(words) in self._known[role]

    def spelling(self, role: WordRole, words: Sequence[str], indices: Iterable[int]) -> str:
        """The words at these places as the lists write them ("t-shirt"), or with blanks where no list knows them."""
        part = tuple(words[index] for index in indices)
        return self._known[role].get(part, " ".join(part))


__all__ = ["PhraseStructure", "PhraseVocabulary", "WordRole", "original_labels", "roles_of", "split_phrase"]
