"""The content of an expression as optional fields of a row."""

from collections.abc import Sequence

from .semantics import Expression, Phrase, Thing, matching


def stated_fields(expression: Expression, things: Sequence[Thing], first_id: int) -> dict:
    """The fields attributes, relations and phrase_structure: what an expression says about its referents."""
    attributes, relations = [], []
    for phrase in expression.phrases:
        attributes += [a for a in (phrase.size, phrase.pattern, phrase.color, phrase.location) if a]
        for predicate, landmark in phrase.relations:
            ids = [first_id + i for i in matching(landmark, things)]
            relations.append({"predicate": predicate, "object": _name(landmark), "object_ann_ids": ids})
    structure = None
    if len(expression.phrases) == 1:
        structure = {
            "name": _name(expression.phrases[0]),
            "attributes": attributes,
            "relation_descriptions": [{"predicate": r["predicate"], "object": r["object"]} for r in relations],
            "type": "relation" if relations else "attribute" if attributes else "name",
        }
    return {"attributes": attributes, "relations": relations, "phrase_structure": structure}


def _name(phrase: Phrase) -> str:
    return phrase.category or "shape"
