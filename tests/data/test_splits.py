import pytest
from datasets import Dataset, DatasetDict
from photo_folder import ref, write_folder

from hf_refseg.data import RefShapes, load, row_features
from hf_refseg.data.splits import find_split, spellings


def test_val_and_validation_are_one_name():
    assert spellings("val") == ["val", "validation", "valid", "dev"] and spellings("valid")[:2] == ["valid", "val"]
    assert spellings("testA") == ["testA"]
    assert find_split("val", ["train", "validation"], "it") == "validation"
    assert find_split("val", ["val", "validation"], "it") == "val"
    with pytest.raises(ValueError, match=r"mine has no split 'tset'; it has \['train', 'test'\]"):
        find_split("tset", iter(["train", "test"]), "mine")


@pytest.mark.parametrize("stored", ["val", "validation"])
@pytest.mark.parametrize("asked", ["val", "validation"])
def test_either_name_opens_every_kind_of_data_set(tmp_path, monkeypatch, stored, asked):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    shapes = RefShapes(asked, size=48, num_samples=2)
    assert shapes.split == "val"
    folder = write_folder(tmp_path, "refer", [1, 2], [ref(1, stored), ref(2, "train")])
    assert len(load(folder, asked)) == 1
    coco = write_folder(tmp_path, "coco", [1])
    (coco / "instances.json").rename(coco / f"instances_{stored}.json")
    assert len(load(coco, asked)) == 1
    rows = [{name: row[name] for name in row_features()} for row in shapes]
    table = Dataset.from_list(rows, features=row_features())
    DatasetDict({stored: table}).save_to_disk(tmp_path / "dict")
    assert len(load(tmp_path / "dict", asked)) == 2
    Dataset.from_list([row | {"split": stored} for row in rows], features=row_features()).save_to_disk(tmp_path / "one")
    assert len(load(tmp_path / "one", asked)) == 2
    (tmp_path / "bare").mkdir()
    table.to_parquet(tmp_path / "bare" / f"{stored}.parquet")
    assert len(load(tmp_path / "bare", asked)) == 2
    built = tmp_path / "built"
    built.mkdir()
    table.to_parquet(built / f"{stored}-00000-of-00001.parquet")
    listed = f"- config_name: mine\n  data_files:\n  - split: {stored}\n    path: {stored}-*\n"
    (built / "README.md").write_text(f"---\nconfigs:\n{listed}---\n")
    for streaming in (False, True):
        assert len(list(load(built, asked, images=False, streaming=streaming))) == 2
