"""Photos with instance masks and authored expressions.

Reads a folder that holds COCO-layout folders (`instances.json` and `images/`, optionally `refs.json` with authored
expressions and `*captions*.json`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hf_refseg.data.coco_categories import NOUNS
from hf_refseg.data.coco_instances import CocoInstances
from hf_refseg.data.expressions.things import Thing
from hf_refseg.data.photos.people import said_kind
from hf_refseg.data.photos.scene import Region, look_at
from hf_refseg.data.schema import decode_mask
from hf_refseg.processing.images import load_image

from .categories import PERSON_WORDS

# No clothes are labeled in COCO.
LABELED = frozenset(NOUNS)


@dataclass
class Photo:
    """One image and what is known about it; masks stay encoded until a view needs them.

    Args:
        file: the image.
        categories, rles, crowd, ann_ids: of each of its n annotated regions.
        sentences: authored expressions by ann_id.
        person_word: "man", "girl", ... where the captions agree on one, else None.
    """

    file: Path
    image_id: int
    categories: list[str] = field(default_factory=list)
    rles: list[dict] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    ann_ids: list[int] = field(default_factory=list)
    sentences: dict[int, list[str]] = field(default_factory=dict)
    person_word: str | None = None

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 RGB pixels and (n, H, W) bool masks."""
        pixels = np.asarray(load_image(self.file, upright=False))
        masks = [decode_mask(rle) for rle in self.rles]
        return pixels, np.stack(masks) if masks else np.zeros((0, *pixels.shape[:2]), dtype=bool)


@dataclass
class View:
    """What a model sees of a photo.

    Args:
        categories: n COCO category names.
        masks: (n, H, W) bool.
        crowd: (n,) bool; a crowd region stands for several instances.
        pixels: (H, W, 3) uint8 RGB.
        person_word: what to call a person who is alone in the photo ("man" where the captions say so), or None.
        authored: (expression, index of the instance) pairs that are still true of the view.
    """

    categories: Sequence[str]
    masks: np.ndarray
    crowd: np.ndarray
    pixels: np.ndarray
    person_word: str | None = None
    authored: list[tuple[str, int]] = field(default_factory=list)
    areas: np.ndarray = field(init=False)
    boxes: np.ndarray = field(init=False)

    def __post_init__(self):
        self.areas = self.masks.sum((1, 2)) / np.prod(self.masks.shape[1:])
        self.boxes = np.array([_relative_box(mask) for mask in self.masks]).reshape(-1, 4)

    @property
    def centers(self) -> np.ndarray:
        """(n, 2) x and y of the box centers, in [0, 1]."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    def scene(self) -> list[Thing]:
        """What expressions can be made about: all of COCO's categories are labeled in these photos."""
        said = (said_kind(self.person_word or ""),) if self.categories.count("person") == 1 else ()
        regions = [
            Region(category, mask, bool(crowd), said if category == "person" else ())
            for category, mask, crowd in zip(self.categories, self.masks, self.crowd, strict=True)
        ]
        return look_at(regions, self.pixels, LABELED)


def read_photos(root: str | Path, folders: Sequence[str], held_out: Sequence[str] = ("val", "test")) -> list[Photo]:
    """The photos of COCO-layout folders under `root`, one entry per image, without any held-out image.

    Args:
        folders: names below `root`; an image in several of them is taken from the first, expressions from all.
        held_out: splits of `refs.json` whose images are left out, also where another folder has them.

    Raises:
        FileNotFoundError: a folder has no `instances.json`.
        ValueError: it is not COCO's, or an annotation in it is damaged.
    """
    photos: dict[int, Photo] = {}
    excluded: set[int] = set()
    for folder in (Path(root) / name for name in folders):
        refs = _read_json(folder / "refs.json", [])
        excluded |= {ref["image_id"] for ref in refs if ref["split"] in held_out}
        for image_id, photo in _read_folder(folder).items():
            photos.setdefault(image_id, photo)
        for ref in refs:
            if ref["split"] not in held_out:
                photos[ref["image_id"]].sentences[ref["ann_id"]] = [entry["sent"] for entry in ref["sentences"]]
    return [photo for image_id, photo in sorted(photos.items()) if image_id not in excluded]


def _read_json(path: Path, default):
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default


def _read_folder(folder: Path) -> dict[int, Photo]:
    instances = CocoInstances(folder / "instances.json")
    captions: dict[int, list[str]] = {}
    for path in sorted(folder.glob("*captions*.json")):
        for entry in _read_json(path, None)["annotations"]:
            captions.setdefault(entry["image_id"], []).append(entry["caption"])
    photos = {}
    for image_id, image in instances.images.items():
        ann_ids = instances.annotations_of_image.get(image_id, [])
        photos[image_id] = Photo(
            file=folder / "images" / image["file_name"],
            image_id=image_id,
            categories=[instances.category(ann_id) for ann_id in ann_ids],
            rles=[instances.mask(ann_id) for ann_id in ann_ids],
            crowd=[bool(instances.annotations[ann_id]["iscrowd"]) for ann_id in ann_ids],
            ann_ids=list(ann_ids),
            person_word=person_word(captions.get(image_id, [])),
        )
    return photos


def person_word(captions: Sequence[str]) -> str | None:
    """The word for a person that most of the captions of a photo share, if at least two of them do."""
    counts = {word: sum(word in caption.lower().split() for caption in captions) for word in PERSON_WORDS}
    word = max(counts, key=counts.get)
    return word if counts[word] >= 2 else None


def whole_view(photo: Photo) -> View:
    """The photo as it is."""
    pixels, masks = photo.read()
    authored = [(text, i) for i, ann in enumerate(photo.ann_ids) for text in photo.sentences.get(ann, ())]
    crowd = np.array(photo.crowd, dtype=bool)
    return View(photo.categories, masks, crowd, pixels, photo.person_word, authored=authored)


def _relative_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    if not len(rows):
        return 0.0, 0.0, 0.0, 0.0
    height, width = mask.shape
    return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
