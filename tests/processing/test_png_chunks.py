"""PNG files without what is not their pixels."""

import io

import numpy as np
from PIL import Image, PngImagePlugin

from hf_refseg.processing.png_chunks import without_metadata


def test_what_is_not_pixels_is_left_out():
    picture, plain, told = Image.effect_noise((9, 7), 50), io.BytesIO(), io.BytesIO()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "hello")
    picture.save(plain, "PNG")
    picture.save(told, "PNG", pnginfo=text)
    assert without_metadata(told) == plain.getvalue()
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(plain.getvalue()))), np.asarray(picture))
    assert without_metadata(plain) is None
    assert without_metadata(io.BytesIO(b"GIF89a")) is None
    assert without_metadata(io.BytesIO(told.getvalue()[:50])) is not None  # cut inside of a chunk
