"""Where the pictures of rows come from: a local folder, or the picture table of a built data set.

Annotations and pixels are separate, because many rows share a picture; each picture is stored once.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from ..processing.images import image_size, load_image
from .official_files import shown

# The COCO id in the file names of the 2014 and 2017 releases, where a picture has the same id.
COCO_NAME = re.compile(r"(?:COCO_(?:train|val)2014_)?(\d{12})\.jpg")
DRIVE = re.compile("[A-Za-z]:")
# How much more a copy may be enlarged along one side than along the other: a pixel in a small picture.
MOST_STRETCH = 0.03
LONGEST_NAME = 300  # characters of a name that messages print whole
# The folders of Visual Genome's two archives.
SUBFOLDERS = ("VG_100K", "VG_100K_2")


class ImageFolder:
    """Pictures in a folder, found by the `file_name` of a row.

    A COCO picture is also found under its 2017 name, without "COCO_train2014_", and a picture of Visual Genome in the
    folders VG_100K and VG_100K_2 of the two archives. Where `file_name` is a path, of this folder's parent or of
    another computer, the picture is found by its last part too.

    Attributes:
        resize: whether a picture of another size than annotated is resized instead of being refused.

    Raises:
        FileNotFoundError: no such folder.
    """

    resize = False

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"There is no folder of pictures {self.folder}; give another with images=.")

    def __repr__(self) -> str:
        return f"ImageFolder({str(self.folder)!r})"

    def find(self, row: dict) -> Path:
        """The file of a row's picture.

        Raises:
            FileNotFoundError: there is no file with one of its names.
        """
        path = PurePosixPath(row["file_name"].replace("\\", "/"))
        inside = not (path.is_absolute() or ".." in path.parts or DRIVE.match(str(path)))
        names = [str(path), path.name] if inside else [path.name]
        if number := COCO_NAME.fullmatch(path.name):
            names += [f"{number[1]}.jpg", f"COCO_train2014_{number[1]}.jpg"]
        names += [f"{subfolder}/{path.name}" for subfolder in SUBFOLDERS]
        names += [f"{path.stem}{suffix}" for suffix in (path.suffix.lower(), path.suffix.upper())]  # of a camera
        for name in names:
            if os.path.isfile(self.folder / name):  # a Path raises for a name that is longer than any file's
                return self.folder / name
        name = row["file_name"] if len(row["file_name"]) < LONGEST_NAME else shown(row["file_name"])
        raise FileNotFoundError(
            f"{self.folder / name} is missing (picture of image_id {row['image_id']}); "
            "download it, or give the folder that has it with images=."
        )

    def read(self, row: dict) -> bytes:
        """The bytes of a row's picture file, unchanged. The picture is opened once to check it."""
        self.open(row)
        return self.find(row).read_bytes()

    def check(self, row: dict) -> None:
        """Looks at the beginning of a row's picture file.

        Raises:
            FileNotFoundError, ValueError: it is missing, no picture, or does not have the annotated size.
        """
        file, size = self.find(row), (row["width"], row["height"])
        found = image_size(file, upright=False)
        if found[::-1] == size:
            found = image_size(file)
        if found != size and not (self.resize and _is_copy(found, size)):
            raise _of_another_size(str(file), row, found)

    def open(self, row: dict) -> Image.Image:
        """A row's picture in RGB.

        Raises:
            FileNotFoundError, ValueError: it is missing, can't be read, or does not have the annotated size.
        """
        file = self.find(row)
        return annotated_picture(file, row, str(file), self.resize)


class ImageTable:
    """Pictures of the `images` table of a built data set, memory-mapped; one row per picture.

    Args:
        table: rows of image_id and image, as `datasets.load_dataset(folder, "images", split="all")` gives them.
        name: the folder it came from, for error messages.

    Attributes:
        resize: whether a picture of another size than annotated is resized instead of being refused.
    """

    resize = False

    def __init__(self, table, name: str):
        from datasets import Image as ImageFeature

        self.table, self.name = table.cast_column("image", ImageFeature(decode=False)), name
        self.number_of = {image_id: number for number, image_id in enumerate(table["image_id"])}

    def __repr__(self) -> str:
        return f"ImageTable({self.name!r}, {len(self.table)} pictures)"

    def check(self, row: dict) -> None:
        """Raises FileNotFoundError if the table lacks a row's picture; of what size it is was checked at building."""
        if row["image_id"] not in self.number_of:
            raise FileNotFoundError(
                f"{self.name} lacks the picture of image_id {row['image_id']}; build it --with-images again."
            )

    def open(self, row: dict) -> Image.Image:
        """A row's picture in RGB.

        Raises:
            FileNotFoundError: the table lacks it.
            ValueError: it can't be read, or does not have the annotated size.
        """
        self.check(row)
        number = self.number_of[row["image_id"]]
        where = f"{self.name}, image_id {row['image_id']}"
        return annotated_picture(self.table[number]["image"], row, where, self.resize)


def find_image_folder(images: str | Path | None, beside: Path, places: Sequence[str]) -> ImageFolder:
    """The user's folder, or else the first of `places` that exists, relative to the folder `beside`.

    Raises:
        FileNotFoundError: none of them exists.
    """
    tried = [Path(images)] if images is not None else [beside / place for place in places]
    for folder in tried:
        if folder.is_dir():
            return ImageFolder(folder)
    raise FileNotFoundError(f"No folder of pictures at {[str(folder) for folder in tried]}; give it with images=.")


def _is_copy(size: tuple[int, int], annotated: tuple[int, int]) -> bool:
    """Whether a picture may be a resized one of the annotated size: both its sides are as many times as long."""
    across, down = (side / wanted for side, wanted in zip(size, annotated, strict=True))
    return abs(across - down) <= MOST_STRETCH * max(across, down)


def annotated_picture(source: Path | bytes | dict, row: dict, name: str, resize: bool = False) -> Image.Image:
    """A row's picture in RGB, in the orientation that its masks are drawn in.

    Masks fit the pixels as they are stored, whatever orientation the file gives. A picture was annotated upright only
    if its stored pixels do not have the annotated size and the upright picture does.

    Args:
        source: what [`load_image`] reads.
        name: for error messages.
        resize: make it the annotated size, if it is not turned or cropped.

    Raises:
        ValueError: it can't be read, or does not have the annotated size.
    """
    size = row["width"], row["height"]
    picture = load_image(source, name, upright=False)
    if picture.size != size and picture.size[::-1] == size:
        picture = load_image(source, name)
    if picture.size != size and resize and _is_copy(picture.size, size):
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    if picture.size != size:
        raise _of_another_size(name, row, picture.size)
    return picture


def _of_another_size(name: str, row: dict, size: tuple[int, int]) -> ValueError:
    return ValueError(
        f"{name} is {size}, the annotations of image_id {row['image_id']} are for {row['width'], row['height']} (W, "
        "H): masks would not fit; use the original picture, not a resized copy, or load the data set with "
        "resize_pictures=True or skip_unreadable=True (--resize-pictures, --skip-unreadable)."
    )
