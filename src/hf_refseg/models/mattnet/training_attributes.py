"""
Attributes read out of expressions, for data sets that do not list them: what the object is called, its colors, and
other adjectives.

The original parsed sentences with Stanford's CoreNLP and took from refer-parser2 the head noun (r1), colors (r2) and
generic adjectives (r7). Here a part-of-speech tagger and the order of words do: the head is the last noun of the first
noun phrase, and what stands before it belongs to it. HanTa tags (`pip install hf-refseg[attributes]`), which is pure
Python and brings its English model along.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

COLORS = frozenset(
    "white green blue red yellow black brown pink dark darker orange gray grey purple beige bright".split()
)
# What the original's parser files under other headings (size, place, order) or refuses as a head.
REFUSED = frozenset(
    "left right top bottom front back middle center centre upper lower side corner far near close closest closer far "
    "furthest farthest nearest leftmost rightmost most next other same one ones first second third fourth fifth last "
    "big bigger biggest small smaller smallest large larger largest little tall taller tallest short shorter shortest "
    "long longer tiny huge half full whole thing object picture photo image pic part".split()
)
Tagger = Callable[[list[str]], list[tuple[str, str]]]
# Tags of the British National Corpus, by their first letters: what a noun phrase is made of before its head.
NOUN, ADJECTIVE, BEFORE_HEAD = ("NN", "NP"), ("AJ",), tuple("AT DT DPS CRD ORD AJ AV CJC VVG VVN VVD".split())


def load_tagger() -> Tagger:
    """A function from words to (lemma, tag of the British National Corpus) pairs.

    Raises:
        ImportError: HanTa is not installed.
    """
    try:
        from HanTa.HanoverTagger import HanoverTagger
    except ImportError as error:
        raise ImportError(
            "reading attributes out of sentences needs a part-of-speech tagger: pip install 'hf-refseg[attributes]'"
        ) from error
    tagger = HanoverTagger("morphmodel_en.pgz")
    return lambda words: [(lemma, tag) for _, lemma, tag in tagger.tag_sent(words, taglevel=1)]


def sentence_attributes(words: list[str], tagger: Tagger) -> set[str]:
    """Head noun, colors and other adjectives of the first noun phrase of a sentence.

    "the man in the red shirt" gives man; "blue plaid shirt lady" gives lady and blue.
    """
    words = [word.lower() for word in words]
    found, head = set(), None
    for word, (lemma, tag) in zip(words, tagger(words) if words else (), strict=True):
        if word in COLORS:
            found.add(word)
        elif tag.startswith(NOUN):
            if word not in REFUSED:
                # What the tagger takes for a plural is not always one: "dude", of "dud".
                plural = tag == "NN2" and (word.endswith("s") or not word.startswith(lemma.lower()))
                head = lemma.lower() if plural else word
        elif head is not None or not tag.startswith(BEFORE_HEAD):
            break
        elif tag.startswith(ADJECTIVE):
            found.add(word)
    if head is not None and not head.endswith("ing"):
        found.add(head)
    return found - REFUSED


def ref_attributes(sentences: Iterable[Sequence[str]], tagger: Tagger) -> set[str]:
    """Attributes of an object: those of all sentences about it, each given as its words."""
    return set().union(*(sentence_attributes(list(words), tagger) for words in sentences))


def attribute_vocabulary(
    attributes: Iterable[Iterable[str]], num_attributes: int = 50, exclude: Iterable[str] = ()
) -> dict[str, int]:
    """
    The most frequent attributes and how many refs have each, most frequent first, ties in alphabetical order.

    Args:
        attributes: those of each ref of the training split.
        exclude: words that are no attributes, such as the names of the categories, which the detector tells.

    Raises:
        ValueError: the refs have fewer different attributes.
    """
    excluded = set(exclude)
    counts = Counter(word for words in attributes for word in set(words) if word not in excluded)
    if len(counts) < num_attributes:
        raise ValueError(
            f"the refs have {len(counts)} different attributes, fewer than num_attributes={num_attributes}"
        )
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:num_attributes])
