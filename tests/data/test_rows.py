"""The one protocol, held by every kind of data set."""

import copy

import numpy as np
import pytest
from datasets import Dataset
from official_copies import write_grefcoco, write_referit

from hf_refseg.data import (
    DatasetRows,
    HeldRows,
    ReferringRows,
    RefShapes,
    decode_mask,
    load,
    load_coco_images,
    row_features,
)
from hf_refseg.data.schema import OFFICIAL_FIELDS, OPTIONAL_FIELDS, REQUIRED_FIELDS

KINDS = ("refshapes", "refer", "grefcoco", "referit", "phrasecut", "coco", "built", "dataset", "held", "slice")


@pytest.fixture(scope="module")
def rows_of(built, tmp_path_factory):
    """Rows of each kind by its name, each with pictures."""
    root = tmp_path_factory.mktemp("kinds")
    refer = built["raw"] / "refcoco"
    shapes = RefShapes("val", size=48, num_samples=5)
    return {
        "refshapes": shapes,
        "refer": load(refer, "train", partition="unc"),
        "grefcoco": load(write_grefcoco(root / "g") / "grefcoco", "train"),
        "referit": load(write_referit(root / "r"), "train"),
        "phrasecut": load(built["raw"] / "VGPhraseCut_v0", "train"),
        "coco": load_coco_images(refer, "train", images=built["pictures"]),
        "built": load(built["refcoco"], "train", partition="unc"),
        "dataset": DatasetRows(shapes.to_dataset(cache_dir=str(root))),
        "held": shapes.in_memory(),
        "slice": load(refer, "train", partition="unc")[::-1],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_holds_the_protocol(rows_of, kind):
    rows = rows_of[kind]
    assert isinstance(rows, ReferringRows) and not rows.is_stream and len(rows) >= 4
    row = rows[0]
    assert set(row_features()) <= set(row) <= set(row_features(OPTIONAL_FIELDS + OFFICIAL_FIELDS))
    assert row["source"] == rows.source_of(0) == rows.source and row["split"] == "val" or kind != "refshapes"
    assert row["image"].mode == "RGB" and row["image"].size == (row["width"], row["height"])
    assert np.array_equal(rows.picture(0), row["image"])
    assert np.asarray(row["mask"]).shape == row["mask"].shape == (row["height"], row["width"])
    assert {name: row[name] for name in rows.image_record(0)} == rows.image_record(0)
    assert list(rows.image_ids()) == [row["image_id"] for row in rows]
    texts = [[sentence["sent"] for sentence in row["sentences"]] for row in rows]
    assert [rows.sentences_of(index) for index in range(len(rows))] == texts
    assert list(rows.sentences()) == sum(texts, [])
    assert set(" ".join(rows.sentences()).split()) <= set(" ".join(rows.vocabulary_texts()).split())
    assert rows.counts() == (len(set(rows.image_ids())), len(rows), sum(map(len, texts)))
    plain = rows.without_pictures()
    assert "image" not in plain[0] and {**plain[0], "image": row["image"]} == row and "image" in rows[0]


@pytest.mark.parametrize("kind", KINDS)
def test_slices_and_choices_of_rows_are_rows(rows_of, kind):
    rows = rows_of[kind]
    ids = [row["ref_id"] for row in rows]
    for some, expected in (
        (rows[:2], ids[:2]),
        (rows[::-2], ids[::-2]),
        (rows[1:][1:], ids[2:]),
        (rows.take(3), ids[:3]),
        (rows.take(1000), ids),
        (rows.select([2, 0, -1]), [ids[2], ids[0], ids[-1]]),
        (rows[:0], []),
    ):
        assert isinstance(some, ReferringRows) and [row["ref_id"] for row in some] == expected
        assert len(some) == len(expected) and some.source == rows.source and some.split == rows.split
    first = rows[1:3]
    assert first[-1] == rows[2] and first.without_pictures()[0] == rows.without_pictures()[1]
    assert list(first.sentences()) == rows.sentences_of(1) + rows.sentences_of(2)
    assert rows[np.int64(1)] == rows[1]
    for wrong in (len(rows), -len(rows) - 1):
        with pytest.raises(IndexError, match=f"row {wrong} of .* which has {len(rows)} rows"):
            rows[wrong]
    for wrong in ("sentences", 1.7, [0, 1]):
        with pytest.raises(TypeError, match=r"rows have numbers.*rows\[:10\].*rows.select"):
            rows[wrong]
    with pytest.raises(ValueError, match="give a number of rows, 0 or more"):
        rows.take(-1)
    with pytest.raises(IndexError, match="row 1000 of"):
        rows.select([1000])[0]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "built"])
def test_every_kind_lists_the_objects_of_its_images(rows_of, kind):
    rows = rows_of[kind]
    for index in range(len(rows)):
        instances, row = rows.instances_of(index), rows[index]
        assert instances and all(
            set(thing) == {"ann_id", "category", "attributes", "box", "mask"} for thing in instances
        )
        by_id = {thing["ann_id"]: thing for thing in instances}
        for ann_id, box in zip(row["ann_ids"], row["boxes"], strict=True):
            assert by_id[ann_id]["box"] == box
        if len(row["ann_ids"]) == 1:
            target = by_id[row["ann_ids"][0]]["mask"]
            np.testing.assert_array_equal(decode_mask(target), decode_mask(row["mask"]))
        assert rows.with_instances()[index]["instances"] == instances
    some = rows[1:].with_instances()
    assert some[0]["instances"] == rows.instances_of(1)
    if kind not in ("refshapes", "dataset", "held", "coco"):
        assert "instances" not in rows[0]
    row_features(("instances",)).encode_example(some[0])


def test_data_sets_that_do_not_list_their_objects_say_what_to_do(rows_of):
    with pytest.raises(ValueError, match="stored without the objects .*build it again with --with-instances"):
        rows_of["built"].instances_of(0)
    row = {name: value for name, value in rows_of["refer"][0].items() if name != "instances"}
    with pytest.raises(ValueError, match="refcoco/unc does not list the objects of its images; use a data set that"):
        HeldRows([row]).with_instances()[0]


def test_categories_are_names_in_order(rows_of, built):
    for kind in ("refer", "grefcoco", "coco", "slice"):
        assert rows_of[kind].categories == ["dog", "horse"]
    assert rows_of["built"].categories == ["dog", "horse"] == rows_of["built"][:1].categories
    assert rows_of["phrasecut"].categories == ["box"]
    shapes = rows_of["refshapes"]
    assert shapes.categories[:2] == ["circle", "square"] and rows_of["held"].categories == shapes.categories
    assert set(rows_of["dataset"].categories) <= set(shapes.categories)
    own = HeldRows(list(shapes[:2]))
    assert own.categories == sorted({thing["category"] for row in shapes[:2] for thing in row["instances"]})
    with pytest.raises(ValueError, match="referit has no categories"):
        _ = rows_of["referit"].categories


def test_attributes_are_known_where_somebody_annotated_them(rows_of):
    names = rows_of["refshapes"].attribute_names
    assert {"red", "small", "striped"} <= set(names) and rows_of["held"].attribute_names == names
    assert rows_of["refshapes"][:2].attribute_names == names and rows_of["refer"].attribute_names == []


def test_rows_of_an_image_come_together(rows_of):
    images = rows_of["refer"].with_instances().by_image()
    assert len(images) == 2
    for of_image in images:
        assert len(of_image) == 2 and len({row["image_id"] for row in of_image}) == 1
        assert ["image" in row for row in of_image] == ["instances" in row for row in of_image] == [True, False]
    shapes = RefShapes("val", size=48, num_samples=6, refs_per_scene=3)
    assert [row["ref_id"] for row in shapes.by_image()[2]] == [row["ref_id"] for row in shapes.scene(2, 3)]
    assert "image" not in shapes.without_pictures().by_image()[0][0]
    assert len(shapes.take(2).by_image()) == 2


def test_rows_in_memory_are_read_once(rows_of, monkeypatch):
    rows = copy.copy(rows_of["refer"])
    held = rows.in_memory()
    monkeypatch.setattr(type(rows), "row", lambda self, index: pytest.fail("read again"))
    assert len(held) == 4 and held[1]["image"].size == (40, 30) and list(held.sentences()) == list(rows.sentences())
    assert held.categories == rows.categories and held.instances_of(1) == rows.instances_of(1)
    held[0]["sentences"] = []
    assert held[0]["sentences"]


def test_rows_that_a_user_made_need_the_fields_of_the_schema(rows_of):
    row = dict(rows_of["refer"][0])
    assert HeldRows([row])[0] == row
    with pytest.raises(ValueError, match=r"row 1 lacks \['boxes'\] of hf_refseg.data.schema"):
        HeldRows([row, {name: value for name, value in row.items() if name != "boxes"}])
    with pytest.raises(ValueError, match="there are no rows"):
        HeldRows([])


def test_tables_of_datasets(rows_of):
    shapes = RefShapes("val", size=48, num_samples=5)
    table = Dataset.from_list([{n: row[n] for n in row_features()} for row in shapes], features=row_features())
    rows = DatasetRows(table)
    assert rows[2]["sentences"] == shapes[2]["sentences"] and rows[2:4].table.num_rows == 2
    with pytest.raises(ValueError, match="mine has no columns boxes, mask"):
        DatasetRows(table.remove_columns(["mask", "boxes"]), name="mine")
    with pytest.raises(ValueError, match="mine has no rows"):
        DatasetRows(table.select([]), name="mine")


def test_rows_of_some_sources():
    row = dict.fromkeys(REQUIRED_FIELDS, "")
    rows = HeldRows([{**row, "ref_id": number, "source": source} for number, source in enumerate("abca")])
    assert rows.of_sources({"a", "c", "d"}).indices == [0, 2, 3]
    with pytest.raises(ValueError, match=r"no row is of the sources \['d'\]; there are \['a', 'b', 'c'\]"):
        rows.of_sources(["d"])
