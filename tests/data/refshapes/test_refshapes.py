import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from datasets.distributed import split_dataset_by_node

from hf_refseg.data import RefShapes, row_features
from hf_refseg.data.refshapes.dialects import DIALECTS
from hf_refseg.data.refshapes.scene import split_of
from hf_refseg.data.schema import OPTIONAL_FIELDS


def comparable(row):
    return row | {"image": np.asarray(row["image"]).tobytes()}


def test_a_sample_is_a_function_of_its_index():
    forwards, backwards = RefShapes(num_samples=8), RefShapes(num_samples=1000)
    rows = [comparable(forwards[i]) for i in range(8)]
    assert rows == [comparable(backwards[i]) for i in reversed(range(8))][::-1]
    assert rows[-1] == comparable(forwards[-1])


def test_another_process_makes_the_same_sample():
    # An interpreter of its own has other string hashes: what depended on them would differ.
    code = "from hf_refseg.data import RefShapes; row = RefShapes(seed=5)[3]; print(row['sentences'], row['mask'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    row = RefShapes(seed=5)[3]
    assert result.stdout == f"{row['sentences']} {row['mask']}\n"


@pytest.mark.parametrize("change", [{"seed": 1}, {"split": "val"}, {"dialect": "refcocoplus"}, {"size": 96}])
def test_other_settings_make_other_samples(change):
    assert comparable(RefShapes()[0]) != comparable(RefShapes(**change)[0])


def test_splits_never_share_a_scene():
    scenes = {}
    for split in ("train", "val", "test"):
        scenes[split] = set()
        for row in RefShapes(split=split, num_samples=60, seed=len(split)):
            # Attributes of an instance come as size, pattern, color.
            shapes = [(i["category"], i["attributes"][2], *i["attributes"][:2]) for i in row["instances"]]
            assert split_of(shapes) == split
            scenes[split].add(tuple(sorted(shapes)))
    assert not scenes["train"] & scenes["val"] | scenes["train"] & scenes["test"] | scenes["val"] & scenes["test"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_rows_have_the_fields_of_the_schema(dialect):
    row = RefShapes(dialect=dialect)[1]
    features = row_features(OPTIONAL_FIELDS)
    assert set(row) == set(features)
    assert row["image"].mode == "RGB" and row["image"].size == (row["width"], row["height"]) == (128, 128)
    features.encode_example(row)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_vocabulary_is_what_is_said(dialect):
    said = Counter(
        token
        for row in RefShapes(dialect=dialect, size=48, num_samples=1500)
        for sentence in row["sentences"]
        for token in sentence["tokens"]
    )
    assert sorted(said) == RefShapes.vocabulary(dialect)
    assert set(said) <= set(RefShapes.vocabulary())


def test_dialects_are_what_they_are_called():
    locations = {"left", "right", "top", "bottom", "middle", "leftmost", "above", "below"}
    assert not locations & set(RefShapes.vocabulary("refcocoplus"))
    targets = {d: Counter(len(row["ann_ids"]) for row in RefShapes(dialect=d, num_samples=120)) for d in DIALECTS}
    for dialect in ("refcoco", "refcocoplus", "refcocog"):
        assert set(targets[dialect]) == {1}
    assert 0 not in targets["phrasecut"] and max(targets["phrasecut"]) > 1
    assert targets["grefcoco"][0] > 10 and sum(n for k, n in targets["grefcoco"].items() if k > 1) > 20
    lengths = {
        d: np.mean([len(RefShapes(dialect=d)[i]["sentences"][0]["tokens"]) for i in range(60)]) for d in DIALECTS
    }
    assert max(lengths, key=lengths.get) == "refcocog"


def test_expression_types_can_be_chosen():
    rows = RefShapes(dialect="refcocog", num_samples=20, expression_types=["relational"])
    assert {row["expression_type"] for row in rows} == {"relational"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "testA"}, "testA.*train.*val.*test"),
        ({"dialect": "RefCOCO"}, "RefCOCO.*refcoco"),
        ({"size": 16}, "size=16.*48"),
        ({"seed": -1}, "seed.*-1"),
        ({"num_samples": -1}, "num_samples.*-1"),
        ({"dialect": "refcocoplus", "expression_types": ["location"]}, "location.*refcocoplus.*attribute"),
        ({"expression_types": []}, r"expression_types=\[\]: dialect 'refcoco' has .*'attribute'"),
        ({"expression_types": "location"}, r"give a list, \['location'\]"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        RefShapes(**arguments)


def test_bad_index_and_bad_vocabulary():
    with pytest.raises(IndexError, match="row 4 .*4 rows"):
        RefShapes(num_samples=4)[4]
    with pytest.raises(ValueError, match="klingon"):
        RefShapes.vocabulary("klingon")


def test_stream_gives_the_same_rows_and_is_dealt_out():
    shapes = RefShapes(split="val", num_samples=10, dialect="grefcoco")
    stream = shapes.to_iterable_dataset(num_shards=4)
    assert [comparable(row) for row in stream] == [comparable(row) for row in shapes]
    parts = [[row["ref_id"] for row in split_dataset_by_node(stream, rank, 2)] for rank in range(2)]
    assert sorted(parts[0] + parts[1]) == list(range(10)) and parts[0] and parts[1]
    with pytest.raises(ValueError, match="num_shards"):
        shapes.to_iterable_dataset(num_shards=0)


def test_stream_resumes_where_it_was():
    stream = RefShapes(num_samples=6, size=48).to_iterable_dataset(num_shards=2)
    iterator = iter(stream)
    for _ in range(4):
        next(iterator)
    state = stream.state_dict()
    resumed = RefShapes(num_samples=6, size=48).to_iterable_dataset(num_shards=2)
    resumed.load_state_dict(state)
    assert [row["ref_id"] for row in resumed] == [4, 5]


def test_workers_share_the_stream():
    from torch.utils.data import DataLoader

    stream = RefShapes(num_samples=12, size=48).to_iterable_dataset(num_shards=4)
    loader = DataLoader(stream, batch_size=None, num_workers=2, collate_fn=lambda row: row["ref_id"])
    assert sorted(loader) == list(range(12))


def test_map_style_dataset(tmp_path):
    shapes = RefShapes(num_samples=3, size=48)
    stored = shapes.to_dataset(cache_dir=str(tmp_path))
    assert [comparable(row) for row in stored] == [comparable(row) for row in shapes]


LONG_TAIL = {"circle": 20, "square": 20, "star": 1, "oval": 1}


def test_categories_are_as_frequent_as_their_shares():
    rows = RefShapes(dialect="phrasecut", num_samples=150, category_shares=LONG_TAIL)
    counts = Counter(instance["category"] for row in rows for instance in row["instances"])
    assert set(counts) == set(LONG_TAIL) and rows.categories == list(LONG_TAIL)
    assert min(counts["circle"], counts["square"]) > 3 * max(counts["star"], counts["oval"])
    said = {word for row in rows for sentence in row["sentences"] for word in sentence["tokens"]}
    assert said <= set(rows.vocabulary_texts()) and "ellipses" in rows.vocabulary_texts()
    assert comparable(rows[0]) != comparable(RefShapes(dialect="phrasecut")[0])


def test_further_categories_are_drawn_on_demand_only():
    assert not {"oval", "pentagon"} & set(RefShapes.vocabulary()) and "oval" not in RefShapes().categories
    stream = RefShapes(num_samples=4, category_shares=LONG_TAIL).to_iterable_dataset(num_shards=2)
    assert [row["sentences"] for row in stream] == [
        row["sentences"] for row in RefShapes(num_samples=4, category_shares=LONG_TAIL)
    ]


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"circle": 1, "blob": 1}, r"names \['blob'\]; RefShapes draws \['circle', .*'hexagon'\]"),
        ({"circle": 1}, "two categories or more"),
        ({"circle": 1, "star": 0}, "a share above 0"),
    ],
)
def test_impossible_shares_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        RefShapes(category_shares=shares)
