"""Every kind of picture a user may hand over: read rightly, or refused with the way out."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, PngImagePlugin

from hf_refseg.processing.images import image_size, load_image


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


def test_what_is_transparent_in_sixteen_bits_is_white():
    deep = Image.fromarray(np.array([[1000, 25700]], np.uint16))
    image = load_image(file_bytes(deep, "PNG", transparency=1000))
    assert [image.getpixel((x, 0))[0] for x in (0, 1)] == [255, 100]


def test_sixteen_bits_are_known_by_the_file(tmp_path):
    pgm = b"P5 2 1 65535\n" + np.array([0, 257], ">u2").tobytes()  # dark, so the values could be of 8 bits
    assert load_image(pgm).getpixel((1, 0)) == (1, 1, 1)
    inverted = file_bytes(Image.fromarray(np.array([[0, 65535]], np.uint16)), "TIFF", tiffinfo={262: 0})
    assert [load_image(inverted).getpixel((x, 0))[0] for x in (0, 1)] == [255, 0]


def xmp(number, form='tiff:Orientation="{}"'):
    return f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{form.format(number)}</x:xmpmeta>".encode()


def raw_profile(name, data):
    return f"\n{name}\n{len(data):8}\n{data.hex()}\n"


def oriented_files(photo, number):
    """The same pixels in every kind of file that can say how the camera was held, and every place in it."""
    exif = Image.Exif()
    exif[0x0112] = number
    for format in ("PNG", "JPEG", "WEBP", "TIFF"):
        options = {"quality": 100} if format != "TIFF" else {}
        options |= {"lossless": True} if format == "WEBP" else {}
        yield f"EXIF of {format}", file_bytes(photo, format, exif=exif)
    for format in ("JPEG", "WEBP"):
        yield f"XMP of {format}", file_bytes(photo, format, xmp=xmp(number), quality=100)
    element = "<tiff:Orientation>{}</tiff:Orientation>"
    yield "XMP as an element", file_bytes(photo, "JPEG", xmp=xmp(number, element), quality=100)
    yield "XMP of other quotes", file_bytes(photo, "JPEG", xmp=xmp(number, "tiff:Orientation = '{}'"), quality=100)
    for key, value in (
        ("XML:com.adobe.xmp", xmp(number).decode()),
        ("Raw profile type exif", raw_profile("exif", exif.tobytes())),
        ("Raw profile type APP1", raw_profile("app1", exif.tobytes())),
        ("Raw profile type APP1", raw_profile("app1", b"http://ns.adobe.com/xap/1.0/\0" + xmp(number))),
        ("Raw profile type xmp", raw_profile("xmp", xmp(number))),
    ):
        text = PngImagePlugin.PngInfo()
        text.add_itxt(key, value) if key.startswith("XML") else text.add_text(key, value)
        yield f"PNG, {key}", file_bytes(photo, "PNG", pnginfo=text)


@pytest.mark.parametrize(("number", "turns", "mirrored"), [(6, -1, False), (8, 1, False), (3, 2, False), (5, 1, True)])
def test_every_place_of_an_orientation_is_read(photo, number, turns, mirrored):
    smooth = photo.resize((6, 4)).resize((48, 32))
    stored = np.asarray(smooth).astype(int)
    expected = np.rot90(stored[:, ::-1] if mirrored else stored, turns)
    for place, data in oriented_files(smooth, number):
        for upright, pixels in ((True, expected), (False, stored)):
            image = load_image(data, upright=upright)
            assert image.size == pixels.shape[1::-1], place
            assert np.abs(np.asarray(image) - pixels).mean() < 5, place  # JPEG is lossy
            assert load_image(image).size == image.size, f"{place}: turned twice"


def test_a_damaged_exif_block_leaves_the_pixels_as_they_are(photo, caplog):
    expected = np.asarray(photo)
    for exif in (b"Exif\0\0MM\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + bytes(range(200)), b"Exif\0\0XX"):
        np.testing.assert_array_equal(np.asarray(load_image(file_bytes(photo, "PNG", exif=exif))), expected)
        assert load_image(file_bytes(photo, "JPEG", exif=exif)).size == photo.size
    turned = load_image(file_bytes(photo, "WEBP", exif=b"Exif\0\0XX", xmp=xmp(6)))
    assert turned.size == (40, 60)


def png_chunk(kind, content, checksum=None):
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"tEXt", b"Comment\0hello", checksum=5),
        png_chunk(b"pHYs", b""),
        png_chunk(b"gAMA", b"?"),
        png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 3_000_000)),
        png_chunk(b"iCCP", b"a\0\0" + zlib.compress(b"\0" * 3_000_000)),
        png_chunk(b"acTL", b"???"),
    ],
)
def test_damaged_metadata_of_a_png_leave_the_pixels_as_they_are(photo, tmp_path, chunk, caplog):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = file_bytes(photo, "PNG", exif=exif)
    expected = np.asarray(load_image(data))
    for place in (33, len(data) - 12):  # behind the header, and behind the pixels
        path = tmp_path / "photo.png"
        path.write_bytes(data[:place] + chunk + data[place:])
        np.testing.assert_array_equal(np.asarray(load_image(path)), expected)
        assert image_size(path) == (40, 60)
    assert any("photo.png: its metadata is damaged" in record.getMessage() for record in caplog.records)
    cut = data[:200] + data[400:]
    with pytest.raises(ValueError, match="image is damaged or truncated|not an image"):
        load_image(cut)


def test_sixteen_bits_that_look_like_eight_are_told(caplog):
    assert np.asarray(load_image(np.full((4, 4), 200, np.uint16))).max() == 1
    assert "image has 16 bits, but no value above 200: it is read as nearly black" in caplog.text
    caplog.clear()
    load_image(np.zeros((4, 4), np.uint16))
    load_image(np.full((4, 4), 256, np.uint16))
    assert not caplog.records


def test_files_that_cannot_go_back(photo):
    class Stream:
        """The answer of a web server."""

        def __init__(self, data):
            self.read = io.BytesIO(data).read

    data = file_bytes(photo, "PNG")
    np.testing.assert_array_equal(np.asarray(load_image(Stream(data))), np.asarray(photo))
    with pytest.raises(ValueError, match="not an image"):
        load_image(Stream(b"nothing"))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "GIF", "BMP", "PPM"])
def test_an_image_whose_file_was_closed_says_so(photo, tmp_path, format):
    path = tmp_path / f"photo.{format.lower()}"
    photo.save(path)
    with Image.open(path) as closed:
        pass
    with pytest.raises(ValueError, match=r"file of image was closed before its pixels were read: call image.load\(\)"):
        load_image(closed)
    stream = io.BytesIO(path.read_bytes())
    image = Image.open(stream)
    stream.close()
    with pytest.raises(ValueError, match="was closed before"):
        load_image(image)


def test_a_decoder_s_own_exceptions_become_one_that_names_the_file(tmp_path, monkeypatch):
    for error in (RuntimeError("no frame"), NotImplementedError(), IndexError("range"), RecursionError("deep")):
        path = tmp_path / "photo.png"
        Image.new("RGB", (4, 4)).save(path)

        def fail(image, error=error):
            raise error

        monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
        with pytest.raises(ValueError, match=rf"photo.png is damaged or truncated \({error or type(error).__name__}"):
            load_image(path)


def test_files_as_text(photo, tmp_path):
    data = file_bytes(photo, "PNG")
    encoded = base64.b64encode(data).decode()
    lines = "\n".join(encoded[start : start + 76] for start in range(0, len(encoded), 76))
    for source in (encoded, lines, f"data:image/png;base64,{encoded}", {"bytes": data, "path": None}, memoryview(data)):
        np.testing.assert_array_equal(np.asarray(load_image(source)), np.asarray(photo))
    photo.save(tmp_path / "photo.png")
    assert load_image({"bytes": None, "path": str(tmp_path / "photo.png")}).size == photo.size
    with pytest.raises(ValueError, match="image is a data: URI that does not hold base64"):
        load_image("data:image/png;base64,!!!")
    with pytest.raises(ValueError, match="image is not an image"):
        load_image("data:text/plain;base64," + base64.b64encode(b"hello").decode())
    with pytest.raises(ValueError, match="image is damaged or truncated"):
        load_image(encoded[: len(encoded) // 8 * 4])
    with pytest.raises(FileNotFoundError) as caught:
        load_image("QUJD" * 5000)  # base64 of no image, as long as a photo
    assert len(str(caught.value)) < 300
    with open(__file__) as text, pytest.raises(TypeError, match="is a TextIOWrapper; expected .* a binary file"):
        load_image(text)


def test_a_program_is_not_run(photo):
    with pytest.raises(ValueError, match="program in PostScript, which is not run"):
        load_image(file_bytes(photo, "EPS"))


def test_tensors_without_values():
    for tensor in (torch.zeros(3, 4, 4).to_sparse(), torch.zeros(3, 4, 4, device="meta")):
        with pytest.raises(ValueError, match="photo is a tensor that is .*; give a dense one that has values"):
            load_image(tensor, "photo")
    assert load_image(torch.ones(3, 4, 4, dtype=torch.bfloat16, requires_grad=True)).getpixel((0, 0)) == (255,) * 3


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
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 34\n")
    with pytest.raises(
        ValueError, match=r"notes.txt is not an image .*: it is a pointer of Git LFS, not the file itself"
    ):
        load_image(path)


def test_missing_file_folder_and_address(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image file .*gone.png"):
        load_image(tmp_path / "gone.png")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        load_image(tmp_path)
    with pytest.raises(ValueError, match="download it"):
        load_image("https://localhost/cat.png")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bomb(photo, monkeypatch):
    data = file_bytes(photo, "PNG")
    for limit in (2000, 1000):  # PIL warns above its limit, and raises above twice the limit: both are refused
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(ValueError, match=f"limit of {limit}"):
            load_image(data)
        with pytest.raises(ValueError, match=f"60 x 40 pixels, more than the limit of {limit}"):
            load_image(photo)
        with pytest.raises(ValueError, match="60 x 40 pixels"):
            load_image(np.broadcast_to(np.uint16(1), (40, 60)))  # before it is converted


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


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ma.masked_array(np.zeros((4, 4, 3), np.uint8), np.ones((4, 4, 3), bool)), "a masked array"),
        (torch.nested.nested_tensor([torch.ones(2, 3)]), "a tensor that is nested"),
    ],
)
def test_arrays_whose_values_are_not_all_there(array, message):
    with pytest.raises(ValueError, match=message):
        load_image(array)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_the_size_is_known_without_the_pixels(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / name, exif=exif)
    assert image_size(tmp_path / name) == load_image(tmp_path / name).size == (20, 30)
    assert image_size(tmp_path / name, upright=False) == load_image(tmp_path / name, upright=False).size == (30, 20)
