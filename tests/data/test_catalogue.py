import json
import re

import pytest
from official_copies import GOOGLE_SPLITS, refs_of, write_phrasecut, write_refclef, write_refer, write_referit

from hf_refseg.data.catalogue import (
    DATASETS,
    WrongArchiveError,
    differing_counts,
    find_dataset,
    official_layout,
    partitions_of,
)
from hf_refseg.data.rows import Counts


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if "all" in dataset.published])
def test_published_splits_add_up_to_the_published_total(name):
    """Refs and sentences of splits add up; so do images where splits are by image."""
    dataset = DATASETS[name]
    splits = [figures for split, figures in dataset.published.items() if split != "all"]
    for number, total in enumerate(dataset.published["all"]):
        shares = [figures[number] for figures in splits]
        if splits and None not in shares and not (number == 0 and dataset.partition == "google"):
            assert sum(shares) == total


def test_phrasecuts_splits_add_up_to_the_paper():
    figures = DATASETS["phrasecut"].published
    assert Counts(*(sum(column) for column in zip(*figures.values(), strict=True))) == (77_262, 345_486, 345_486)
    assert [figures["val"][i] + figures["miniv"][i] for i in (0, 1)] == [2_971, 20_316]


def test_counts_of_the_real_unc_index(shared_dir):
    dataset = find_dataset("refcoco_unc")
    for split in ("val", "testA", "testB"):
        items = json.loads((shared_dir / "data" / "refcoco_unc_index" / f"{split}.json").read_text())["items"]
        refs = {re.search(r"/(\d+)_(\d+)_\d+\.png", item["mask"])[2] for item in items}
        found = Counts(len({item["image"] for item in items}), len(refs), len(items))
        assert not differing_counts(dataset, {split: found})


def test_counts_of_the_real_referit_files(shared_dir):
    dataset = find_dataset("referit")
    splits = dataset.open_splits(shared_dir / "data" / "referit_text_objseg")
    found = {split: rows.counts() for split, rows in splits.items()}
    assert not differing_counts(dataset, found)
    assert Counts(*(sum(column) for column in zip(*found.values(), strict=True))) == dataset.published["all"]


def test_differing_counts_say_expected_and_found():
    found = {"val": Counts(1_500, 3_812, 10_834), "all": Counts(19_994, 50_000, 142_210)}
    assert differing_counts(find_dataset("refcoco_unc"), found) == [
        ("val", "refcoco_unc val: expected 3,811 refs, found 3,812")
    ]
    # Two releases of gRefCOCO differ; either is right.
    for sentences in (278_232, 259_859):
        assert not differing_counts(find_dataset("grefcoco"), {"all": Counts(19_994, 5, sentences)})
    (line,) = differing_counts(find_dataset("grefcoco"), {"all": Counts(19_994, 5, 7)})
    assert line[1].endswith("expected 278,232 or 259,859 sentences, found 7")


def test_another_partition_in_the_archive_is_recognized(tmp_path, monkeypatch):
    root = write_refer(tmp_path, "refcoco", "google")
    (root / "refcoco" / "refs(google).p").rename(root / "refcoco" / "refs(unc).p")
    message = r"refs\(unc\).p has the splits \['test', 'train', 'val'\].*'testA'.*: give the archive of refcoco_unc"
    with pytest.raises(WrongArchiveError, match=message):
        find_dataset("refcoco_unc").open_splits(root)
    counts = {split: (images, 2 * images, 3 * images) for split, images in GOOGLE_SPLITS.items()}
    google = find_dataset("refcoco_google")
    monkeypatch.setitem(DATASETS, "refcoco_google", type(google)(**(vars(google) | {"published": counts})))
    with pytest.raises(WrongArchiveError, match="these are the splits and counts of refcoco_google"):
        find_dataset("refcoco_unc").open_splits(root)
    assert len(refs_of(GOOGLE_SPLITS)) == 16


def test_layouts_and_folders(tmp_path):
    refer, clef = write_refer(tmp_path / "a", "refcoco+"), write_refclef(tmp_path / "b", "berkeley")
    assert find_dataset("refcocoplus_unc").folder(refer) == refer / "refcoco+"
    assert find_dataset("refcocoplus_unc").open(refer / "refcoco+", "val").source == "refcocoplus/unc"
    assert len(find_dataset("refclef_berkeley").open_splits(clef)["train"]) == 8
    assert official_layout(refer / "refcoco+") == "refer" and official_layout(refer) is None
    assert official_layout(write_phrasecut(tmp_path / "c") / "VGPhraseCut_v0") == "phrasecut"
    assert official_layout(write_referit(tmp_path / "d")) == "referit"
    assert [part.name for part in partitions_of("refcocog")] == ["refcocog_google", "refcocog_umd"]


def test_the_annotation_files_of_referit_are_found_in_all_of_its_folders(tmp_path):
    raw = write_referit(tmp_path)
    names = {file.name for file in find_dataset("referit").official_files(raw)}
    assert {"referit_bbox.json", "referit_imsize.json", "referit_query_val.json", "referit_val_imlist.txt"} <= names
    assert not any(name.endswith((".mat", ".jpg")) for name in names)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="Unknown data set 'refcoco'; known are .*'refcoco_unc'"):
        find_dataset("refcoco")
    with pytest.raises(ValueError, match="refcoco_unc has no split 'test'; it has"):
        find_dataset("refcoco_unc").official_split("test")
