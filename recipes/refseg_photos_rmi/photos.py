"""Photos with instance masks and authored expressions.

Reads a folder that holds COCO-layout folders (`instances.json` and `images/`, optionally `refs.json` with authored
expressions and `*captions*.json`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hf_refseg.data.coco_instances import CocoInstances
from hf_refseg.data.schema import decode_mask
from hf_refseg.processing.images import load_image

from .categories import PERSON_WORDS
from .templates import Scene


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
class View(Scene):
    """What a model sees of a photo: a `Scene` with its authored expressions, those that are still true of it.

    Args:
        authored: (expression, index of the instance) pairs.
    """

    authored: list[tuple[str, int]] = field(default_factory=list)


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
