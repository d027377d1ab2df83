import numpy as np
import pytest
from datasets.distributed import split_dataset_by_node
from official_copies import LEFT, box_mask, write_grefcoco, write_refclef, write_refer, write_referit
from photo_folder import ref, write_folder
from PIL import Image, ImageFile
from torch.utils.data import DataLoader

from hf_refseg.data import ReferringSegmentationCollator, flip_row, load, loading, row_features
from hf_refseg.data.refshapes import RefShapes
from hf_refseg.models.rmi.processing_rmi import RmiProcessor
from hf_refseg.processing.tokenization import tokenizer_from_sentences


def test_a_built_folder_with_pictures(built):
    rows = load(built["refcoco"], split="testA", partition="unc")
    assert len(rows) == 4 and rows.counts() == (2, 4, 6) and rows.source == "refcoco/unc"
    row = rows[0]
    assert set(row) == set(row_features()) and row["split"] == "testA"
    assert row["image"].mode == "RGB" and row["image"].size == (40, 30)
    # The mask is the schema's RLE, and an array for whoever asks for one.
    assert isinstance(row["mask"], dict) and row["mask"].shape == (30, 40)
    np.testing.assert_array_equal(np.asarray(row["mask"]), box_mask(LEFT))
    assert np.asarray(row["mask"]).dtype == bool
    row_features().encode_example(row)
    assert flip_row(row)["sentences"][1]["sent"] == "box on the right"
    assert list(rows.sentences())[:2] == ["the red box", "box on the left"]
    assert rows.image_record(0) == {name: row[name] for name in ("image_id", "file_name", "height", "width")}


def test_pictures_are_opened_only_when_a_row_is_asked_for(built, monkeypatch):
    rows, opened = load(built["refcoco"], split="val", partition="google", images=built["pictures"]), []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: opened.append(args) or real(*args, **kwargs))
    rows.counts(), list(rows.sentences()), rows.without_pictures()[0]
    assert not opened
    assert rows[1]["image"].size == (40, 30) and len(opened) == 1


def test_by_name(built, monkeypatch, tmp_path):
    by_root = load("refcoco_unc", split="validation", root=built["refcoco"].parent)
    monkeypatch.setenv("HF_REFSEG_DATA", str(built["refcoco"].parent))
    assert [row["ref_id"] for row in load("refcoco_unc", "val")] == [row["ref_id"] for row in by_root] == [4, 5, 6, 7]
    with pytest.raises(FileNotFoundError, match="referit is not in .*build_referit.py --raw"):
        load("referit", "val")
    monkeypatch.setenv("HF_REFSEG_DATA", str(built["raw"]))
    pictures = load("refcoco_unc", split="testA", images=built["pictures"])
    assert pictures[0]["split"] == "testA" and type(pictures).__name__ == "ReferFolder"
    assert type(load("phrasecut", "miniv", images=False)).__name__ == "PhraseCutFolder"


def test_the_same_rows_built_and_official(built):
    for name, split in (("refcoco_unc", "testB"), ("refcoco_google", "train"), ("phrasecut", "test")):
        official = load(name, split, images=False, root=built["raw"])
        stored = load(name, split, images=False, root=built["refcoco"].parent)
        assert len(official) == len(stored)
        for one, other in zip(official, stored, strict=True):
            assert one == other


def test_official_folders_of_every_layout(built, tmp_path):
    folders = [
        write_referit(tmp_path / "a"),
        write_refclef(tmp_path / "b") / "refclef",
        write_grefcoco(tmp_path / "c") / "grefcoco",
        built["raw"] / "VGPhraseCut_v0",
    ]
    for folder in folders:
        row = load(folder, "val")[0]
        assert row["image"].size == (40, 30) and np.asarray(row["mask"]).shape == (30, 40)
    assert load("refclef_unc", "testC", root=tmp_path / "b")[0]["source"] == "refclef/unc"


def test_the_published_val_set_of_phrasecut_is_val_and_miniv(built):
    rows = load(built["phrasecut"], "val_miniv", images=False)
    assert len(rows) == 8 and {row["split"] for row in rows} == {"val", "miniv"}


def test_refshapes_by_name():
    rows = load("refshapes", "val", dialect="grefcoco", num_samples=3)
    assert isinstance(rows, RefShapes) and len(rows) == 3
    assert load("refshapes/phrasecut", "val").dialect == "phrasecut"
    assert next(iter(load("refshapes", "validation", num_samples=3, streaming=True)))["source"] == "refshapes/refcoco"


def test_streaming_deals_every_row_out_once(built):
    stream = load(built["refcoco"], "train", partition="google", streaming=True)
    row = next(iter(stream))
    assert row["image"].size == (40, 30) and row["mask"]["size"] == [30, 40]
    everything = [row["ref_id"] for row in stream]
    # 4 shards over 2 processes, and over 3, which the shards do not divide by.
    for world in (2, 3):
        parts = [[r["ref_id"] for r in split_dataset_by_node(stream, rank, world)] for rank in range(world)]
        assert sorted(sum(parts, [])) == sorted(everything) == list(range(8))
        assert all(parts)


def test_a_shuffled_stream_has_every_row_and_another_order_in_every_epoch(built):
    stream = load(built["refcoco"], "train", partition="google", streaming=True, shuffle_buffer=8)
    orders = []
    for epoch in range(3):
        stream.set_epoch(epoch)
        orders.append([row["ref_id"] for row in stream])
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len(set(map(tuple, orders))) > 1
    with pytest.raises(ValueError, match="shuffle_buffer is for streaming=True"):
        load(built["refcoco"], "train", partition="google", shuffle_buffer=8)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_loader_of_several_workers(built, streaming):
    rows = load(built["refcoco"], "train", partition="google", streaming=streaming)
    loader = DataLoader(rows, batch_size=2, num_workers=2, collate_fn=list)
    batches = list(loader)
    assert sorted(row["ref_id"] for batch in batches for row in batch) == list(range(8))
    assert all(row["image"].size == (40, 30) for batch in batches for row in batch)


def test_the_collator_takes_these_rows(built):
    processor = RmiProcessor(tokenizer=tokenizer_from_sentences(["the red box on the left"]))
    collator = ReferringSegmentationCollator(processor, sentence="all")
    inputs = collator([load(built["refcoco"], "val", partition="unc")[0]])
    assert processor.tokenizer.batch_decode(inputs["input_ids"], skip_special_tokens=True) == [
        "the red box", "box on the left",
    ]  # fmt: skip
    assert inputs["labels"].shape == (2, 320, 320) and inputs["labels"].any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"name_or_path": "refcoc", "split": "val"},
            ValueError,
            "'refcoc' is neither a folder nor one of .*refshapes",
        ),
        ({"split": "val"}, ValueError, r"has the configurations \['refcoco_unc', 'refcoco_google'\]: say which"),
        ({"split": "val", "partition": "umd"}, ValueError, "has the configurations .*not 'umd'"),
        ({"split": "testC", "partition": "unc"}, ValueError, "has no split 'testC'; it has .*'testA'"),
        (
            {"split": "val", "partition": "unc", "dialect": "x"},
            ValueError,
            "a built data set, does not read dialect; its options are images, partition",
        ),
        ({"split": "val", "partition": "unc", "images": "/nowhere"}, FileNotFoundError, "folder of pictures /nowhere"),
        ({"name_or_path": "refcoco_unc", "split": "val", "partition": "google"}, ValueError, "is partition 'unc'"),
    ],
)
def test_what_can_not_be_loaded(built, arguments, error, message):
    with pytest.raises(error, match=message):
        load(**{"name_or_path": built["refcoco"]} | arguments)


def test_a_folder_that_is_taken_for_a_repository_is_named(monkeypatch):
    def offline(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr(loading, "open_built", offline)
    with pytest.raises(FileNotFoundError, match=r"there is no folder data/refcoco, and no repository .*no network"):
        load("data/refcoco", "val")


def test_pixels_that_are_nowhere(built, tmp_path):
    with pytest.raises(FileNotFoundError, match="built without pixels: give the folder of its pictures with images="):
        load(built["phrasecut"], "val")
    with pytest.raises(ValueError, match="neither a built data set .* nor a folder of official files"):
        load(tmp_path, "val")
    with pytest.raises(ValueError, match="official files .refer., does not read streaming; .* Build official files"):
        load(built["raw"] / "refcoco", "val", partition="unc", streaming=True)


def test_another_folder_of_the_same_name_is_not_taken_for_it(built, tmp_path):
    """`datasets` caches a local folder by its name and what its card says, which cost this package a wrong figure."""
    from datasets import load_dataset

    from hf_refseg.data.builders import BuildOptions, build
    from hf_refseg.data.catalogue import find_dataset

    assert len(load(built["refcoco"], "train", partition="google")) == 8
    assert len(load_dataset(str(built["refcoco"]), "refcoco_google", split="train")) == 8
    raw = write_refer(tmp_path, "refcoco", "google", {"train": 3, "val": 1, "test": 1})
    other = tmp_path / "other" / built["refcoco"].name
    build([find_dataset("refcoco_google")], BuildOptions(raw=raw, out=other, allow_other_counts=True, rows_per_shard=2))
    assert len(load(other, "train", images=False)) == 6
    assert len(load_dataset(str(other), "refcoco_google", split="train")) == 6


def test_the_first_rows_only(built):
    for name, options in ((built["refcoco"], {"partition": "unc"}), (built["raw"] / "refcoco", {"partition": "unc"})):
        rows = load(name, "train", num_samples=3, **options)
        assert [row["ref_id"] for row in rows] == [0, 1, 2]
        assert len(load(name, "train", num_samples=1000, **options)) == 4
    assert len(load("refshapes", "val", num_samples=3000)) == 3000
    stream = load(built["refcoco"], "train", partition="unc", streaming=True, num_samples=2)
    assert stream.is_stream and [row["ref_id"] for row in stream] == [0, 1]


def test_coco_by_name_and_by_folder(built, tmp_path):
    """A folder with refs is read as refs; its images with objects are asked for by the name coco."""
    folder = built["raw"] / "refcoco"
    assert type(load(folder, "train", partition="unc")).__name__ == "ReferFolder"
    rows = load("coco", "train2014", root=folder, images=built["pictures"])
    assert type(rows).__name__ == "CocoImages" and rows.split == "train2014" and rows.categories == ["dog", "horse"]
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    copy = tmp_path / "coco" / "annotations" / "instances_train2014.json"
    copy.write_bytes((folder / "instances.json").read_bytes())
    for name, root in ((tmp_path / "coco", None), ("coco", tmp_path)):
        assert load(name, "train2014", root=root, images=built["pictures"])[0]["instances"] == rows[0]["instances"]
    seen = tmp_path / "seen.txt"
    seen.write_text("coco:1\n")
    left = load("coco", "train2014", root=tmp_path, images=False, exclude_images=seen, num_samples=5)
    assert [row["image_id"] for row in left] == [2, 3, 4, 5, 6]
    with pytest.raises(FileNotFoundError, match="coco is not in .*say with root="):
        load("coco", "train2014", root=tmp_path / "coco" / "annotations" / "deep")


@pytest.mark.parametrize(
    ("place", "options", "message"),
    [
        ("refshapes", {"images": "photos"}, "refshapes does not read images; its options are dialect, size"),
        ("refshapes", {"shuffle_buffer": 9, "streaming": True}, "refshapes does not read shuffle_buffer"),
        ("refshapes/refcoco", {"dialect": "grefcoco"}, "refshapes/refcoco does not read dialect"),
        ("refcoco", {"partition": "unc", "size": 48}, "refcoco, a built data set, does not read size"),
        ("refcoco", {"partition": "unc", "root": "data"}, "refcoco, a built data set, does not read root"),
        ("refcoco", {"partition": "unc", "exclude_images": "seen.txt"}, "does not read exclude_images"),
        ("raw/refcoco", {"partition": "unc", "shuffle_buffer": 4}, r"files \(refer\), does not read shuffle_buffer"),
        ("raw/VGPhraseCut_v0", {"partition": "unc"}, r"files \(phrasecut\), does not read partition"),
        ("raw/VGPhraseCut_v0", {"seed": 1, "dialect": "x"}, "does not read dialect, seed; its options are images"),
    ],
)
def test_an_option_that_a_data_set_does_not_read_is_refused(built, place, options, message):
    name = place if place.startswith("refshapes") else built["refcoco"].parent / place
    with pytest.raises(ValueError, match=message):
        load(name, "val", **options)


def test_options_of_published_names(built):
    with pytest.raises(
        ValueError, match=r"refcoco_unc \(official files\) does not read dialect, streaming; its options"
    ):
        load("refcoco_unc", "val", root=built["raw"], streaming=True, dialect="x")
    assert len(load("refcoco_unc", "val", root=built["raw"], partition="unc", images=False)) == 4
    stored = {"root": built["refcoco"].parent, "streaming": True, "shuffle_buffer": 3}
    assert len(list(load("refcoco_unc", "val", **stored))) == 4


def test_pictures_that_do_not_fit_and_damaged_ones(tmp_path, caplog):
    """RRSIS-D has pictures of 801 x 800 whose annotations say 800 x 800."""
    folder = write_folder(tmp_path, "mine", [1, 2, 3], [ref(number, "val") for number in (1, 2, 3)])
    wider, cut = folder / "images" / "2.png", folder / "images" / "3.png"
    Image.open(wider).resize((201, 120)).save(wider)
    cut.write_bytes(cut.read_bytes()[:100])
    with pytest.raises(
        ValueError, match=r"2.png is \(201, 120\), the annotations of image_id 2 are for \(200, 120\).*resize_pictures"
    ):
        load(folder, "val")
    rows = load(folder, "val", skip_unreadable=True)
    assert [row["image_id"] for row in rows] == [1]
    assert rows.notes == {"rows whose picture or mask cannot be read, left out": 2}
    assert "row 2 of mine val is left out" in caplog.text and "3.png is damaged" in caplog.text
    rows = load(folder, "val", skip_unreadable=True, resize_pictures=True)
    assert [row["image"].size for row in rows] == [(200, 120)] * 2
    assert len(load(folder, "val", skip_unreadable=True, num_samples=1)) == 1
    for number in (1, 2):
        (folder / "images" / f"{number}.png").unlink()
    with pytest.raises(ValueError, match="no row of mine val can be read; the last one: .*3.png"):
        load(folder, "val", skip_unreadable=True)
    with pytest.raises(ValueError, match="a stream is read row by row"):
        load("refshapes", "val", streaming=True, skip_unreadable=True)


def test_pictures_are_compared_with_their_annotations_when_a_data_set_is_opened(tmp_path, monkeypatch):
    folder = write_folder(tmp_path, "mine", [1, 2, 3, 4], [ref(number, "val") for number in (1, 2, 3, 4)])
    photos = folder / "images"
    (photos / "4.png").unlink()
    Image.new("RGB", (200, 121)).save(photos / "3.png")
    (photos / "2.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"2.png is not an image .*\(3 of 4 pictures are like this.\)"):
        load(folder, "val")
    assert len(load(folder, "val", num_samples=1)) == 1  # of what is read alone
    assert len(load(folder, "val", images=False)) == 4
    Image.new("RGB", (200, 120)).save(photos / "2.png")
    with pytest.raises(ValueError, match=r"3.png is \(200, 121\), the annotations of image_id 3"):
        load(folder, "val")
    with pytest.raises(FileNotFoundError, match="4.png is missing"):
        load(folder, "val", resize_pictures=True)
    Image.new("RGB", (200, 120)).save(photos / "4.png")
    loaded = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: loaded.append(image))
    rows = load(folder, "val", resize_pictures=True)
    assert not loaded  # the pixels of no picture were read
    monkeypatch.undo()
    turned = Image.new("RGB", (120, 200))
    turned.getexif()[0x0112] = 6
    turned.save(photos / "4.png", exif=turned.getexif())  # upright it has the annotated size
    assert [row["image"].size for row in rows] == [(200, 120)] * 4
