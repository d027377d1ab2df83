"""
Masks beside text files, the layout that needs no tool but a painting program.

    FOLDER/images/mug.jpg       the photo, also directly in FOLDER
    FOLDER/masks/mug.png        0 is the background, one other value the thing
    FOLDER/masks/mug.txt        expressions that refer to it, one per line
    FOLDER/masks/mug_2.png      a second thing in the same photo, with mug_2.txt
"""

import json
import re
import unicodedata
from pathlib import Path

from .official_files import read_text
from .triples import TripleFolder

MASKS = "masks"
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif")
NUMBER = re.compile(r"[ _-]\d+$")


class MaskFiles(TripleFolder):
    """
    Rows of the schema, one per mask; a mask is read when its row is asked for.

    Args:
        folder: with `masks/`, and the photos in `images/` or beside it.

    Raises:
        FileNotFoundError: a mask without a text file or photo, or a text file without a mask.
        ValueError: a text file is not UTF-8; a mask could be of two photos.
    """

    listing = MASKS

    def __init__(self, folder: Path):
        super().__init__(folder)

    def _read(self) -> list[str]:
        """The files as lines of a metadata.jsonl."""
        texts, masks = files_of(self.file, ".txt"), files_of(self.file, ".png")
        for stem in sorted(texts.keys() ^ masks.keys()):
            here, other = (f"{stem}.png", f"{stem}.txt") if stem in masks else (f"{stem}.txt", f"{stem}.png")
            raise FileNotFoundError(
                f"{self.file / here} has no {other} beside it: a mask is a PNG, and its expressions are the lines of a "
                "text file of the same name"
            )
        photos = self._photos()
        lines = []
        for stem, path in masks.items():
            named = photos.get(stem) or photos.get(NUMBER.sub("", stem)) or []
            if len(named) > 1:
                raise ValueError(f"{path} is of {' or '.join(named)}: give each photo a name of its own")
            if not named:
                raise FileNotFoundError(
                    f"{path} has no photo: there is no {stem}.jpg in {self.folder / 'images'} (a mask of a second "
                    "thing has the photo's name and a number, mug_2.png for mug.jpg)"
                )
            expressions = [line.strip() for line in read_text(texts[stem]).splitlines() if line.strip()]
            names = {"file_name": named[0], "mask": f"{MASKS}/{path.name}", "text": expressions}
            lines.append(json.dumps(names))
        return lines

    def _photos(self) -> dict[str, list[str]]:
        """The paths of the photos, relative to the folder, by their names without suffix."""
        found: dict[str, list[str]] = {}
        for path in sorted([*self.folder.glob("*"), *(self.folder / "images").glob("*")]):
            if path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith("."):
                found.setdefault(stem_of(path), []).append(path.relative_to(self.folder).as_posix())
        return found


def files_of(folder: Path, suffix: str) -> dict[str, Path]:
    """The files of a suffix, in small or capital letters, by their name without it; without those that a Mac adds."""
    paths = sorted(folder.iterdir())
    return {stem_of(path): path for path in paths if path.suffix.lower() == suffix and not path.name.startswith(".")}


def stem_of(path: Path) -> str:
    """The name without suffix. A Mac writes é as two characters, e and its accent, where others write one."""
    return unicodedata.normalize("NFC", path.stem)
