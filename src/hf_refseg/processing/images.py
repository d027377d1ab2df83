"""One way in for pictures: whatever a user has becomes an upright 8-bit RGB image, or an error that says what to do.

The pipeline, the command line and all data sets read pictures here, so that a model sees the same pixels everywhere.
"""

import base64
import binascii
import io
import os
import reprlib
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from transformers.utils import logging

from ..lfs_pointers import pointer_hint
from .image_arrays import channels_last, readable_array, to_uint8
from .orientation import SIDEWAYS, orientation_of, turn_back, turn_upright
from .png_chunks import without_metadata

logger = logging.get_logger(__name__)

ImageSource = str | os.PathLike | bytes | bytearray | Mapping | Image.Image | np.ndarray | torch.Tensor
Result = TypeVar("Result")
MIN_IS_WHITE = (262, 0)  # the TIFF tag PhotometricInterpretation, and the value that says that 0 is white


def image_list(images) -> list:
    """One image or many, as a list: an array of 4 dimensions is a batch, of fewer one image."""
    if isinstance(images, (np.ndarray, torch.Tensor)):
        return list(images) if images.ndim == 4 else [images]
    return list(images) if isinstance(images, (list, tuple)) else [images]


def load_image(
    source: ImageSource, name: str = "image", input_data_format: str | None = None, upright: bool = True
) -> Image.Image:
    """Reads one image as an RGB `PIL.Image` of 8 bits per channel, which keeps nothing of the file's metadata.

    Args:
        source: a path, the bytes of an image file, a binary file object, a `data:` URI or the file in base64 as text,
            a PIL image, a dict of `bytes` and `path` (one of them None) as `datasets` stores images, or an array:
            numpy is read as (H, W), (H, W, 1 | 3 | 4), torch as (H, W), (1 | 3 | 4, H, W); where the shape does not fit
            that order, the other order is taken.
        name: what error messages call this image; the path is used where there is one.
        input_data_format: `"channels_first"` or `"channels_last"`, to fix the order of an array's axes.
        upright: turn the picture as the file says that the camera was held (`hf_refseg.processing.orientation`).
            False: the pixels as they are stored, on which data sets draw their masks.

    What is converted, and how:
        what is transparent is laid on white; CMYK, YCbCr, LAB and HSV become RGB; gray and 1-bit images get three equal
        channels; 16-bit values are divided by 257, so that 65535 becomes 255; float values must lie in [0, 1] and are
        multiplied by 255; booleans become 0 and 255; of an animation the first frame is read.

    Raises:
        FileNotFoundError, IsADirectoryError: no such file.
        ValueError: not an image, a truncated file, no pixels, more pixels than `PIL.Image.MAX_IMAGE_PIXELS` (a
            decompression bomb), an image whose file was closed too early, an array whose shape or values are not those
            of an image.
        TypeError: what is not an image, such as a number or a file that was opened as text.
    """
    if isinstance(source, (np.ndarray, torch.Tensor)):
        return _from_array(source, name, input_data_format)
    if isinstance(source, Image.Image):
        return _to_rgb(source, name, upright)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_file(io.BytesIO(source), name, upright)
    if isinstance(source, Mapping) and source.keys() & {"bytes", "path"}:
        return load_image(source.get("bytes") or source.get("path"), name, input_data_format, upright)
    if hasattr(source, "read") and not isinstance(source, io.TextIOBase):
        seekable = hasattr(source, "seekable") and source.seekable()
        return _from_file(source if seekable else io.BytesIO(source.read()), name, upright)
    if isinstance(source, (str, os.PathLike)):
        return _from_text(os.fspath(source), name, upright)
    raise TypeError(
        f"{name} is a {type(source).__name__}; expected a path, the bytes of an image file, a binary file, a PIL "
        "image, a numpy array (H, W, 3) or a torch tensor (3, H, W)"
    )


def image_size(file: str | os.PathLike, upright: bool = True) -> tuple[int, int]:
    """(width, height) of an image file, from its beginning alone unless a PNG has to be turned upright.

    Raises FileNotFoundError, and ValueError for what is no image.
    """

    def read(image: Image.Image) -> tuple[int, int]:
        size = (image.tag_v2[256], image.tag_v2[257]) if image.format == "TIFF" else image.size  # Pillow turns TIFF
        return size[::-1] if upright and orientation_of(image, str(file)) in SIDEWAYS else size

    with open(file, "rb") as content:
        return _read(content, str(file), read)


def _from_text(text: str, name: str, upright: bool) -> Image.Image:
    """Of a path; of a `data:` URI or base64 where there is no such file."""
    if text.lower().startswith(("http://", "https://")):
        raise ValueError(f"{text} is a network address, which is not fetched: download it and give the file's path")
    text = os.path.expanduser(text)
    if os.path.isdir(text):
        raise IsADirectoryError(f"{text} is a folder; give the path of one image file")
    if os.path.exists(text):
        with open(text, "rb") as file:
            return _from_file(file, text, upright)
    kind, _, encoded = text.rpartition(",") if text.startswith("data:") else ("", "", text)
    try:
        data = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        if kind:
            raise ValueError(f"{name} is a data: URI that does not hold base64 ({error})") from error
        data = b""
    if kind or _is_image_file(data):
        return _from_file(io.BytesIO(data), name, upright)
    raise FileNotFoundError(f"there is no image file {text if 0 < len(text) < 200 else reprlib.repr(text)}")


def _is_image_file(data: bytes) -> bool:
    """Many a path reads as base64 ("photos/cat"): only what then begins like an image file is one."""
    try:
        Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        return False
    except Exception:  # of a damaged one
        return True
    return True


def _from_file(file, name: str, upright: bool) -> Image.Image:
    return _read(file, name, lambda image: _to_rgb(image, name, upright))


def _read(file, name: str, read: Callable[[Image.Image], Result]) -> Result:
    """What `read` makes of a file's image; of a PNG that is refused, without its metadata, which may be all that is
    damaged."""
    try:
        return read(_open(file, name))
    except ValueError as error:
        pixels = without_metadata(file)
        if pixels is None:
            raise
        try:
            result = read(_open(io.BytesIO(pixels), name))
        except ValueError:
            raise error from None
        logger.warning("%s: its metadata is damaged and left out (%s)", name, error.__cause__ or error)
        return result


def _open(file, name: str) -> Image.Image:
    try:
        image = Image.open(file)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large(f"{name} unpacks to more pixels than", f" ({error})") from error
    except UnidentifiedImageError as error:
        file.seek(0)
        what = f"{name} is not an image in a format that Pillow {Image.__version__} can read"
        raise ValueError(what + pointer_hint(file.read(100))) from error
    except Exception as error:  # the readers of Pillow's formats raise whatever a damaged file makes them hit
        raise _damaged(name, error) from error
    if image.format == "EPS":
        raise ValueError(f"{name} is a program in PostScript, which is not run; convert it to PNG")
    return image


def _damaged(name: str, error: Exception) -> ValueError:
    return ValueError(
        f"{name} is damaged or truncated ({str(error) or type(error).__name__}); get a complete copy of the file"
    )


def _too_large(what: str, details: str = "") -> ValueError:
    return ValueError(
        f"{what} the limit of {Image.MAX_IMAGE_PIXELS}{details}; make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS "
        "if you trust it"
    )


def _check_size(width: int, height: int, name: str) -> None:
    if width == 0 or height == 0:
        raise ValueError(f"{name} has no pixels: its width is {width}, its height {height}")
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise _too_large(f"{name} has {width} x {height} pixels, more than")


def _to_rgb(image: Image.Image, name: str, upright: bool) -> Image.Image:
    """RGB in an image of its own, without metadata."""
    _check_size(*image.size, name)
    turned_by_pillow = image.format == "TIFF"  # while it reads the pixels, after which it does not say how
    orientation = orientation_of(image, name) if turned_by_pillow else None
    try:
        image.load()
        deep = image.mode.startswith(("I", "F"))
        pixels = None if deep else _on_white(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large(f"{name} unpacks to more pixels than", f" ({error})") from error
    except Exception as error:  # as above
        without_file = isinstance(error, AssertionError | AttributeError) and getattr(image, "fp", None) is None
        if "closed" in str(error) or without_file:
            raise ValueError(
                f"the file of {name} was closed before its pixels were read: call image.load() inside of `with "
                "Image.open(...)`, or give the path"
            ) from error
        raise _damaged(name, error) from error
    if deep:
        pixels = _from_deep(image, name)
    _check_size(*pixels.size, name)  # the files of some icons hold another size than they announce
    if turned_by_pillow:
        return pixels if upright else turn_back(pixels, orientation)
    return turn_upright(pixels, orientation_of(image, name)) if upright else pixels


def _on_white(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("LA") if image.mode == "La" else image
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    pixels = image.convert("RGB")
    pixels.info = {}
    return pixels


def _from_deep(image: Image.Image, name: str) -> Image.Image:
    """Of a gray image of more than 8 bits."""
    values = np.asarray(image)  # (H, W)
    transparent = image.info.get("transparency")  # of a PNG of 16 bits: the one value that is
    nothing = values == transparent if isinstance(transparent, int) else None
    if image.mode == "I" and image.format == "PPM":  # of 16 bits, though dark ones look like 8
        values = values.astype(np.uint16)
    tag, white = MIN_IS_WHITE
    if image.mode.startswith("I;16") and image.format == "TIFF" and image.tag_v2.get(tag) == white:
        values = 65535 - values  # Pillow inverts such images of 8 bits, but not of 16
    pixels = _from_array(values, name, None)
    if nothing is not None:
        pixels.paste("white", mask=Image.fromarray(nothing))
    return pixels


def _from_array(array: np.ndarray | torch.Tensor, name: str, input_data_format: str | None) -> Image.Image:
    channels_first = isinstance(array, torch.Tensor)
    array = channels_last(readable_array(array, name), name, channels_first, input_data_format)  # (H, W) or (H, W, C)
    _check_size(array.shape[1], array.shape[0], name)
    array = np.ascontiguousarray(to_uint8(array, name))
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]  # (H, W, 1) -> (H, W)
    return _on_white(Image.fromarray(array))
