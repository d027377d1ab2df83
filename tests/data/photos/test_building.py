"""The built set of photos, read again as its users do."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from raw_photo_sets import write_raw

from hf_refseg.data import load
from hf_refseg.data.builders.publishing import NoPermissionError, check_permission
from hf_refseg.data.leaks import LeakError, refuse_leaks
from hf_refseg.data.photos import splits
from hf_refseg.data.photos.building import build_photos, referring_row
from hf_refseg.data.photos.collection import read_photos
from hf_refseg.data.statistics import comparison_table

SCRIPT = Path(__file__).resolve().parents[3] / "dataset_scripts" / "build_photos.py"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return write_raw(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "photos"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "HELD_OUT_PERCENT", 0)
        build_photos(raw, out)
    return out


def test_rows_of_written_expressions(built):
    rows = load(built, "val_authored")
    assert len(rows) == 1
    row = rows[0]
    assert row["sentences"][0]["sent"] == "dog on the left" and row["source"] == "photos/authored"
    assert row["image_id"] == row["coco_id"] == 5 and row["ann_ids"] == [50] and row["labeled"] == ["dog"]
    assert row["image"].size == (200, 120)
    mask = np.asarray(row["mask"])
    assert mask[50, 30] and not mask[50, 150] and row["boxes"] == [[20.0, 40.0, 60.0, 100.0]]
    assert [thing["category"] for thing in row["instances"]] == ["dog", "dog"]


def test_photos_without_expressions_are_there_for_detectors(built):
    rows = load(built, "objects")
    assert len(rows) == 9 and not any(rows.sentences_of(number) for number in range(9))
    assert all(len(row["instances"]) == 2 and row["ann_ids"] == [] for row in rows.without_pictures())


def test_a_crowd_is_no_example_of_something_absent(raw):
    photo = read_photos(raw)[5]
    one, other = photo.objects
    crowded = replace(photo, objects=(one, replace(other, crowd=True)))
    rows = [referring_row(of_photo, [], [], 0, "train", "photos/made") for of_photo in (photo, crowded)]
    assert [row["labeled"] for row in rows] == [["dog"], []]


def test_no_evaluation_is_trained_on(built, raw):
    train = load(built, "train", images=False)
    for split in ("val", "val_authored"):
        refuse_leaks([train, load(built, "objects", images=False)], load(built, split, images=False))
    refuse_leaks([train], load(raw / "refcoco_mini", "val", images=False))
    with pytest.raises(LeakError):
        refuse_leaks([train], train)


def test_the_card_and_the_report(built):
    _, header, text = (built / "README.md").read_text().split("---\n", 2)
    header = yaml.safe_load(header)
    assert [config["config_name"] for config in header["configs"]] == ["photos", "images"]
    assert "| coco_full | 1 | 0 | 0 | 1 | none stated 2 |" in text and "Do not publish this folder" in text
    report = json.loads((built / "build.json").read_text())
    assert report["complete"] and report["left_out"] == 1
    assert report["datasets"]["photos"]["val"]["sentences"] == 1
    assert "| photos | val_authored | 1 | 1 |" in comparison_table([built], progress=False)
    with pytest.raises(NoPermissionError):
        check_permission("photos", with_images=True, have_permission=False)


def test_a_folder_that_holds_something_is_left_alone(built, raw):
    with pytest.raises(FileExistsError, match="not empty"):
        build_photos(raw, built)


def test_a_build_that_fails_leaves_nothing(raw, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_refseg.data.photos.building.picture_row", None)
    with pytest.raises(TypeError):
        build_photos(raw, tmp_path / "out")
    assert not any(path.name.startswith("train") for path in tmp_path.rglob("*.parquet"))


def test_the_command(raw, tmp_path, capsys):
    main = runpy.run_path(str(SCRIPT))["main"]
    assert main(["--raw", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and "instances.json" in told
    added = tmp_path / "added.jsonl"
    about_dog = {"set": "coco_more", "image_id": 7, "ann_id": 70, "sentences": ["red dog", "left one"]}
    added.write_text(json.dumps(about_dog), encoding="utf-8")
    out = tmp_path / "out"
    assert main(["--raw", str(raw), "--out", str(out), "--added", str(added)]) == 0
    assert "val: 1 photos, 1 rows, 1 sentences" in capsys.readouterr().out
    train = load(out, "train", images=False)
    (row,) = (row for row in train.without_pictures() if row["source"] == "photos/added")
    assert row["image_id"] == 7 and [said["sent"] for said in row["sentences"]] == ["red dog", "left one"]
