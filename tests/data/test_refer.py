import json
import pickle

import numpy as np
import official_copies
import pytest
from photo_folder import ref, write_folder
from PIL import Image
from pycocotools import mask as coco_mask

from hf_refseg.data import box_from_mask, decode_mask, load, load_refer_folder, row_features

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
    with pytest.raises(ValueError, match="'validatoin'.*'train': 1.*'testAB': 1"):
        load_refer_folder(folder, split="validatoin")


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
        ({"bbox": [1, 2, 3]}, r"annotation 1, its bbox: it is \[1, 2, 3\], expected 4 numbers"),
        ({"bbox": [1, 2, "3", 4]}, "annotation 1, its bbox: .* expected 4 numbers"),
        ({"bbox": [1, 2, -3, 4]}, "annotation 1: its bbox is .* none of them below 0"),
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
        (ref | {"sentences": "the box"}, "ref_id 1: its sentences are 'the box', expected a list"),
        (ref | {"sentences": [{"sent_id": 1, "sent": None, "tokens": []}]}, "ref_id 1, sent_id 1: sent is None"),
        (ref | {"sentences": [{"sent_id": 1, "sent": "a", "tokens": "a"}]}, "sent_id 1: sent is 'a', tokens are 'a'"),
        (ref | {"split": None}, "ref_id 1: its split is None, its image_id 7, expected a name and an image"),
        (ref | {"ann_id": "one"}, "ref_id 1: its annotation is 'one', expected a number"),
        (ref | {"ref_id": [1]}, r"ref number 0: its ref_id is \[1\]"),
        (ref | {"sentences": [{"sent_id": 1, "sent": "a", "tokens": [1]}]}, r"sent is 'a', tokens are \[1\]"),
    ]
    for broken, message in cases:
        write_refs(folder, [broken])
        with pytest.raises(ValueError, match=message):
            load_refer_folder(folder)
    write_refs(folder, [ref])
    content = json.loads((folder / "instances.json").read_text())
    for changes, message in [
        ({"height": 0}, r"instances.json, image 7: its height and width are \(0, 30\), expected whole numbers above 0"),
        ({"width": "30"}, r"image 7: its height and width are \(20, '30'\)"),
        ({"file_name": None}, "image 7: its file_name is None"),
        ({"height": 10**6, "width": 10**6}, r"image 7: its height and width are \(1000000, 1000000\), more than"),
    ]:
        broken = content | {"images": [content["images"][0] | changes]}
        (folder / "instances.json").write_text(json.dumps(broken))
        with pytest.raises(ValueError, match=message):
            load_refer_folder(folder)
    (folder / "instances.json").write_text(json.dumps(content | {"categories": [{"id": 4}]}))
    with pytest.raises(ValueError, match=r"instances.json, category 4 lacks \['name'\]"):
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
    with pytest.raises(ValueError, match="000000000007.jpg is damaged or truncated"):
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


def test_ids_that_are_there_twice_are_named(folder):
    write_refs(folder, [a_ref(1, 1, "train"), a_ref(1, 2, "val")])
    with pytest.raises(ValueError, match=r"refs\(unc\).p, refs: ref_id 1 is there twice, second at number 1"):
        load_refer_folder(folder)
    write_refs(folder, [a_ref(1, 1, "train")])
    change_annotation(folder, id=2)
    with pytest.raises(ValueError, match="instances.json, annotations: id 2 is there twice"):
        load_refer_folder(folder)


def test_what_is_left_out_is_counted(folder):
    """As the REFER API's users do; gRefCOCO's official file has refs without sentences."""
    first, second, third, fourth = (a_ref(number, number, "train") for number in (1, 2, 3, 4))
    said, wordless = first["sentences"][0], [{"sent_id": 98, "sent": ".", "tokens": []}]
    second["sentences"] = [said, said | {"sent_id": 99, "sent": " ", "tokens": []}]
    third["sentences"], fourth["sentences"] = [], wordless
    other = a_ref(5, 1, "val")
    write_refs(folder, [first, second, third, fourth, other])
    rows = load_refer_folder(folder, "train")
    assert rows.notes == {
        "sentences whose sent_id was used before": 1,
        "sentences without a word, left out": 2,
        "refs without a sentence, left out": 2,
    }
    assert [[sentence["sent"] for sentence in row["sentences"]] for row in rows] == [["the left box"]] * 2
    assert list(rows.sentences()) == ["the left box"] * 2
    assert rows.counts() == (1, 4, 4), "what the official file has is what is published"
    assert load_refer_folder(folder, "val").notes == {}


def test_ids_as_spreadsheets_and_other_tools_write_them(folder):
    ref = a_ref(1, 1, "train") | {"ann_id": 1.0, "ref_id": "1", "image_id": 7.0}
    write_refs(folder, [ref])
    (row,) = load_refer_folder(folder)
    assert (row["ref_id"], row["ann_ids"], row["image_id"]) == (1, [1], 7)
    for name in ("ref_id", "ann_id", "image_id"):
        (folder / "refs(unc).p").write_bytes(pickle.dumps([ref | {name: np.int64(ref[name])}]))
        assert load_refer_folder(folder)[0]["ann_ids"] == [1]
    (folder / "refs(unc).p").write_bytes(pickle.dumps([ref | {"ref_id": np.datetime64("2020-01-01")}]))
    with pytest.raises(ValueError, match=r"refs\(unc\).p is not a pickle .* which is neither number nor text"):
        load_refer_folder(folder)
    (folder / "refs(unc).p").unlink()
    for file, content in (
        ("refs.json", [ref]),
        ("instances.json", json.loads((folder / "instances.json").read_text())),
    ):
        (folder / file).write_text(json.dumps(content), encoding="utf-8-sig")  # with Windows' byte order mark
    assert len(load_refer_folder(folder)) == 1


def test_images_named_by_texts_get_numbers(folder):
    content = json.loads((folder / "instances.json").read_text())
    content["images"] = [image | {"id": "photo seven"} for image in content["images"]]
    content["annotations"] = [annotation | {"image_id": "photo seven"} for annotation in content["annotations"]]
    (folder / "instances.json").write_text(json.dumps(content))
    write_refs(folder, [a_ref(1, 1, "train") | {"image_id": "photo seven"}])
    row = load_refer_folder(folder)[0]
    assert (row["image_id"], row["file_name"]) == (1, "COCO_train2014_000000000007.jpg")


@pytest.mark.parametrize(
    "file_name",
    [
        "images\\COCO_train2014_000000000007.jpg",
        "images/COCO_train2014_000000000007.jpg",
        "C:\\data\\COCO_train2014_000000000007.jpg",
        "/home/me/COCO_train2014_000000000007.jpg",
        "../../COCO_train2014_000000000007.jpg",
    ],
)
def test_pictures_are_found_by_the_paths_of_other_computers(folder, file_name):
    content = json.loads((folder / "instances.json").read_text())
    content["images"][0]["file_name"] = file_name
    (folder / "instances.json").write_text(json.dumps(content))
    assert load_refer_folder(folder)[0]["image"].size == (30, 20)


def test_polygons_of_pairs(folder):
    expected = load_refer_folder(folder)[0]["mask"]
    points = list(zip(SQUARE[0][::2], SQUARE[0][1::2], strict=True))
    change_annotation(folder, segmentation=[points])
    assert load_refer_folder(folder)[0]["mask"] == expected


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([compressed(np.ones((30, 20), np.uint8))], r"annotation 1: its mask is \[30, 20\], its image \[20, 30\]"),
        ({"size": [20, 30], "counts": [5, 5]}, "annotation 1: .* whose runs hold 10 pixels instead of 600"),
        ({"size": [20, 30], "counts": "zz"}, "annotation 1: 'zz' is not the end of a run-length string"),
        ([{"size": [20, 30]}], r"annotation 1, its run lengths lacks \['counts'\]"),
        ([[1.0, 1.0, 5.0, 5.0, 3.0, 3.0, 7.0]], "annotation 1: a polygon of 7 numbers"),
        ([[1.0, 1.0, 5.0, float("nan"), 3.0, 3.0]], "annotation 1, a polygon: it is .*nan.*, expected 6 numbers"),
        # pycocotools ends the process over this one
        ([[0.0, 0.0, 1e9, 0.0, 1e9, 1e9]], "annotation 1, a polygon: .* of at most 100,000 pixels"),
        ([5, 6, 7], "annotation 1: its segmentation holds 5, expected a polygon or run lengths"),
    ],
)
def test_masks_that_do_not_fit_are_named(folder, segmentation, message):
    change_annotation(folder, segmentation=segmentation)
    with pytest.raises(ValueError, match=message):
        load_refer_folder(folder)


def test_a_polygon_that_covers_no_pixel_keeps_its_empty_mask(folder):
    change_annotation(folder, segmentation=[[200.0, 200.0, 210.0, 200.0, 210.0, 210.0]])
    rows = load_refer_folder(folder)
    assert not np.asarray(rows[0]["mask"]).any() and len(rows) == 5


def test_words_that_are_not_ascii(folder):
    ref = a_ref(1, 1, "train")
    ref["sentences"][0] |= {"sent": "café på bordet™", "tokens": ["café", "på", "bordet™"]}
    official_copies.python2_pickle([ref], folder / "refs(unc).p")
    assert load_refer_folder(folder)[0]["sentences"][0]["sent"] == "café på bordet™"


def test_rows_without_pictures_need_none(folder):
    (folder / "images" / "COCO_train2014_000000000007.jpg").unlink()
    rows = load_refer_folder(folder, images=False)
    assert "image" not in rows[0] and rows.counts() == (1, 5, 5) and list(rows.sentences()) == ["the left box"] * 5
    with pytest.raises(IndexError, match="row 5 of .*5 rows"):
        rows[5]
    assert rows[-1]["ref_id"] == 5 and rows.of_split("val")[0]["ref_id"] == 2


def test_pictures_under_cocos_2017_names(folder, tmp_path):
    (folder / "images" / "COCO_train2014_000000000007.jpg").rename(folder / "images" / "000000000007.jpg")
    assert load_refer_folder(folder)[0]["image"].size == (30, 20)


def test_refclef_has_run_lengths_and_refs_of_two_splits(tmp_path):
    rows = load_refer_folder(official_copies.write_refclef(tmp_path) / "refclef", partition="unc")
    assert rows.splits["testBC"] == 2
    assert [len(rows.of_split(split)) for split in ("testA", "testB", "testC", "test")] == [4, 6, 4, 12]
    np.testing.assert_array_equal(np.asarray(rows[0]["mask"]), official_copies.box_mask(official_copies.LEFT))


def change(folder, name, edit):
    content = json.loads((folder / name).read_text())
    edit(content)
    (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize(
    "edit",
    [
        lambda refs: refs[1].update(sentences=None),
        lambda refs: refs[1]["sentences"][0].update(sent=3),
        lambda refs: refs[1].update(ann_id=99),
        lambda refs: refs[1].update(image_id=99),
        lambda refs: refs[1].pop("split"),
        lambda refs: refs.insert(1, None),
    ],
)
def test_damaged_records_are_left_out_and_counted_where_that_is_asked(tmp_path, caplog, edit):
    folder = write_folder(tmp_path, "dogs", [1, 2, 3], [ref(number, "val") for number in (1, 2, 3)])
    change(folder, "refs.json", edit)
    with pytest.raises(ValueError, match="refs.json, ref"):
        load(folder, "val")
    rows = load(folder, "val", skip_unreadable=True)
    assert rows.notes == {"refs of all splits whose records are damaged, left out": 1}
    assert {row["ref_id"] for row in rows} >= {1, 3} and "left out: " in caplog.text


@pytest.mark.parametrize("segmentation", [[], [[1, 2, 3, 4]], {"size": [120, 200], "counts": "abc"}, "x", None])
def test_refs_of_a_damaged_annotation_are_left_out_where_that_is_asked(tmp_path, segmentation):
    folder = write_folder(tmp_path, "dogs", [1, 2], [ref(1, "val"), ref(2, "val")])
    change(folder, "instances.json", lambda coco: coco["annotations"][2].update(segmentation=segmentation))
    with pytest.raises(ValueError, match="instances.json, annotation 20"):
        load(folder, "val")
    assert [row["ref_id"] for row in load(folder, "val", skip_unreadable=True)] == [1]
    with pytest.raises(TypeError, match="skip_unreadable is 'yes'; give True or False"):
        load(folder, "val", skip_unreadable="yes")


def test_a_split_without_any_expression_is_refused_when_it_is_opened(tmp_path):
    silent = ref(1, "val")
    silent["sentences"][0]["sent"] = " . "
    with pytest.raises(ValueError, match="no ref of val has a sentence with words"):
        load(write_folder(tmp_path, "dogs", [1], [silent]), "val")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_files_in_every_encoding_of_json(tmp_path, encoding):
    folder = write_folder(tmp_path, "dogs", [1], [ref(1, "val")])
    for name in ("refs.json", "instances.json"):
        (folder / name).write_text((folder / name).read_text(), encoding=encoding)
    assert load(folder, "val").sentences_of(0) == ["dog on the left"]


def test_texts_of_numpy_in_pickles(tmp_path):
    folder = write_folder(tmp_path, "dogs", [1], [ref(1, "val")])
    (content,) = json.loads((folder / "refs.json").read_text())
    (folder / "refs.json").unlink()
    content |= {"split": np.str_("val"), "ann_id": np.int32(10), "ref_id": np.float64(1)}
    (folder / "refs(unc).p").write_bytes(pickle.dumps([content]))
    (row,) = load(folder, "val")
    assert row["split"] == "val" and type(row["split"]) is str


def test_a_pickle_that_ends_early_says_so(tmp_path):
    folder = write_folder(tmp_path, "dogs", [1], [ref(1, "val")])
    (folder / "refs.json").unlink()
    (folder / "refs(unc).p").write_bytes(b"\x80\x02X\xff\xff\xff\x7f")
    with pytest.raises(ValueError, match=r"is not a pickle of the REFER API \(\w+"):
        load(folder, "val")
