"""From a recipe to references and attributes."""

import pytest

from hf_refseg.data import RefShapes
from hf_refseg.data.refshapes.scene import CATEGORIES, COLORS, PATTERNS, RADII
from hf_refseg.losses import attribute_weights
from hf_refseg.training.build import DataArguments, build_rows
from hf_refseg.training.tasks import attribute_options, build_references, dataset_categories


def test_scenes_tell_their_attributes():
    data = DataArguments(image_size=48, refs_per_scene=2)
    rows = RefShapes("train", size=48, num_samples=60)
    references = build_references(data, rows, {})
    assert len(references.items) == 60 and len(references.items[0]["refs"]) <= 2
    counts = references.attribute_counts
    assert list(counts) == [*RADII, *PATTERNS, *COLORS], "in the order of the data set, all of them seen"
    refs = [ref for item in references.items for ref in item["refs"]]
    assert counts["red"] == sum("red" in ref["attributes"] for ref in refs)
    assert sum(counts[size] for size in RADII) == len(refs)
    given = build_references(data, rows, {"attribute_labels": ["red", "blue"]})
    assert given.attribute_counts == {name: counts[name] for name in ("red", "blue")}


def test_models_without_attributes_count_none():
    rows = RefShapes("train", size=48, num_samples=2)
    for config in ({"attributes": False}, {"modules": ["location"]}):
        assert build_references(DataArguments(), rows, config).attribute_counts == {}
    assert attribute_options({}) == {"num_attributes": 1}


def test_options_of_the_configuration_follow_the_counts():
    options = attribute_options({"red": 9, "blue": 1})
    assert options["num_attributes"] == 2 and options["attribute_labels"] == ["red", "blue"]
    assert options["attribute_weights"] == attribute_weights([9, 1]) == [1, 10]


def test_references_of_a_folder_read_attributes_out_of_sentences(shared_dir):
    pytest.importorskip("HanTa", reason="the tagger of hf-refseg[attributes] (the test extra installs it)")
    path = str(shared_dir / "data" / "coco_cc_expressions")
    data = DataArguments(dataset="refer_folder", path=path, images=None)
    rows = build_rows(data, "train", None)
    references = build_references(data, rows, {"num_attributes": 5})
    assert len(references.attribute_counts) == 5
    assert not set(references.attribute_counts) & set(rows.categories)
    some = next(ref for item in (references.items[n] for n in range(3)) for ref in item["refs"])
    assert some["sentences"] and isinstance(some["attributes"], list)


def test_a_part_of_the_rows_is_refused(shared_dir):
    folder = str(shared_dir / "data" / "coco_cc_expressions")
    data = DataArguments(dataset="refer_folder", path=folder, train_samples=3)
    with pytest.raises(ValueError, match="data.train_samples would cut references off their images"):
        build_references(data, build_rows(data, "train", 3), {})


def test_categories_of_the_data_set(shared_dir):
    assert dataset_categories(DataArguments(), RefShapes()) == list(CATEGORIES)
    with pytest.raises(ValueError, match="'published' has no list of categories to detect"):
        dataset_categories(DataArguments(dataset="published"), [])
