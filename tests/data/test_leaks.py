import json

import pytest
from official_copies import image_name, write_phrasecut, write_refer, write_referit

from hf_refseg.data import (
    HeldRows,
    RefShapes,
    load_phrasecut,
    load_refer_folder,
    load_referit,
    refuse_leaks,
    seen_images,
)
from hf_refseg.data.leaks import LeakError, image_identities, read_identities, training_images


@pytest.fixture
def refcoco(tmp_path):
    return write_refer(tmp_path / "refer") / "refcoco"


def test_one_picture_under_its_names(tmp_path, refcoco):
    coco = load_refer_folder(refcoco, "val", images=False)
    assert image_identities(coco[0]) == {"coco:3"}
    cut = load_phrasecut(write_phrasecut(tmp_path) / "VGPhraseCut_v0", "val", images=False)
    assert [image_identities(cut[i]) for i in (0, 2)] == [{"vg:2003"}, {"vg:2004", "coco:2009"}]
    assert image_identities(load_referit(write_referit(tmp_path), "val", images=False)[0]) == {"iapr:103"}
    assert image_identities(RefShapes()[0]) == {"refshapes:0"}
    for name in (image_name(581857), "000000581857.jpg", "COCO_val2014_000000581857.jpg"):
        assert image_identities({"source": "mine", "image_id": 1, "file_name": name}) == {"coco:581857"}


def test_training_sources(tmp_path, refcoco):
    instances = refcoco / "instances.json"
    assert training_images(instances) == {f"coco:{number}" for number in range(1, 9)}
    genome = tmp_path / "image_data.json"
    genome.write_text(json.dumps([{"image_id": 5, "coco_id": 7}, {"image_id": 6, "coco_id": None}]))
    assert training_images(genome) == {"vg:5", "coco:7", "vg:6"}
    listed = tmp_path / "seen.txt"
    listed.write_text(f"coco:4  # a comment\n\n{image_name(12)}\niapr:103\n")
    assert training_images(listed) == read_identities(listed) == {"coco:4", "coco:12", "iapr:103"}
    assert training_images(load_refer_folder(refcoco, "train", images=False)) == {"coco:1", "coco:2"}


def test_seen_images_are_listed_once_with_their_rows(tmp_path, refcoco):
    genome = tmp_path / "image_data.json"
    genome.write_text(json.dumps([{"image_id": 5, "coco_id": 4}, {"image_id": 6, "coco_id": None}]))
    rows = load_refer_folder(refcoco, "val", images=False)
    expected = {"image_id": 4, "file_name": image_name(4), "source": "refcoco/unc", "identities": ["coco:4"], "rows": 2}
    assert seen_images([genome], rows) == [expected]
    # Plain rows, such as those of a stream, are as good as those of a reader.
    assert seen_images([genome], HeldRows(list(rows))) == [expected]
    assert len(seen_images([refcoco / "instances.json"], rows)) == 2


def test_overlap_is_refused_and_none_is_not(tmp_path, refcoco):
    everything, val = load_refer_folder(refcoco, images=False), load_refer_folder(refcoco, "val", images=False)
    train = load_refer_folder(refcoco, "train", images=False)
    refuse_leaks([train], val)
    with pytest.raises(LeakError, match=f"2 evaluation images .4 rows. were trained on: {image_name(3)}"):
        refuse_leaks([train, everything], val)


def test_the_google_partition_leaks_and_the_unc_partition_does_not(tmp_path):
    """RefCOCO google and RefCOCOg google split objects, not images: this is the leak the papers warn of."""
    root = write_refer(tmp_path, "refcocog", "google", {"train": 3, "val": 1})
    rows = load_refer_folder(root / "refcocog", images=False)
    # The second object of image 1 goes to val.
    rows._all_refs[1]["split"] = "val"
    with pytest.raises(LeakError, match="1 evaluation images"):
        refuse_leaks([rows.of_split("train")], rows.of_split("val"))


def test_shipped_training_and_evaluation_photos_do_not_overlap(shared_dir):
    """The splits of our own photos: no picture of train may be in val."""
    folder = shared_dir / "data" / "coco_cc_expressions"
    train = load_refer_folder(folder, "train", images=False)
    refuse_leaks([train], load_refer_folder(folder, "val", images=False))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("seen.txt", "coco:1\nnonsense\n", "seen.txt, line 2: 'nonsense' is not an image"),
        ("coco.json", '{"annotations": []}', r"coco.json lacks \['images'\]"),
        ("vg.json", '[{"id": 1}]', r"vg.json, image number 0 lacks \['image_id'\]"),
        ("vg.json", "[{", "vg.json is not JSON"),
    ],
)
def test_broken_sources_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        training_images(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        training_images(tmp_path / f"nowhere{name}")
