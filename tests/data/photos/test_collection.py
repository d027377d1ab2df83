"""Several folders in COCO's layout as one collection of photos."""

import json

import pytest
from PIL import Image
from raw_photo_sets import write_raw

from hf_refseg.data.photos.collection import (
    SETS,
    check_pictures,
    evaluated_photos,
    read_added,
    read_photos,
    read_written,
    val2017_ids,
)

VOC = 1_000_000_000


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path)


def change(file, edit):
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_a_photo_of_two_sets_is_taken_once_and_ids_never_meet(raw):
    photos = read_photos(raw)
    assert sorted(photos) == [1, 2, 3, 4, 5, 6, 7, 8, 9, VOC + 1, VOC + 2, 2 * VOC + 1]
    assert photos[1].set_name == "coco_cc_expressions" and photos[1].coco_id == 1
    assert photos[VOC + 1].coco_id is None and photos[VOC + 1].objects[0].ann_id == VOC + 10
    ann_ids = [thing.ann_id for photo in photos.values() for thing in photo.objects]
    assert len(ann_ids) == len(set(ann_ids))


def test_what_is_labeled(raw):
    def edit(content):
        content["images"][0]["complete_categories"] = ["dog"]
        content["categories"] += [{"id": 1, "name": "person"}, {"id": 2, "name": "cat"}]

    change(raw / "photo_sets" / "voc2012_objects" / "instances.json", edit)
    change(raw / "photo_sets" / "ccp_clothing" / "instances.json", edit)
    photos = read_photos(raw)
    assert photos[VOC + 1].labeled == {"dog"}
    # All of the categories of the file where nothing is said; people only in front in the fashion photos.
    assert photos[VOC + 2].labeled == {"dog", "person", "cat"}
    assert photos[2 * VOC + 1].labeled == {"dog"}


def test_addresses_of_photos_say_which_are_of_val2017(raw):
    def edit(content):
        for image, split in zip(content["images"], ("val2017", "train2017"), strict=False):
            image["coco_url"] = f"images.example/{split}/{image['id']:012}.jpg"

    assert val2017_ids(raw) == set()
    for name in ("coco_full", "voc2012_objects"):  # ids of VOC are no ids of COCO
        change(raw / "photo_sets" / name / "instances.json", edit)
    assert val2017_ids(raw) == {5}


def test_crowds_are_no_single_objects(raw):
    change(raw / "photo_sets" / "coco_full" / "instances.json", lambda c: c["annotations"][1].update(iscrowd=1))
    photo = read_photos(raw)[5]
    assert len(photo.objects) == 2 and [thing.ann_id for thing in photo.single_objects] == [50]


def test_written_expressions_find_their_object(raw):
    refs = read_written(raw, read_photos(raw))
    assert [(ref.source, ref.image_id, ref.split) for ref in refs] == [
        ("photos/authored", 4, "train"),
        ("photos/authored", 5, "val"),
        ("photos/authored", 6, "train"),
        ("photos/authored", VOC + 1, "train"),
        ("photos/coco_cc", 1, "val"),
        ("photos/coco_cc", 2, "train"),
    ]
    assert len({ref.ref_id for ref in refs}) == 6


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("ann_id", 999, "photo 4 of coco_mini_instances has no annotation 999"),
        ("ann_id", "40", "ref 4: its ann_id is '40', expected a number"),
        ("image_id", None, "its image_id is None"),
        ("set", "flickr", "'flickr' is none of"),
        ("set", ["flickr"], "is none of"),
        ("sentences", "dog", "its sentences are 'dog', expected a list"),
        ("sentences", [{"sent": "dog"}], r"a sentence lacks \['sent_id', 'tokens'\]"),
        ("sentences", [{"sent_id": 1, "sent": 5, "tokens": []}], "expected a text and a number"),
    ],
)
def test_an_expression_about_nothing_is_refused(raw, key, value, message):
    change(raw / "authored_expressions" / "refs.json", lambda refs: refs[0].update({key: value}))
    with pytest.raises(ValueError, match=message):
        read_written(raw, read_photos(raw))


def test_photos_of_any_val_split_are_kept_out_of_training(raw):
    change(raw / "authored_expressions" / "refs.json", lambda refs: refs[1].update(split="validation"))
    assert [ref.split for ref in read_written(raw, read_photos(raw))][:3] == ["train", "val", "train"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["images"][0].update(complete_categories="dog"), "image 5: its complete_categories are 'dog'"),
        (lambda c: c["images"][0].update(complete_categories=["dgo"]), "image 5: its complete_categories are"),
        (lambda c: c["annotations"][0].update(id="a"), "the id of annotation 'a' is no number"),
    ],
)
def test_damaged_sets_are_named(raw, edit, message):
    change(raw / "photo_sets" / "coco_full" / "instances.json", edit)
    with pytest.raises(ValueError, match=f"coco_full.instances.json.*{message}"):
        read_photos(raw)


def test_damaged_captions_are_named(raw):
    file = raw / "coco_cc_expressions" / "captions.json"
    file.write_text('{"images": []}')
    with pytest.raises(ValueError, match=r"captions.json lacks \['annotations'\]"):
        read_photos(raw)
    file.write_text('{"annotations": [{"image_id": 1, "caption": 5}]}')
    with pytest.raises(ValueError, match="captions.json, caption number 0: it is 5, expected a text"):
        read_photos(raw)


def test_photos_of_another_size_than_annotated_are_found_before_any_work(raw):
    photos = read_photos(raw)
    check_pictures(photos)
    Image.new("RGB", (201, 120)).save(photos[7].file)
    with pytest.raises(ValueError, match=r"7.png is \(201, 120\), its annotations are for \(200, 120\)"):
        check_pictures(photos)
    photos[7].file.unlink()
    with pytest.raises(FileNotFoundError, match="7.png"):
        check_pictures(photos)


def added(file, *refs):
    lines = "".join(f"{json.dumps(ref, ensure_ascii=False)}\n" for ref in refs)
    file.write_text(f"{lines}\n", encoding="utf-8-sig")
    return file


def test_added_expressions_find_their_object(raw, tmp_path):
    photos = read_photos(raw)
    about_dog = {
        "set": "voc2012_objects",
        "image_id": 2,
        "ann_id": 20,
        "sentences": ["hund", " . ", "dog on the\u2028left"],
    }
    file = added(tmp_path / "added.jsonl", about_dog, {**about_dog, "set": "coco_full", "image_id": 5, "ann_id": 50})
    first, second = read_added(file, photos)
    assert (first.image_id, first.ann_id, first.split, first.source) == (VOC + 2, VOC + 20, "train", "photos/added")
    assert [said["sent"] for said in first.sentences] == ["hund", "dog on the\u2028left"]  # a point says nothing
    assert first.sentences[1]["tokens"] == ["dog", "on", "the", "left"]
    written = read_written(raw, photos)
    assert not {first.ref_id, second.ref_id} & {ref.ref_id for ref in written} and first.ref_id != second.ref_id
    said = [sentence["sent_id"] for ref in (*written, first, second) for sentence in ref.sentences]
    assert len(set(said)) == len(said)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ann_id": 999}, "line 1: photo 2 of voc2012_objects has no annotation 999"),
        ({"set": "flickr"}, "'flickr' is none of"),
        ({"sentences": "dog"}, "line 1: sentences is 'dog', expected a list"),
    ],
)
def test_an_added_expression_about_nothing_is_refused(raw, tmp_path, change, message):
    ref = {"set": "voc2012_objects", "image_id": 2, "ann_id": 20, "sentences": ["dog"]} | change
    with pytest.raises(ValueError, match=message):
        list(read_added(added(tmp_path / "added.jsonl", ref), read_photos(raw)))


def test_a_damaged_line_is_named(raw, tmp_path):
    file = tmp_path / "added.jsonl"
    file.write_text('{"set": "voc2012_objects"\n')
    with pytest.raises(ValueError, match="added.jsonl, line 1"):
        list(read_added(file, read_photos(raw)))


def test_photos_of_other_evaluations(raw, caplog):
    (photo,) = evaluated_photos(raw)
    assert photo.coco_id == 9 and photo.file.is_file()
    (raw / "refcoco_mini" / "instances.json").unlink()
    assert evaluated_photos(raw) == [] and "refcoco_mini" in caplog.text


def test_a_missing_set_is_named(raw):
    (raw / SETS[3].name / "instances.json").unlink()
    with pytest.raises(FileNotFoundError, match="coco_more"):
        read_photos(raw)
