"""One way in for pictures: whatever a user has becomes an upright 8-bit RGB image, or an error that says what to do."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

ImageSource = str | os.PathLike | bytes | bytearray | Image.Image | np.ndarray | torch.Tensor
DAMAGE = (OSError, SyntaxError, ValueError)  # what Pillow's plugins raise for damaged files


def image_list(images) -> list:
    """One image or many, as a list: an array of 4 dimensions is a batch, of fewer one image."""
    if isinstance(images, (np.ndarray, torch.Tensor)):
        return list(images) if images.ndim == 4 else [images]
    return list(images) if isinstance(images, (list, tuple)) else [images]


def load_image(source: ImageSource, name: str = "image", input_data_format: str | None = None) -> Image.Image:
    """Reads one image as an upright RGB `PIL.Image` of 8 bits per channel.

    Args:
        source: a path, the bytes of an image file, a binary file object, a PIL image, or an array:
            numpy is read as (H, W), (H, W, 1 | 3 | 4), torch as (H, W), (1 | 3 | 4, H, W); where the shape does not fit
            that order, the other order is taken.
        name: what error messages call this image; the path is used where there is one.
        input_data_format: `"channels_first"` or `"channels_last"`, to fix the order of an array's axes.

    What is converted, and how:
        the EXIF orientation is applied; what is transparent is laid on white; CMYK, YCbCr, LAB and HSV
        become RGB; gray and 1-bit images get three equal channels; 16-bit values are divided by 257, so that 65535
        becomes 255; float values must lie in [0, 1] and are multiplied by 255; booleans become 0 and 255; of an
        animation the first frame is read.

    Raises:
        FileNotFoundError, IsADirectoryError: no such file.
        ValueError: not an image, a truncated file, no pixels, more pixels than `PIL.Image.MAX_IMAGE_PIXELS` (a
            decompression bomb), an array whose shape or values are not those of an image.
        TypeError: what is not an image, such as a number or a dict.
    """
    if isinstance(source, (np.ndarray, torch.Tensor)):
        return _from_array(source, name, input_data_format)
    if isinstance(source, Image.Image):
        return _to_rgb(source, name)
    if isinstance(source, (bytes, bytearray)):
        return _from_file(io.BytesIO(source), name)
    if hasattr(source, "read"):
        return _from_file(source, name)
    if isinstance(source, (str, os.PathLike)):
        return _from_path(source)
    raise TypeError(
        f"{name} is a {type(source).__name__}; expected a path, the bytes of an image file, a PIL image, "
        "a numpy array (H, W, 3) or a torch tensor (3, H, W)"
    )


def _from_path(path: str | os.PathLike) -> Image.Image:
    if str(path).startswith(("http://", "https://")):
        raise ValueError(f"{path} is a network address, which is not fetched: download it and give the file's path")
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the path of one image file")
    if not path.exists():
        raise FileNotFoundError(f"there is no image file {path}")
    with open(path, "rb") as file:
        return _from_file(file, str(path))


def _from_file(file, name: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{name} unpacks to more pixels than the limit of {Image.MAX_IMAGE_PIXELS} ({error}); make it smaller, "
            "or raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
        ) from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is not an image in a format that Pillow {Image.__version__} can read") from error
    except DAMAGE as error:
        raise _damaged(name, error) from error
    return _to_rgb(image, name)


def _damaged(name: str, error: Exception) -> ValueError:
    return ValueError(f"{name} is damaged or truncated ({error}); get a complete copy of the file")


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.width == 0 or image.height == 0:
        raise ValueError(f"{name} has no pixels: its width is {image.width}, its height {image.height}")
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise ValueError(
            f"{name} has {image.width} x {image.height} pixels, more than the limit of {limit}; make it smaller, "
            "or raise PIL.Image.MAX_IMAGE_PIXELS"
        )
    try:
        image.load()
    except DAMAGE as error:
        raise _damaged(name, error) from error
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        return _from_array(np.asarray(image), name, None)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_array(array: np.ndarray | torch.Tensor, name: str, input_data_format: str | None) -> Image.Image:
    channels_first = isinstance(array, torch.Tensor)
    if channels_first:
        array = array.detach().cpu()
        array = (array.float() if array.dtype == torch.bfloat16 else array).numpy()
    if 0 in array.shape:
        raise ValueError(f"{name} has no pixels: its shape is {array.shape}")
    array = _channels_last(array, name, channels_first, input_data_format)  # -> (H, W) or (H, W, C)
    array = _to_uint8(array.astype(array.dtype.newbyteorder("="), copy=False), name)  # some TIFF are big-endian
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]  # (H, W, 1) -> (H, W)
    return _to_rgb(Image.fromarray(np.ascontiguousarray(array)), name)


def _channels_last(array: np.ndarray, name: str, channels_first: bool, input_data_format: str | None) -> np.ndarray:
    """(H, W), (H, W, C) or (C, H, W) -> (H, W) or (H, W, C), with C in {1, 3, 4}."""
    if input_data_format not in (None, "channels_first", "channels_last"):
        raise ValueError(f"input_data_format is {input_data_format!r}; use 'channels_first' or 'channels_last'")
    if array.ndim == 2:
        return array
    if array.ndim == 3:
        if input_data_format is None:
            orders = [channels_first, not channels_first]
        else:
            orders = [input_data_format == "channels_first"]
        for first in orders:
            if array.shape[0 if first else 2] in (1, 3, 4):
                return array.transpose(1, 2, 0) if first else array  # (C, H, W) -> (H, W, C)
    raise ValueError(
        f"{name} has the shape {array.shape}; expected (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels"
        + (f" in the order {input_data_format}" if input_data_format else "")
    )


def _to_uint8(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} has the dtype {array.dtype}; expected uint8, uint16, bool, or float in [0, 1]")
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        if not (low >= 0 and high <= 1):  # so that NaN is refused too
            raise ValueError(
                f"{name} is {array.dtype} with values from {low} to {high}; float images must lie in [0, 1]: "
                "divide by 255, or convert to uint8"
            )
        return np.rint(array * 255).astype(np.uint8)
    if array.dtype == np.uint16 or (array.dtype == np.int32 and high > 255):
        # Pillow gives some 16-bit files as 32-bit integers (mode "I")
        if low >= 0 and high <= 65535:
            return np.rint(array / 257).astype(np.uint8)
    elif array.dtype.kind in "iu" and low >= 0 and high <= 255:
        return array.astype(np.uint8)
    raise ValueError(
        f"{name} is {array.dtype} with values from {low} to {high}; expected uint8, uint16, bool, or float in [0, 1]"
    )
