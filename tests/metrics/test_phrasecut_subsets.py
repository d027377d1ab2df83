"""The borders of the subsets, and files that are not the official one."""

import json

import pytest

from hf_refseg.metrics import PHRASECUT_SUBSETS, PhraseCutSubsets

CATEGORIES = ["dog", *(f"thing{rank}" for rank in range(1, 600))]
ATTRIBUTES = ["red", *(f"kind{rank}" for rank in range(1, 300))]


def subsets_of(name="dog", attributes=(), relations=(), kind="name", instances=1, share=0.1, coco_id=None):
    structure = {"name": name, "attributes": list(attributes), "relation_descriptions": relations, "type": kind}
    return set(PhraseCutSubsets(CATEGORIES, ATTRIBUTES)(structure, instances, share, coco_id))


def test_there_are_43():
    assert len(set(PHRASECUT_SUBSETS)) == 43


@pytest.mark.parametrize(
    ("rank", "expected"),
    [
        (19, {"c20", "c100", "c500"}),
        (20, {"c21-100", "c100", "c500"}),
        (99, {"c21-100", "c100", "c500"}),
        (100, {"c101-500", "c500"}),
        (500, {"c500+"}),
    ],
)
def test_ranks_of_categories(rank, expected):
    assert {name for name in subsets_of(f"thing{rank}") if name.startswith("c")} == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ([], {"a200+"}),
        (["nobody", "kind299"], {"a200+"}),
        (["kind150", "kind19"], {"a20", "a100", "a200"}),
        (["kind20"], {"a21-100", "a100", "a200"}),
        (["kind199"], {"a101-200", "a200"}),
        (["red"], {"a20", "a100", "a200", "a_color"}),
    ],
)
def test_ranks_of_attributes(attributes, expected):
    assert {name for name in subsets_of(attributes=attributes) if name.startswith("a")} - {"all"} == expected


def test_sizes_instances_and_images():
    assert "s_mid" in subsets_of(share=0.02) and "s_small" in subsets_of(share=0.0199)
    assert "s_mid" in subsets_of(share=0.2) and "s_large" in subsets_of(share=0.2001)
    for instances, expected in ((1, "i_single"), (2, "i_multi"), (4, "i_multi"), (5, "i_many")):
        assert {name for name in subsets_of(instances=instances) if name.startswith("i")} == {expected}
    assert "d_cocotv" in subsets_of(coco_id=9)
    assert "d_notcocotv" in subsets_of(coco_id=0) and "d_notcocotv" in subsets_of(coco_id=None)
    assert "t_stuff" in subsets_of("skyscraper") and "t_obj" in subsets_of("dog")  # "sky" is stuff, wherever it stands


def test_phrases():
    relation = {"predicate": "on", "object": "table"}
    found = subsets_of(attributes=["red", "x"], relations=[relation, relation], kind="verbose")
    assert {"p_att", "p_attm", "p_rel", "p_relm", "p_att_rel", "p_verbose"} <= found
    assert {"p_name"} == {name for name in subsets_of() if name.startswith("p")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"structure": {}}, "a phrase_structure lacks .'name', 'attributes'"),
        ({"structure": None}, "a phrase_structure is a NoneType"),
        ({"attributes": "red"}, "the attributes of a phrase are 'red'; give a list"),
        ({"num_instances": -1}, "num_instances is -1"),
        ({"target_share": 5}, "target_share is 5; it is a share"),
        ({"target_share": float("nan")}, "target_share is nan"),
    ],
)
def test_what_is_no_phrase(changes, message):
    structure = {
        "name": "dog",
        "attributes": changes.pop("attributes", []),
        "relation_descriptions": [],
        "type": "name",
    }
    with pytest.raises(ValueError, match=message):
        PhraseCutSubsets(["dog"], ["red"])(
            **{"structure": structure, "num_instances": 1, "target_share": 0.1, **changes}
        )


def test_a_file_that_is_another_one(tmp_path):
    others = ('{"cat": {"ab": 1}, "att": {}}', '{"cat": [["dog", 3]]}', "[" * 5000)
    for content in ("[]", "nothing", *others):
        (tmp_path / "counts.json").write_text(content)
        with pytest.raises(ValueError, match="is not VGPhraseCut's name_att_rel_count.json"):
            PhraseCutSubsets.from_file(tmp_path / "counts.json")
    (tmp_path / "counts.json").write_text(json.dumps({"cat": [["dog", 3]], "att": [["red", 2]], "rel": []}))
    assert PhraseCutSubsets.from_file(tmp_path / "counts.json")
    with pytest.raises(FileNotFoundError):
        PhraseCutSubsets.from_file(tmp_path / "gone.json")
