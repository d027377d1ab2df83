import pyarrow.parquet
import pytest

from hf_refseg.data.statistics import Statistics, comparison_table, split_files, statistics


def test_statistics_of_a_split(built):
    found = statistics(split_files(built["phrasecut"] / "phrasecut")["validation"]).figures()
    assert found == {
        "images": 2,
        "objects": 4,
        "categories": 2,
        "rows": 4,
        "sentences": 4,
        "words": 6,
        "instances": 6,
        "multi_instance": 2,
        "no_target": 0,
        "masked": 4,
        "empty_masks": 0,
        "words_per_sentence": 1.5,
    }


def test_images_of_several_splits_count_once():
    row = {"image_id": 1, "ann_ids": [5], "boxes": [[0, 0, 1, 1]], "category": "dog", "sentences": [{"sent": "a b"}]}
    empty = row | {"ann_ids": [], "boxes": [], "category": ""}
    one, other = Statistics(), Statistics()
    one.add(row | {"mask": {"size": [2, 2], "counts": "04"}})  # all four pixels
    other.add(row | {"mask": {"size": [2, 2], "counts": "4"}})  # none of them
    other.add(empty | {"mask": {"size": [2, 2], "counts": "4"}})
    both = (one | other).figures()
    assert (both["images"], both["objects"], both["rows"], both["words"]) == (1, 1, 3, 6)
    assert (both["masked"], both["empty_masks"], both["no_target"]) == (1, 1, 1)


def test_the_comparison_has_the_published_figures_beside_the_built_ones(built):
    table = comparison_table([built["refcoco"], built["phrasecut"]], progress=False).splitlines()
    assert table[0].count("|") == table[1].count("|") == 13
    lines = {tuple(cell.strip() for cell in line.split("|")[1:3]): line for line in table if line.startswith("| ")}
    assert "| 8 | 16 | 16 | 2 | no | no | 100.0% | 24 | 3.00 | short phrases |" in lines["refcoco_unc", "all"]
    assert "| 50.0% |" in lines["phrasecut", "all"]
    assert "| 77,262 | 345,486 |  | 3,103 | yes |" in lines["VGPhraseCut", "published"]
    assert "| 19,994 | 50,000 |" in lines["RefCOCO", "published"]
    assert any(line.startswith("VGPhraseCut, published:") for line in table)


def test_what_was_not_built_has_no_statistics(tmp_path):
    with pytest.raises(FileNotFoundError, match="build.json is missing"):
        comparison_table([tmp_path])


def test_shards_are_found_in_order(built):
    files = split_files(built["refcoco"] / "refcoco_google")
    assert list(files) == ["test", "train", "validation"]
    ids = [i for file in files["train"] for i in pyarrow.parquet.read_table(file)["ref_id"].to_pylist()]
    assert ids == list(range(8))
