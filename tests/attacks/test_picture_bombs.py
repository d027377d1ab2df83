"""Elsewhere: a picture of a few bytes unpacks to gigabytes, or starts the program that its format is written for."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from hf_refseg.processing.images import load_image


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes = b"", *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(100_000, 100_000), (10_000, 10_000), (2**31 - 1, 1)])
def test_more_pixels_than_anybody_has(size, harmless):
    with harmless("the photo"):
        load_image(png(*size), "the photo")


def test_text_that_unpacks_to_gigabytes():
    """Text is no part of the pixels, which are read without it."""
    photo = png(1, 1, b"\0\0", chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 28), 9)))
    tracemalloc.start()
    try:
        assert load_image(photo, "the photo").size == (1, 1)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_an_icon_that_holds_a_poster(harmless):
    poster = png(30_000, 30_000)
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(poster), 22)
    with harmless("the photo"):
        load_image(struct.pack("<HHH", 0, 1, 1) + entry + poster, "the photo")


def test_an_array_that_repeats_one_pixel(harmless):
    with harmless("the photo"):
        load_image(np.broadcast_to(np.float64(0.5), (100_000, 100_000)), "the photo")


def test_a_program_is_not_run(harmless):
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "EPS")
    with harmless("program in PostScript, which is not run"):
        load_image(stream.getvalue(), "the photo")
