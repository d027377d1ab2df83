"""Folders that `datasets` wrote, and the other kinds of data sets that a command can name."""

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from photo_folder import ref, write_folder
from PIL import Image

from hf_refseg.data import RefShapes, load, row_features
from hf_refseg.processing.images import load_image


@pytest.fixture
def saved():
    rows = [{name: row[name] for name in row_features()} for row in RefShapes("val", "grefcoco", num_samples=4)]
    return Dataset.from_list(rows, features=row_features())


def same(row, other):
    for name in ("ref_id", "mask", "boxes", "sentences", "split"):
        assert row[name] == other[name], name
    assert np.array_equal(row["image"], other["image"])


def test_refshapes():
    assert load("refshapes", "test").dialect == "refcoco"
    assert load("refshapes/phrasecut", "val").dialect == "phrasecut"
    with pytest.raises(ValueError, match="Unknown dialect 'x'"):
        load("refshapes/x", "val")


def test_refcoco_layout(tmp_path):
    folder = write_folder(tmp_path, "dogs", [1, 2], [ref(1, "val"), ref(2, "testA")])
    (row,) = load(str(folder), "testA")
    assert row["ref_id"] == 2 and row["image"].size == (200, 120)
    with pytest.raises(ValueError, match="has no split 'train'"):
        load(str(folder), "train")


def test_a_built_data_set_by_name_and_by_folder(built, monkeypatch):
    monkeypatch.setenv("HF_REFSEG_DATA", str(built["refcoco"].parent))
    by_name = load("refcoco_unc", "val")
    by_folder = load(str(built["refcoco"]), "val", partition="unc")
    assert len(by_name) == len(by_folder) > 0
    same(by_name[0], by_folder[0])
    assert np.asarray(by_name[0]["mask"]).shape == (by_name[0]["height"], by_name[0]["width"])


def test_pictures_of_sixteen_bits_are_read_as_the_pipeline_reads_them(saved, tmp_path):
    row = saved[0]
    ramp = np.linspace(0, 65535, row["height"] * row["width"]).astype(np.uint16)
    deep = Image.fromarray(ramp.reshape(row["height"], row["width"]))
    deep.save(tmp_path / "deep.png")
    Dataset.from_list([row | {"image": deep}], features=row_features()).save_to_disk(tmp_path / "one")
    assert np.array_equal(load(str(tmp_path / "one"), "val")[0]["image"], load_image(tmp_path / "deep.png"))


def test_saved_to_disk(saved, tmp_path):
    expected = RefShapes("val", "grefcoco")
    saved.save_to_disk(tmp_path / "one")
    DatasetDict({"validation": saved}).save_to_disk(tmp_path / "dict")
    for folder, split in (("one", "val"), ("one", "validation"), ("dict", "validation"), ("dict", "val")):
        rows = load(str(tmp_path / folder), split)
        assert len(rows) == 4
        same(rows[1], expected[1])
    with pytest.raises(ValueError, match=r"has no rows of split 'train'; it has \['val'\]"):
        load(str(tmp_path / "one"), "train")
    with pytest.raises(ValueError, match=r"has no split 'test'; it has \['validation'\]"):
        load(str(tmp_path / "dict"), "test")


def test_parquet(saved, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "built").mkdir()
    saved.to_parquet(tmp_path / "built" / "validation-00000-of-00001.parquet")
    rows = load(str(tmp_path / "built"), "validation")
    same(rows[3], RefShapes("val", "grefcoco")[3])
    same(load(str(tmp_path / "built"), "val")[3], RefShapes("val", "grefcoco")[3])
    with pytest.raises(ValueError, match=r"has no split 'train'; it has \['validation'\]"):
        load(str(tmp_path / "built"), "train")


def test_rows_of_another_schema_are_refused(saved, tmp_path):
    saved.remove_columns(["image", "mask"]).save_to_disk(tmp_path / "bare")
    with pytest.raises(ValueError, match="bare has no columns image, mask"):
        load(str(tmp_path / "bare"), "val")
    with pytest.raises(ValueError, match="neither a folder nor one of"):
        load("refcoco", "val")


def test_sentences_without_words_are_found_when_the_folder_is_opened(saved, tmp_path):
    def silence(row, number):
        return {"sentences": [*row["sentences"], {"sent_id": 5, "sent": " .", "tokens": []}] if number == 2 else []}

    saved.map(silence, with_indices=True).save_to_disk(tmp_path / "silent")
    with pytest.raises(ValueError, match="silent, row 2 has a sentence without words"):
        load(tmp_path / "silent", saved[0]["split"])
