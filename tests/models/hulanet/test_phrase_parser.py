import pytest

from hf_refseg.data import RefShapes
from hf_refseg.models.hulanet.phrase_parser import parse
from hf_refseg.models.hulanet.phrase_structure import PhraseStructure, PhraseVocabulary, split_phrase

VOCABULARY = PhraseVocabulary(
    "man dog cup glass table hat t-shirt".split() + ["wine glass", "coffee table", "skate board"],
    ["white", "tall", "standing", "in the background", "looking up", "black & white"],
    ["on", "in", "with", "wearing", "next to", "standing", "standing on"],
)


def read(text: str) -> PhraseStructure:
    return parse(split_phrase(text), VOCABULARY)[0]


@pytest.mark.parametrize(
    ("text", "name", "attributes", "relations"),
    [
        ("white cup on the table", "cup", ["white"], [("on", "table")]),
        ("the tall wine glass looking up next to a coffee table", "wine glass", ["tall", "looking up"], None),
        ("white dog in the background", "dog", ["white", "in the background"], []),
        ("man wearing hat on skate board", "man", [], [("wearing", "hat"), ("on", "skate board")]),
        ("man standing on table", "man", [], [("standing on", "table")]),
        ("man standing next to a dog", "man", ["standing"], [("next to", "dog")]),
        ("black & white t-shirt", "t-shirt", ["black & white"], []),
        ("huge white dog", "dog", ["white", "huge"], []),  # from the name to the front
        ("dog on red table", "dog", [], [("on", "red table")]),
    ],
)
def test_what_a_phrase_says(text, name, attributes, relations):
    structure = read(text)
    assert (structure.name, list(structure.attributes)) == (name, attributes)
    assert list(structure.relations) == ([("next to", "coffee table")] if relations is None else relations)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("blorp", PhraseStructure("blorp")),
        ("white blorp", PhraseStructure("blorp", ("white",))),
        ("blorp of zorg", PhraseStructure("blorp of zorg")),
        ("white", PhraseStructure("white")),  # an attribute before nothing
        ("white cup on", PhraseStructure("cup", ("white",))),  # a relation to nothing
        ("white cup on the", PhraseStructure("cup", ("white",))),
        ("on the table", PhraseStructure("table")),  # a relation of nothing
        ("the", PhraseStructure("the")),
        ("on in", PhraseStructure("on in")),
    ],
)
def test_odd_phrases_still_have_a_name(text, expected):
    assert read(text) == expected


def test_every_word_that_says_something_has_a_role():
    words = split_phrase("the white cup on the coffee table")
    assert parse(words, VOCABULARY)[1] == [0, 7, 5, 9, 0, 10, 11]
    assert parse(["cup", "on"], VOCABULARY)[1] == [5, 0]


@pytest.mark.parametrize(
    "structure",
    [
        PhraseStructure("wine glass", ("tall", "white", "looking up"), (("next to", "dog"), ("on", "table"))),
        PhraseStructure("t-shirt", ("black & white", "in the background"), (("with", "wine glass"),)),
    ],
)
def test_assembled_phrases_are_read_back(structure):
    words, roles = structure.assemble()
    assert parse(words, VOCABULARY) == (structure, roles)


def test_the_phrases_of_drawn_shapes_are_assembled_from_their_structures_and_read_back():
    """What is learned from structures serves free text: the words are the same, plurals and synonyms too."""
    rows = RefShapes("val", dialect="phrasecut", num_samples=60, refs_per_scene=3)
    structures = [PhraseStructure.from_row(row["phrase_structure"]) for row in rows]
    texts = [row["sentences"][0]["sent"] for row in rows]
    assert texts == [structure.phrase() for structure in structures]
    names = PhraseVocabulary.from_structures(structures)
    vocabulary = PhraseVocabulary(["circle", "star"], names.attributes, names.predicates)
    assert structures == [parse(split_phrase(text), vocabulary)[0] for text in texts]
