import pytest

from hf_refseg.models.hulanet.phrase_structure import (
    PhraseStructure,
    PhraseVocabulary,
    WordRole,
    original_labels,
    roles_of,
    split_phrase,
)

DOG = PhraseStructure(
    "dog", ("in the background", "white", "made of wood"), (("next to", "coffee table"), ("on", "mat"))
)


def test_words_are_split_as_phrasecut_splits_them():
    assert split_phrase("Man's  t-shirt, (50% off)") == [
        "man",
        "'",
        "s",
        "t",
        "-",
        "shirt",
        ",",
        "(",
        "50%",
        "off",
        ")",
    ]


def test_phrase_is_assembled_in_phrasecuts_order():
    assert DOG.phrase() == "white dog in the background made of wood next to coffee table on mat"
    words, roles = DOG.assemble()
    assert words == DOG.phrase().split()
    said = {
        role: [word for word, given in zip(words, roles, strict=True) if given in (role, role + 1)]
        for role in (WordRole.NAME, WordRole.ATTRIBUTE, WordRole.PREDICATE, WordRole.OBJECT)
    }
    assert said[WordRole.NAME] == ["dog"]
    assert said[WordRole.ATTRIBUTE] == "white in the background made of wood".split()
    assert said[WordRole.PREDICATE] == "next to on".split() and said[WordRole.OBJECT] == "coffee table mat".split()


def test_attributes_of_one_word_and_adjectives_in_ing_stand_in_front():
    attributes = ("standing", "off", "living large", "looking up", "kingdom like")
    assert PhraseStructure("man", attributes).phrase() == "kingdom like living large off standing man looking up"


def test_last_word_of_each_part_is_marked():
    assert roles_of(WordRole.NAME, 3) == [4, 4, 5] and roles_of(WordRole.NAME, 0) == []
    _, roles = DOG.assemble()
    assert roles.count(WordRole.LAST_OF_OBJECT) == roles.count(WordRole.LAST_OF_PREDICATE) == 2


def test_labels_follow_the_words_where_the_original_loses_them():
    structure = PhraseStructure("hat", ("man's",))
    assert structure.assemble()[1] == [6, 6, 7, 5]
    assert original_labels(structure, 6) == [2, 5, 3, 0, 0, 0]
    assert original_labels(PhraseStructure("hat", ("very big",)), 4) == [2, 6, 7, 5]


def test_rows_and_official_files_are_read_alike():
    row = {"name": "cup", "attributes": ["white"], "type": "name"}
    of_row = PhraseStructure.from_row(row | {"relation_descriptions": [{"predicate": "on", "object": "table"}]})
    assert of_row == PhraseStructure.from_row(row | {"relation_descriptions": [["on", "table"]]})
    assert PhraseStructure.from_row(of_row.to_dict()) == of_row


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        ({"name": "cup", "attributes": []}, "give a dict of name, attributes and relation_descriptions"),
        (None, "phrase_structure is None; give a dict"),
        ({"name": "cup", "attributes": None, "relation_descriptions": []}, "a list of words"),
        ({"name": "cup", "attributes": "red", "relation_descriptions": []}, "a list of words"),
        ({"name": "cup", "attributes": [], "relation_descriptions": None}, "a list of pairs"),
        ({"name": "cup", "attributes": [], "relation_descriptions": [["on"]]}, "a list of pairs"),
        ({"name": 7, "attributes": [], "relation_descriptions": []}, "are a word"),
        ({"name": " ", "attributes": ["red"], "relation_descriptions": []}, "has no name"),
    ],
)
def test_structures_that_say_nothing_are_refused(structure, message):
    with pytest.raises(ValueError, match=message):
        PhraseStructure.from_row(structure)


def test_vocabulary_keeps_what_is_frequent():
    counts = {"cat": [["man", 30], ["cup", 21], ["mug", 20]], "att": [["white", 21]], "rel": [["on", 3]]}
    vocabulary = PhraseVocabulary.from_counts(counts)
    assert vocabulary.categories == ("man", "cup") and vocabulary.attributes == ("white",)
    assert vocabulary.predicates == () and vocabulary.category_index == {"man": 0, "cup": 1}


def test_vocabulary_of_structures_is_ordered_by_frequency_then_by_name():
    structures = [PhraseStructure("cup", ("red",)), PhraseStructure("cup", ("big", "red")), DOG]
    vocabulary = PhraseVocabulary.from_structures(structures)
    assert vocabulary.categories == ("cup", "dog") and vocabulary.predicates == ("next to", "on")
    assert vocabulary.attributes == ("red", "big", "in the background", "made of wood", "white")
    assert PhraseVocabulary.from_structures(structures, min_count=2).attributes == ("red",)
