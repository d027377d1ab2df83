"""Every kind of picture a user may hand over: read rightly, or refused with the way out."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.processing.images import load_image


def file_bytes(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.fixture
def photo():
    values = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_every_source_gives_the_same_picture(photo, tmp_path):
    expected = np.array(photo)
    path = tmp_path / "photo.png"
    photo.save(path)
    tensor = torch.from_numpy(expected).permute(2, 0, 1)
    files = [photo, path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())]
    integers = [expected, tensor, expected.astype(np.int64), expected.astype(np.uint16) * 257]
    for source in [*files, *integers, expected / 255.0, tensor / 255]:
        image = load_image(source)
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), expected)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 255), (0, 0, 0)),
        ("LA", (0, 0), (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("YCbCr", (255, 128, 128), (255, 255, 255)),
        ("I;16", 25700, (100, 100, 100)),
        ("I;16B", 25700, (100, 100, 100)),
        ("I", 25700, (100, 100, 100)),
        ("I", 100, (100, 100, 100)),
        ("F", 0.2, (51, 51, 51)),
    ],
)
def test_modes(mode, color, expected):
    assert load_image(Image.new(mode, (3, 2), color)).getpixel((1, 1)) == expected


def test_palette_with_and_without_transparency():
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    assert [load_image(palette).getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (0, 0, 255)]
    data = file_bytes(palette, "PNG", transparency=1)
    assert [load_image(data).getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (255, 255, 255)]
    data = file_bytes(palette.convert("RGB"), "PNG", transparency=(0, 0, 255))
    assert [load_image(data).getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (255, 255, 255)]


def test_sixteen_bit_and_cmyk_files():
    deep = Image.fromarray(np.full((4, 5), 51400, np.uint16))
    assert load_image(file_bytes(deep, "PNG")).getpixel((0, 0)) == (200, 200, 200)
    cmyk = file_bytes(Image.new("CMYK", (8, 8), (255, 0, 255, 0)), "JPEG", quality=100)
    red, green, blue = load_image(cmyk).getpixel((4, 4))
    assert green > 250 and red < 5 and blue < 5


def test_exif_orientation_is_applied(photo):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    image = load_image(file_bytes(photo, "PNG", exif=exif))
    np.testing.assert_array_equal(np.asarray(image), np.rot90(np.asarray(photo), -1))


def test_axis_order_of_arrays():
    assert load_image(np.zeros((3, 20, 30), np.uint8)).size == (30, 20)
    assert load_image(torch.zeros(20, 30, 3)).size == (30, 20)
    assert load_image(np.zeros((3, 20, 4), np.uint8)).size == (20, 3)  # numpy: channels last where it fits
    assert load_image(np.zeros((3, 20, 4), np.uint8), input_data_format="channels_first").size == (4, 20)
    assert load_image(np.zeros((1, 20, 30), np.uint8)).size == (30, 20)
    assert load_image(np.zeros((20, 30), bool)).size == (30, 20)
    assert load_image(np.zeros((1, 1, 3), np.uint8)).size == (1, 1)


def test_truncated_file_names_the_path(photo, tmp_path):
    for format in ("PNG", "JPEG", "WEBP"):
        path = tmp_path / f"cut.{format.lower()}"
        data = file_bytes(photo, format)
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(ValueError, match=rf"cut\.{format.lower()} is damaged or truncated"):
            load_image(path)


def test_not_an_image(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no picture")
    with pytest.raises(ValueError, match="notes.txt is not an image"):
        load_image(path)
    with pytest.raises(ValueError, match="not an image"):
        load_image(b"")


def test_missing_file_folder_and_address(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image file .*gone.png"):
        load_image(tmp_path / "gone.png")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        load_image(tmp_path)
    with pytest.raises(ValueError, match="download it"):
        load_image("https://localhost/cat.png")


def test_decompression_bomb(photo, monkeypatch):
    data = file_bytes(photo, "PNG")
    for limit in (2000, 1000):  # PIL warns above its limit, and raises above twice the limit: both are refused
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(ValueError, match=f"limit of {limit}"):
            load_image(data)
        with pytest.raises(ValueError, match=f"60 x 40 pixels, more than the limit of {limit}"):
            load_image(photo)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 5, 3), np.uint8), r"no pixels: its shape is \(0, 5, 3\)"),
        (np.zeros((5, 5, 2), np.uint8), r"shape \(5, 5, 2\); expected"),
        (np.zeros((2, 5, 5, 3), np.uint8), r"shape \(2, 5, 5, 3\); expected"),
        (np.full((5, 5, 3), 200.0), "from 200.0 to 200.0; float images must lie in .*divide by 255"),
        (np.full((5, 5, 3), np.nan), "nan"),
        (np.full((5, 5, 3), -0.5), "from -0.5 to -0.5"),
        (np.full((5, 5, 3), -3), "int64 with values from -3 to -3"),
        (np.full((5, 5, 3), 300), "int64 with values from 300"),
        (np.full((5, 5), "a"), "<U1"),
    ],
)
def test_arrays_that_are_no_images(array, message):
    with pytest.raises(ValueError, match=message):
        load_image(array)


def test_empty_pil_image_and_foreign_types():
    with pytest.raises(ValueError, match="photo has no pixels"):
        load_image(Image.new("RGB", (0, 3)), "photo")
    with pytest.raises(TypeError, match="photo is a NoneType; expected a path"):
        load_image(None, "photo")
    with pytest.raises(ValueError, match="'hwc'; use"):
        load_image(np.zeros((4, 4, 3), np.uint8), input_data_format="hwc")
