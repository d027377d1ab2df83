import json
import pickle

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from hf_refseg.data import box_from_mask, decode_mask, load_refer_folder, row_features

SQUARE = [[2.0, 2.0, 10.0, 2.0, 10.0, 8.0, 2.0, 8.0]]
LEFT_HALF = np.zeros((20, 30), dtype=np.uint8)
LEFT_HALF[:, :15] = 1


def uncompressed(mask):
    """COCO's RLE of crowds: run lengths down the columns, the first of zeros."""
    flat = mask.flatten(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def compressed(mask):
    rle = coco_mask.encode(np.asfortranarray(mask))
    return rle | {"counts": rle["counts"].decode()}


def a_ref(ref_id, ann_id, split):
    sentence = {"sent_id": 10 * ref_id, "sent": "the left box", "raw": "The left box", "tokens": ["the", "left", "box"]}
    return {
        "ref_id": ref_id,
        "ann_id": ann_id,
        "category_id": 4,
        "image_id": 7,
        # The official files end in "_<n>": this picture does not exist.
        "file_name": "COCO_train2014_000000000007_3.jpg",
        "split": split,
        "sent_ids": [10 * ref_id],
        "sentences": [sentence],
    }


def annotation(ann_id, segmentation, **changes):
    box = {"id": ann_id, "image_id": 7, "category_id": 4, "bbox": [2.0, 2.0, 8.5, 6.0], "area": 48.0, "iscrowd": 0}
    return box | {"segmentation": segmentation} | changes


@pytest.fixture
def folder(tmp_path):
    """A folder of the official layout with one picture, refs(unc).p as Python 2 wrote it, and every kind of mask."""
    (tmp_path / "images").mkdir()
    Image.new("L", (30, 20), 90).save(tmp_path / "images" / "COCO_train2014_000000000007.jpg")
    overlapping = SQUARE + [[6.0, 2.0, 14.0, 2.0, 14.0, 8.0, 6.0, 8.0]]
    annotations = [
        annotation(1, SQUARE),
        annotation(2, overlapping),
        annotation(3, uncompressed(LEFT_HALF), iscrowd=1),
        annotation(4, [compressed(LEFT_HALF), compressed(1 - LEFT_HALF)]),
        annotation(5, uncompressed(1 - LEFT_HALF), iscrowd=1),
    ]
    image = {"id": 7, "file_name": "COCO_train2014_000000000007.jpg", "height": 20, "width": 30}
    write_instances(tmp_path, [image], annotations)
    splits = ["train", "val", "testA", "testAB", "testB"]
    write_refs(tmp_path, [a_ref(i, i, split) for i, split in enumerate(splits, start=1)])
    return tmp_path


def write_instances(folder, images, annotations):
    content = {"images": images, "annotations": annotations, "categories": [{"id": 4, "name": "box"}]}
    (folder / "instances.json").write_text(json.dumps(content))


def write_refs(folder, refs, name="refs(unc).p"):
    (folder / name).write_bytes(pickle.dumps(refs, protocol=2))


def change_annotation(folder, **changes):
    content = json.loads((folder / "instances.json").read_text())
    content["annotations"][0] |= changes
    (folder / "instances.json").write_text(json.dumps(content))


def test_row_has_the_schema(folder):
    row = load_refer_folder(folder, split="train")[0]
    assert set(row) == set(row_features())
    assert row["image"].mode == "RGB" and row["image"].size == (30, 20)
    assert (row["file_name"], row["category"], row["split"]) == ("COCO_train2014_000000000007.jpg", "box", "train")
    assert row["source"] == f"{folder.name}/unc"
    assert row["ann_ids"] == [1] and row["boxes"] == [[2.0, 2.0, 10.5, 8.0]]
    assert row["sentences"] == [{"sent_id": 10, "sent": "the left box", "tokens": ["the", "left", "box"]}]
    assert box_from_mask(row["mask"]) == [2, 2, 10, 8]
    row_features().encode_example(row)


def test_every_kind_of_segmentation(folder):
    masks = [decode_mask(row["mask"]) for row in load_refer_folder(folder)]
    assert masks[0].sum() == 8 * 6
    # Two polygons that overlap: united, never 2.
    assert masks[1].sum() == 12 * 6 and masks[1].dtype == bool
    np.testing.assert_array_equal(masks[2], LEFT_HALF)
    assert masks[3].all()
    np.testing.assert_array_equal(masks[4], 1 - LEFT_HALF)


@pytest.mark.parametrize(
    ("split", "ref_ids"),
    [("train", [1]), ("val", [2]), ("testA", [3, 4]), ("testB", [4, 5]), ("test", [3, 4, 5]), (None, [1, 2, 3, 4, 5])],
)
def test_splits_are_those_of_the_refer_api(folder, split, ref_ids):
    assert [row["ref_id"] for row in load_refer_folder(folder, split=split)] == ref_ids


def test_unknown_split_lists_what_there_is(folder):
    with pytest.raises(ValueError, match="'validation'.*'train': 1.*'testAB': 1"):
        load_refer_folder(folder, split="validation")


def test_partitions(folder):
    write_refs(folder, [a_ref(9, 1, "train")], "refs(google).p")
    with pytest.raises(ValueError, match=r"refs\(google\).p.*refs\(unc\).p.*partition"):
        load_refer_folder(folder)
    assert load_refer_folder(folder, partition="google")[0]["ref_id"] == 9
    with pytest.raises(ValueError, match=r"refs\(umd\).*refs\(google\).p"):
        load_refer_folder(folder, partition="umd")


def test_pictures_where_the_refer_api_keeps_them(folder):
    home = folder / "refcoco"
    home.mkdir()
    for name in ("refs(unc).p", "instances.json"):
        (folder / name).rename(home / name)
    official = folder / "images" / "mscoco" / "images" / "train2014"
    official.mkdir(parents=True)
    (folder / "images" / "COCO_train2014_000000000007.jpg").rename(official / "COCO_train2014_000000000007.jpg")
    assert load_refer_folder(home)[0]["source"] == "refcoco/unc"


@pytest.mark.parametrize("missing", ["refs(unc).p", "instances.json", "images"])
def test_missing_parts_are_named(folder, missing):
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(FileNotFoundError, match=missing.split("(")[0]):
        load_refer_folder(folder)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_refer_folder(folder / "nowhere")


def test_a_pickle_that_would_run_something_is_refused(folder):
    (folder / "refs(unc).p").write_bytes(pickle.dumps(print, protocol=2))
    with pytest.raises(ValueError, match=r"refs\(unc\).p.*print"):
        load_refer_folder(folder)


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"ref_id": 1}, protocol=2)])
def test_a_file_that_is_no_list_of_refs_is_named(folder, content):
    (folder / "refs(unc).p").write_bytes(content)
    with pytest.raises(ValueError, match=r"refs\(unc\).p"):
        load_refer_folder(folder)


def test_broken_json_is_named(folder):
    (folder / "instances.json").write_text('{"images": [')
    with pytest.raises(ValueError, match="instances.json is not JSON"):
        load_refer_folder(folder)
    (folder / "instances.json").write_text("[]")
    with pytest.raises(ValueError, match="instances.json holds a list.*dict"):
        load_refer_folder(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": 99}, "ref_id 1: its annotation 1 is not in"),
        ({"image_id": 8}, "ref_id 1 is on image 7, its annotation 1 on 8"),
        ({"segmentation": [[1.0, 1.0, 5.0, 5.0]]}, "annotation 1: a polygon of 4 numbers.*3 points"),
        ({"segmentation": []}, "annotation 1: its segmentation is empty"),
        ({"category_id": 5}, "annotation 1: no category 5"),
    ],
)
def test_broken_records_are_named(folder, changes, message):
    change_annotation(folder, **changes)
    with pytest.raises(ValueError, match=message):
        load_refer_folder(folder)


def test_missing_fields_are_named(folder):
    ref = a_ref(1, 1, "train")
    cases = [
        (
            {key: value for key, value in ref.items() if key != "split"},
            r"ref number 0 lacks \['split'\]; it has .*'ref_id'",
        ),
        (ref | {"sentences": [{"sent_id": 1, "sent": "the box"}]}, r"ref_id 1, a sentence lacks \['tokens'\]"),
        (ref | {"sentences": []}, "ref_id 1 has no sentences"),
    ]
    for broken, message in cases:
        write_refs(folder, [broken])
        with pytest.raises(ValueError, match=message):
            load_refer_folder(folder)
    (folder / "instances.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(ValueError, match=r"instances.json lacks \['categories'\]"):
        load_refer_folder(folder)


def test_bad_pictures_are_named(folder):
    picture = folder / "images" / "COCO_train2014_000000000007.jpg"
    Image.new("RGB", (31, 20)).save(picture)
    rows = load_refer_folder(folder)
    with pytest.raises(ValueError, match=r"\(31, 20\).*\(30, 20\)"):
        rows[0]
    picture.write_bytes(picture.read_bytes()[:200])
    with pytest.raises(ValueError, match="000000000007.jpg can't be read"):
        rows[0]
    picture.unlink()
    with pytest.raises(FileNotFoundError, match="000000000007.jpg is missing"):
        rows[0]


def test_masks_follow_the_stored_pixels_not_the_rotation_tag(folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    Image.new("RGB", (30, 20)).save(folder / "images" / "COCO_train2014_000000000007.jpg", exif=exif)
    image = load_refer_folder(folder)[0]["image"]
    assert image.size == (30, 20) and 0x0112 not in image.getexif()


@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("coco_cc_expressions", {"train": 123, "val": 50}),
        ("refcoco_mini", {"val": 6, "testA": 4, "testB": 6}),
    ],
)
def test_real_folders(shared_dir, name, splits):
    rows = load_refer_folder(shared_dir / "data" / name)
    assert rows.splits == splits
    for row in list(rows)[:40]:
        drawn, annotated = box_from_mask(row["mask"]), row["boxes"][0]
        # COCO's boxes are those of finer masks than its polygons; a few pixels is what they differ by.
        assert max(abs(a - b) for a, b in zip(drawn, annotated, strict=True)) < 5
        assert all(sentence["tokens"] for sentence in row["sentences"])
