"""Reader of ReferIt (Kazemzadeh et al., EMNLP 2014) in the files text_objseg and RMI train on.

    referit_query_{train,val,test}.json    {"38100_1": ["the man", ...]}: region -> expressions
    referit_bbox.json                      {"38100_1": [xmin, ymin, xmax, ymax]}, the last pixel included
    referit_imcrop.json                    {"38100.jpg": ["38100_1", ...]}: every region of an image
    referit_imsize.json                    {"38100.jpg": [width, height]}
    referit_{train,val,test}_imlist.txt    one image per line, without .jpg; optional
    mask/38100_1.mat                       segimg_t: 0 is the foreground
    images/38100.jpg

text_objseg keeps the lists in exp-referit/data and the rest in exp-referit/referit-dataset. Give the folder of that
repository, its exp-referit, or one folder with everything in it. The same data in the layout of the REFER API is
RefCLEF, see `hf_refseg.data.refer`.
"""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .damaged_records import DamagedRecords
from .image_sources import ImageFolder, find_image_folder
from .matlab_files import read_matrix
from .official_files import check_numbers, check_size, read_json, shown
from .rows import FileRows
from .schema import encode_mask, has_words
from .splits import find_split

SPLITS = ("train", "val", "test")
PLACES = (".", "data", "referit-dataset", "exp-referit/data", "exp-referit/referit-dataset")
# Region ids of image i start at i * ID_STRIDE, sentence ids of region j at j * ID_STRIDE.
ID_STRIDE = 1000


def load_referit(
    path: str | Path,
    split: str | None = None,
    images: str | Path | bool | None = None,
    skip_unreadable: bool = False,
) -> "ReferItFolder":
    """Read ReferIt in the files that text_objseg and RMI use.

    Args:
        path: the folder, see the top of this file.
        split: "train", "val", "test" or "trainval" (text_objseg trains on it); None: all.
        images: folder of the pictures; by default `images` beside the masks. False: rows without pictures.
        skip_unreadable: leave out regions whose records are damaged, and count them in `notes`; otherwise the first is
            an error.

    Raises:
        FileNotFoundError: a file or the folder of pictures is missing.
        ValueError: an unknown split; a broken file; a region that is there twice, or has no box, image size or
            expression.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder; give the one with referit_query_train.json.")
    pictures = None if images is False else find_image_folder(images, path, [f"{place}/images" for place in PLACES])
    return ReferItFolder(path, split, pictures, skip_unreadable)


class ReferItFolder(FileRows):
    """Rows of the schema, one per region that has expressions. ReferIt has no categories."""

    source = "referit"
    splits = SPLITS

    def __init__(
        self,
        path: Path,
        split: str | None = None,
        pictures: ImageFolder | None = None,
        skip_unreadable: bool = False,
    ):
        super().__init__(pictures)
        self.path, self.skip_unreadable = path, skip_unreadable
        self.boxes = read_json(self._file("referit_bbox.json"), dict, keys_are_ids=True)
        self.sizes = read_json(self._file("referit_imsize.json"), dict, keys_are_ids=True)
        self.crops = read_json(self._file("referit_imcrop.json"), dict, keys_are_ids=True)
        for image, regions in self.crops.items():
            if not isinstance(regions, list) or not all(isinstance(region, str) for region in regions):
                raise ValueError(
                    f"{self._file('referit_imcrop.json')}, {image!r}: its regions are {shown(regions)}, expected a "
                    "list of names."
                )
        self._choose(split)

    def of_split(self, split: str | None) -> "ReferItFolder":
        rows = copy.copy(self)
        rows._choose(split)
        return rows

    def _choose(self, split: str | None) -> None:
        split = None if split is None else find_split(split, (*SPLITS, "trainval"), "ReferIt")
        self.split, self.regions, self._wordless = split, [], 0  # of (split, region, expressions)
        self._damaged = DamagedRecords(self.skip_unreadable)
        self.file = self._file(f"referit_query_{'train' if split in (None, 'trainval') else split}.json")
        listed: set[str] = set()
        for part in {None: SPLITS, "trainval": SPLITS[:2]}.get(split, (split,)):
            listed |= self._read_split(part)
        kept = {region for _, region, _ in self.regions}
        if len(kept) < len(self.regions):
            raise ValueError(f"{self.path}: a region is in two splits; take the three query files from one release.")
        silent = sum(region not in kept for image in listed for region in self.crops.get(f"{image}.jpg", ()))
        oddities = {
            "regions without an expression, left out": silent,
            "expressions without a word, left out": self._wordless,
            "regions whose records are damaged, left out": self._damaged.count,
        }
        self.notes = {what: number for what, number in oddities.items() if number}

    def _read_split(self, split: str) -> set[str]:
        """Appends the regions of a split; returns its images, including those without expressions."""
        file = self._file(f"referit_query_{split}.json")
        queries = read_json(file, dict, keys_are_ids=True)
        images = set()
        for region, expressions in queries.items():
            with self._damaged.left_out():
                images.add(self._check(region, expressions, f"{file}, region {region!r}"))
                worded = [expression for expression in expressions if has_words(expression)]
                self._wordless += len(expressions) - len(worded)
                if worded:
                    self.regions.append((split, region, worded))
        listing = self._find(f"referit_{split}_imlist.txt")
        if listing is None:
            return images
        listed = set(listing.read_text(encoding="utf-8-sig").split())
        if images - listed:
            raise ValueError(
                f"{listing} does not list {len(images - listed)} images of {file}, e.g. {min(images - listed)}: "
                "they are of different splits or releases."
            )
        return listed

    def _check(self, region: str, expressions, where: str) -> str:
        """The image of a region; raises ValueError for a damaged record."""
        image = _image_of(region, where)
        if region not in self.boxes:
            raise ValueError(f"{where} has no box in referit_bbox.json.")
        if f"{image}.jpg" not in self.sizes:
            raise ValueError(f"{where}: {image}.jpg has no size in referit_imsize.json.")
        check_numbers(self.boxes[region], 4, f"{where}, its box in referit_bbox.json")
        size, here = self.sizes[f"{image}.jpg"], f"{where}, the size of {image}.jpg in referit_imsize.json"
        check_numbers(size, 2, here)
        check_size(*size[::-1], here)
        if not isinstance(expressions, list) or not expressions or not all(isinstance(e, str) for e in expressions):
            raise ValueError(f"{where} has {shown(expressions)}, expected a list of expressions.")
        return image

    def _find(self, name: str) -> Path | None:
        return next((self.path / place / name for place in PLACES if (self.path / place / name).is_file()), None)

    def _file(self, name: str) -> Path:
        file = self._find(name)
        if file is None:
            raise FileNotFoundError(f"{self.path} has no {name}, and neither do its folders {list(PLACES[1:])}.")
        return file

    def __len__(self) -> int:
        return len(self.regions)

    def image_ids(self) -> Iterator[int]:
        return (int(region.split("_")[0]) for _, region, _ in self.regions)

    def sentences_of(self, index: int) -> list[str]:
        return self.regions[index][2]

    def image_record(self, index: int) -> dict:
        image = self.regions[index][1].split("_")[0]
        width, height = map(int, self.sizes[f"{image}.jpg"])
        return {"image_id": int(image), "file_name": f"{image}.jpg", "height": height, "width": width}

    def instances_of(self, index: int) -> list[dict]:
        """Every region of the image, those without an expression included; nobody named their categories."""
        record = self.image_record(index)
        return [self._instance(region, record) for region in self.crops.get(record["file_name"], ())]

    def _instance(self, region: str, record: dict) -> dict:
        if region not in self.boxes:
            raise ValueError(f"{self.path}, region {region!r} has no box in referit_bbox.json.")
        check_numbers(self.boxes[region], 4, f"{self.path}, region {region!r}, its box in referit_bbox.json")
        return {
            "ann_id": _number_of(region),
            "category": "",
            "attributes": [],
            "box": self._box(region),
            "mask": encode_mask(self._mask(region, record["height"], record["width"])),
        }

    def row(self, index: int) -> dict:
        split, region, expressions = self.regions[index]
        record = self.image_record(index)
        number = _number_of(region)
        sentences = [
            {"sent_id": number * ID_STRIDE + i, "sent": expression, "tokens": expression.split()}
            for i, expression in enumerate(expressions)
        ]
        return {
            **record,
            "ref_id": number,
            "ann_ids": [number],
            "category": "",
            "boxes": [self._box(region)],
            "mask": encode_mask(self._mask(region, record["height"], record["width"])),
            "sentences": sentences,
            "split": split,
            "source": self.source,
            "task_id": region,
        }

    def _box(self, region: str) -> list[float]:
        x0, y0, x1, y1 = self.boxes[region]
        return [float(x0), float(y0), float(x1 + 1), float(y1 + 1)]

    def _mask(self, region: str, height: int, width: int) -> np.ndarray:
        file = self._file(f"mask/{region}.mat")
        mask = read_matrix(file, "segimg_t") == 0
        if mask.shape != (height, width):
            raise ValueError(f"{file}: its mask is {mask.shape}, its image {(height, width)} (height, width).")
        return mask


def _number_of(region: str) -> int:
    image, number = region.split("_")
    return int(image) * ID_STRIDE + int(number)


def _image_of(region: str, where: str) -> str:
    image, _, number = region.partition("_")
    if not (image.isdecimal() and number.isdecimal() and int(number) < ID_STRIDE):
        raise ValueError(f"{where}: regions are named <image>_<number>, both numbers.")
    return image
