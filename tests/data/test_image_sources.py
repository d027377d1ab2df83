import datasets
import numpy as np
import pytest
from official_copies import photo
from PIL import Image

from hf_refseg.data import load
from hf_refseg.data.image_sources import ImageFolder, ImageTable, find_image_folder
from hf_refseg.processing.images import load_image

ROW = {"image_id": 7, "file_name": "COCO_train2014_000000000007.jpg", "height": 30, "width": 40}


@pytest.mark.parametrize(
    "name",
    ["COCO_train2014_000000000007.jpg", "000000000007.jpg", "VG_100K/COCO_train2014_000000000007.jpg"],
)
def test_names_a_picture_is_found_under(tmp_path, name):
    photo(tmp_path / name)
    folder = ImageFolder(tmp_path)
    assert folder.find(ROW) == tmp_path / name and folder.open(ROW).mode == "RGB"
    assert folder.read(ROW) == (tmp_path / name).read_bytes()


def test_a_row_of_2017_finds_a_picture_of_2014(tmp_path):
    photo(tmp_path / "COCO_train2014_000000000007.jpg")
    assert ImageFolder(tmp_path).open(ROW | {"file_name": "000000000007.jpg"}).size == (40, 30)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "1"])
def test_pictures_of_any_mode_are_rgb(tmp_path, mode):
    name = "7.png" if mode != "CMYK" else "7.tif"
    Image.new(mode, (40, 30)).save(tmp_path / name)
    assert ImageFolder(tmp_path).open(ROW | {"file_name": name}).mode == "RGB"


def test_bad_pictures_are_named(tmp_path):
    folder = ImageFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="000000000007.jpg is missing .picture of image_id 7"):
        folder.open(ROW)
    file = tmp_path / ROW["file_name"]
    photo(file)
    with pytest.raises(ValueError, match=r"is \(40, 30\), the annotations of image_id 7 are for \(41, 30\)"):
        folder.open(ROW | {"width": 41})
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ValueError, match="000000000007.jpg is damaged or truncated"):
        folder.read(ROW)
    file.write_text("no picture")
    with pytest.raises(ValueError, match="000000000007.jpg is not an image"):
        folder.open(ROW)


def odd_pictures():
    """Files whose pixels a simple `convert("RGB")` changes, hides or shows wrongly."""
    ramp = np.linspace(0, 65535, 30 * 40).reshape(30, 40)
    eight = (ramp / 257).astype(np.uint8)
    cut_out = np.dstack([eight, eight, eight, np.where(ramp > 30000, 255, 0)]).astype(np.uint8)
    yield "PNG", Image.fromarray(ramp.astype(np.uint16)), {}
    yield "TIFF", Image.fromarray(ramp.astype(np.uint16)), {}
    yield "TIFF", Image.fromarray((ramp / 65535).astype(np.float32)), {}
    yield "PNG", Image.fromarray(cut_out), {}
    yield "PNG", Image.fromarray(eight).convert("P"), {"transparency": 0}
    yield "PNG", Image.fromarray(cut_out[..., 2:].copy()), {}
    yield "JPEG", Image.fromarray(eight).convert("CMYK"), {}
    yield "PNG", Image.fromarray(ramp > 30000), {}


@pytest.mark.parametrize(("format", "picture", "options"), list(odd_pictures()))
def test_data_sets_read_pictures_as_the_pipeline_does(tmp_path, format, picture, options):
    picture.save(tmp_path / "7.jpg", format, **options)
    expected = np.asarray(load_image(tmp_path / "7.jpg"))
    row = ROW | {"file_name": "7.jpg"}
    table = datasets.Dataset.from_list([{"image_id": 7, "image": {"bytes": ImageFolder(tmp_path).read(row)}}])
    table = table.cast_column("image", datasets.Image())
    for pictures in (ImageFolder(tmp_path), ImageTable(table, "a table")):
        np.testing.assert_array_equal(np.asarray(pictures.open(row)), expected)


def test_masks_are_drawn_on_stored_pixels_unless_only_the_upright_ones_have_their_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(np.arange(30 * 40 * 3, dtype=np.uint8).reshape(30, 40, 3))
    stored.save(tmp_path / "7.png", exif=exif)
    row, folder = ROW | {"file_name": "7.png"}, ImageFolder(tmp_path)
    np.testing.assert_array_equal(np.asarray(folder.open(row)), np.asarray(stored))
    np.testing.assert_array_equal(np.asarray(load_image(folder.open(row))), np.asarray(stored))
    upright = folder.open(row | {"height": 40, "width": 30})
    np.testing.assert_array_equal(np.asarray(upright), np.asarray(load_image(tmp_path / "7.png")))


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder of pictures .*nowhere"):
        ImageFolder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="No folder of pictures at .*images.*give it with images="):
        find_image_folder(None, tmp_path, ["images"])


def test_the_table_of_a_built_data_set(built):
    rows = load(built["refcoco"], "val", partition="unc")
    assert "8 pictures" in repr(rows.pictures)
    with pytest.raises(FileNotFoundError, match="lacks the picture of image_id 99; build it --with-images again"):
        rows.pictures.open(rows.row(0) | {"image_id": 99})


def test_resizing_is_for_copies_not_for_what_is_turned_or_cropped(tmp_path):
    row = {"image_id": 1, "file_name": "a.png", "width": 800, "height": 800}
    folder = ImageFolder(tmp_path)
    folder.resize = True
    for size in [(801, 800), (400, 400), (1600, 1599)]:
        Image.new("RGB", size).save(tmp_path / "a.png")
        assert folder.open(row).size == (800, 800)
    for size in [(800, 600), (640, 800), (1600, 800)]:
        Image.new("RGB", size).save(tmp_path / "a.png")
        with pytest.raises(ValueError, match="masks would not fit"):
            folder.open(row)


@pytest.mark.parametrize(("listed", "there"), [("a.JPG", "a.jpg"), ("a.jpg", "a.JPG"), ("b/a.PNG", "a.png")])
def test_cameras_write_suffixes_in_capitals(tmp_path, listed, there):
    (tmp_path / there).touch()
    assert ImageFolder(tmp_path).find({"image_id": 1, "file_name": listed}).name == there
