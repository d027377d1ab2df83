"""Which way is up: every place where a picture's file can say how the camera was held."""

import re
from collections.abc import Iterator

from PIL import ExifTags, Image
from transformers.utils import logging

logger = logging.get_logger(__name__)

# What makes a picture upright whose file says one of these numbers; 1 says that it is.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)  # of these height and width change places
UNDOES = {6: 8, 8: 6}  # the others undo themselves
XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>\s*)([1-8])")


def orientation_of(image: Image.Image, name: str) -> int:
    """EXIF's number of an image: 1 (upright) to 8, to be read before the pixels are.

    The first of these that says one counts: EXIF (of JPEG, WebP, AVIF, TIFF, and of PNG as eXIf or as text), then XMP.
    A damaged block says nothing, which is logged, for the pixels are whole.
    """
    try:
        number = image.getexif().get(ExifTags.Base.Orientation)
        if number in range(1, 9):
            return int(number)
    except Exception as error:  # Pillow parses EXIF without checking it: struct.error, KeyError, TypeError, ...
        logger.warning("%s: its EXIF data is damaged (%s); it is taken as upright unless XMP differs", name, error)
    for text in _text_profiles(image):
        if found := XMP.search(text):
            return int(found[1])
    return 1


def turn_upright(image: Image.Image, number: int) -> Image.Image:
    return image.transpose(UPRIGHT[number]) if number in UPRIGHT else image


def turn_back(image: Image.Image, number: int) -> Image.Image:
    """Undoes `turn_upright`."""
    return turn_upright(image, UNDOES.get(number, number))


def _text_profiles(image: Image.Image) -> Iterator[bytes]:
    """XMP as each format keeps it, and the EXIF that ImageMagick writes as text into PNG files where Pillow does not
    look: both may hold XMP."""
    for key in ("xmp", "XML:com.adobe.xmp"):
        value = image.info.get(key, b"")
        yield value.encode() if isinstance(value, str) else b"".join(value) if isinstance(value, tuple) else value
    for key in ("Raw profile type xmp", "Raw profile type APP1"):
        lines = str(image.info.get(key, "")).strip().split("\n")[2:]  # after the profile's name and its length
        try:
            profile = bytes.fromhex("".join(lines))
        except ValueError:
            continue
        yield profile
        if profile.startswith(b"Exif\0\0"):
            exif = Image.Exif()
            try:
                exif.load(profile)
                yield b'tiff:Orientation="%d"' % exif.get(ExifTags.Base.Orientation, 1)
            except Exception:  # as above
                continue
