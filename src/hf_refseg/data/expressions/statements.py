"""The content of an expression as optional fields of a row."""

from collections.abc import Sequence

from .semantics import matching
from .things import Expression, Phrase, Thing
from .wording import Wording


def stated_fields(expression: Expression, wording: Wording, things: Sequence[Thing], ann_ids: Sequence[int]) -> dict:
    """
    The fields attributes, relations and phrase_structure: what an expression says about its referents.

    `attributes` and `relations` are what is meant ("small", "next to"). `phrase_structure` has the words that stand in
    `wording` ("little", "close to"), as PhraseCut's structures have; it is None where there are several phrases.

    Args:
        ann_ids: the annotation of each thing.
    """
    attributes, relations = [], []
    for phrase in expression.phrases:
        stated = (phrase.size, phrase.pattern, phrase.color, phrase.clothes, phrase.location)
        attributes += [attribute for attribute in stated if attribute]
        for predicate, landmark in phrase.relations:
            ids = [ann_ids[i] for i in matching(landmark, things)]
            relations.append({"predicate": predicate, "object": _name(landmark), "object_ann_ids": ids})
    structure = None
    if len(wording.phrases) == 1:
        (said,) = wording.phrases
        structure = {
            "name": said.name,
            "attributes": list(said.attributes),
            "relation_descriptions": [{"predicate": predicate, "object": other} for predicate, other in said.relations],
            "type": "relation" if said.relations else "attribute" if said.attributes else "name",
        }
    return {"attributes": attributes, "relations": relations, "phrase_structure": structure}


def _name(phrase: Phrase) -> str:
    return phrase.category or "shape"
