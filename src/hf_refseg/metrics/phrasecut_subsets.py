"""The 43 subsets of VGPhraseCut (Wu et al., PhraseCut, CVPR 2020), by which its evaluator breaks every number down.

======================  ===============================================================================================
c_coco, c20, ...        the category: one of COCO's 80 names; its rank by frequency in the whole data set
a20, ..., a_color, ...  the attributes: the rank of the most frequent one; the kinds of word among them
p_...                   the phrase: what it needed to be unique (its type), and what else it states
i_..., s_..., t_...     the target: number of instances, share of the image, stuff or object
d_...                   the image: in COCO's train and val sets, or not
======================  ===============================================================================================

Odd rules are those of the evaluator and kept: phrases without attribute are in a200+, c20 is not part of c21-100 but of
c100 and c500, and a stuff word counts anywhere inside of a name ("sky" in "skyscraper").
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from ..data.coco_categories import NOUNS
from ..data.official_files import read_json, require
from ..mask_values import as_count

PHRASECUT_SUBSETS = (
    *("all", "c_coco", "c20", "c100", "c500", "c21-100", "c101-500", "c500+", "i_single", "i_multi", "i_many"),
    *("p_name", "p_att", "p_att+", "p_rel", "p_rel+", "p_verbose", "p_attm", "p_relm", "t_stuff", "t_obj"),
    *("s_small", "s_mid", "s_large", "a20", "a100", "a200", "a21-100", "a101-200", "a200+"),
    *("a_color", "a_shape", "a_material", "a_texture", "a_state", "a_adj", "a_noun", "a_loc", "a_count", "a_bad"),
    *("p_att_rel", "d_cocotv", "d_notcocotv"),
)
UNRANKED_CATEGORY, UNRANKED_ATTRIBUTE = 501, 201
WORDS_FILE = Path(__file__).with_name("phrasecut_words.json")


class PhraseCutSubsets:
    """Says which subsets a phrase belongs to.

    Args:
        categories, attributes: all names of the data set by descending count, as in name_att_rel_count.json.
    """

    def __init__(self, categories: Sequence[str], attributes: Sequence[str]):
        self._category_rank = {name: rank for rank, name in reversed(list(enumerate(categories)))}
        self._attribute_rank = {name: rank for rank, name in reversed(list(enumerate(attributes)))}

    @classmethod
    def from_file(cls, path: str | Path) -> "PhraseCutSubsets":
        """From VGPhraseCut's official name_att_rel_count.json.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not that file.
        """
        try:
            counts = read_json(Path(path), dict)
            names = [[name for name, _ in counts[kind]] for kind in ("cat", "att")]
            if not all(isinstance(counts[kind], list) for kind in ("cat", "att")):
                raise TypeError("they are no lists")
            return cls(*names)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is not VGPhraseCut's name_att_rel_count.json, which holds lists [name, count] as 'cat' and "
                f"'att': {error!r}"
            ) from error

    def __call__(
        self, structure: Mapping, num_instances: int, target_share: float, coco_id: int | None = None
    ) -> list[str]:
        """The names, in the order of `PHRASECUT_SUBSETS`, of the subsets of one phrase.

        Args:
            structure: PhraseCut's phrase_structure: `name`, `attributes`, `relation_descriptions`, `type`.
            num_instances: of the target.
            target_share: pixels of the target / pixels of the image.
            coco_id: of the image, None or 0 where it is in neither of COCO's train and val sets.

        Raises:
            ValueError: a structure without one of these fields, or numbers that are no count and no share.
        """
        require(structure, ("name", "attributes", "relation_descriptions", "type"), "a phrase_structure")
        num_instances = as_count(num_instances, "num_instances")
        for name, of_what in (("attributes", "words"), ("relation_descriptions", "relations")):
            if isinstance(structure[name], str) or not isinstance(structure[name], Sequence):
                raise ValueError(f"the {name} of a phrase are {structure[name]!r}; give a list of {of_what}")
        if not 0 <= target_share <= 1:
            raise ValueError(f"target_share is {target_share}; it is a share of the image, from 0 to 1")
        attributes, num_relations = structure["attributes"], len(structure["relation_descriptions"])
        category = self._category_rank.get(structure["name"], UNRANKED_CATEGORY)
        attribute = min(
            (self._attribute_rank.get(name, UNRANKED_ATTRIBUTE) for name in attributes), default=UNRANKED_ATTRIBUTE
        )
        words = _words()
        member = {
            "all": True,
            "c_coco": structure["name"] in NOUNS,
            "c20": category < 20,
            "c100": category < 100,
            "c500": category < 500,
            "c21-100": 20 <= category < 100,
            "c101-500": 100 <= category < 500,
            "c500+": category >= 500,
            "i_single": num_instances == 1,
            "i_multi": 1 < num_instances < 5,
            "i_many": num_instances >= 5,
            "p_name": structure["type"] == "name",
            "p_att": len(attributes) > 0,
            "p_att+": structure["type"] == "attribute",
            "p_rel": num_relations > 0,
            "p_rel+": structure["type"] == "relation",
            "p_verbose": structure["type"] == "verbose",
            "p_attm": len(attributes) > 1,
            "p_relm": num_relations > 1,
            "t_stuff": any(word in structure["name"] for word in words["stuff"]),
            "s_small": target_share < 0.02,
            "s_large": target_share > 0.2,
            "a20": attribute < 20,
            "a100": attribute < 100,
            "a200": attribute < 200,
            "a21-100": 20 <= attribute < 100,
            "a101-200": 100 <= attribute < 200,
            "a200+": attribute >= 200,
            "p_att_rel": len(attributes) > 0 and num_relations > 0,
            "d_cocotv": bool(coco_id),
        }
        for kind in words.keys() - {"stuff"}:
            member[f"a_{kind}"] = not words[kind].isdisjoint(attributes)
        member["t_obj"] = not member["t_stuff"]
        member["s_mid"] = not (member["s_small"] or member["s_large"])
        member["d_notcocotv"] = not member["d_cocotv"]
        return [name for name in PHRASECUT_SUBSETS if member[name]]


@cache
def _words() -> dict[str, frozenset[str]]:
    """Which words are stuff, and which attributes are colors, shapes ...: the evaluator's lists, as data."""
    return {kind: frozenset(words) for kind, words in json.loads(WORDS_FILE.read_text(encoding="utf-8")).items()}
