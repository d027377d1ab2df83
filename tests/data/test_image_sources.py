import pytest
from official_copies import photo
from PIL import Image

from hf_refseg.data import load
from hf_refseg.data.image_sources import ImageFolder, find_image_folder

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
    with pytest.raises(ValueError, match=r"is \(40, 30\), its annotations are for \(41, 30\)"):
        folder.open(ROW | {"width": 41})
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ValueError, match="can't be read as a picture"):
        folder.read(ROW)
    file.write_text("no picture")
    with pytest.raises(ValueError, match="can't be read as a picture"):
        folder.open(ROW)


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
