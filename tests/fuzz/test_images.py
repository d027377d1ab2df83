"""Files that are damaged in every format that can be written here, and objects of any kind."""

import io
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from PIL import Image

from hf_refseg.processing.images import load_image

from .cases import VALUES, answer_or_refusal, cases, damaged


def written_files() -> dict[str, bytes]:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8769] = 6, "camera", {0x9000: b"0230"}
    files = {}
    Image.init()
    for format in sorted(set(Image.SAVE) - {"PDF", "EPS"}):
        for mode in ("RGB", "P", "L", "1", "F"):
            stream = io.BytesIO()
            try:
                picture.convert(mode).save(stream, format, **({"exif": exif} if format in ("JPEG", "PNG") else {}))
                Image.open(io.BytesIO(stream.getvalue())).load()
            except Exception:  # this format cannot hold this mode, or cannot be read again
                continue
            files[f"{format} {mode}"] = stream.getvalue()
            break
    return files


FILES = written_files()


@pytest.mark.parametrize("format", FILES)
def test_damaged_files(format):
    @cases(short=8)
    @given(damaged(FILES[format]))
    def check(data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about what it does not understand
            image = answer_or_refusal(lambda: load_image(data, "the photo"), "the photo")
        assert image is None or (image.mode == "RGB" and min(image.size) > 0)

    check()


@cases(short=60)
@given(
    nps.arrays(
        dtype=st.one_of(nps.scalar_dtypes(), st.just(np.dtype(object))), shape=nps.array_shapes(min_dims=0, max_dims=4)
    )
)
def test_arrays_of_any_type_and_shape(array):
    image = answer_or_refusal(lambda: load_image(array, "the photo"), "the photo")
    assert image is None or (image.mode == "RGB" and image.width * image.height <= array.size)
    if array.dtype.kind in "biuf" and array.dtype.itemsize in (1, 2, 4, 8):
        tensor = answer_or_refusal(lambda: torch.from_numpy(np.array(array)))  # torch has no big-endian types
        if tensor is not None:
            answer_or_refusal(lambda: load_image(tensor, "the photo"), "the photo")


@cases(short=60)
@given(VALUES)
def test_objects_of_any_kind(value):
    answer_or_refusal(
        lambda: load_image(value, "the photo"), "the photo", "there is no image file", "is a folder", "URI"
    )


@cases(short=40)
@given(
    st.sampled_from(["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "La", "PA", "I;16"])
)
def test_every_mode(mode):
    assert load_image(Image.new(mode, (3, 2))).size == (3, 2)
