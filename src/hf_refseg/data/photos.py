"""Photos with instance masks and authored expressions.

Reads a folder that holds COCO-layout folders (`instances.json` and `images/`, optionally `refs.json` with authored
expressions and `*captions*.json`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from ..processing.images import load_image
from .coco_categories import PERSON_WORDS
from .refer import segmentation_rle
from .schema import box_from_mask, decode_mask, union_masks
from .templates import Scene, absent_expressions, template_expressions


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
    """
    photos: dict[int, Photo] = {}
    excluded: set[int] = set()
    for folder in (Path(root) / name for name in folders):
        if not (folder / "instances.json").is_file():
            raise FileNotFoundError(f"{folder} holds no instances.json; a COCO-layout folder has one beside images/")
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
    content = _read_json(folder / "instances.json", None)
    names = {category["id"]: category["name"] for category in content["categories"]}
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    photos = {image["id"]: Photo(folder / "images" / image["file_name"], image["id"]) for image in content["images"]}
    for annotation in content["annotations"]:
        photo = photos[annotation["image_id"]]
        photo.categories.append(names[annotation["category_id"]])
        photo.rles.append(segmentation_rle(annotation["segmentation"], *sizes[photo.image_id]))
        photo.crowd.append(bool(annotation["iscrowd"]))
        photo.ann_ids.append(annotation["id"])
    captions: dict[int, list[str]] = {}
    for path in sorted(folder.glob("*captions*.json")):
        for entry in _read_json(path, None)["annotations"]:
            captions.setdefault(entry["image_id"], []).append(entry["caption"])
    for image_id, texts in captions.items():
        if image_id in photos:
            photos[image_id].person_word = person_word(texts)
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


def template_rows(photo: Photo, count: int, absent: int = 0, seed: int = 0) -> list[dict]:
    """Rows of the common schema (`schema`) with template expressions about the whole photo.

    Args:
        count, absent: expressions about what is there, and about what is not (no target).
        seed: with the photo's id it decides everything that is drawn.
    """
    rng = np.random.default_rng([seed, photo.image_id])
    view = whole_view(photo)
    height, width = view.masks.shape[1:]
    drawn = [(text, [index]) for text, index in template_expressions(view, rng, count)]
    drawn += [(text, []) for text in absent_expressions(set(view.categories), rng, absent)]
    rows = []
    for number, (text, targets) in enumerate(drawn):
        rles = [photo.rles[index] for index in targets]
        rows.append(
            {
                "image": Image.fromarray(view.pixels),
                "image_id": photo.image_id,
                "file_name": photo.file.name,
                "height": height,
                "width": width,
                "ref_id": number,
                "ann_ids": [photo.ann_ids[index] for index in targets],
                "category": photo.categories[targets[0]] if targets else "",
                "boxes": [box_from_mask(rle) for rle in rles],
                "mask": union_masks(rles, height, width),
                "sentences": [{"sent_id": number, "sent": text, "tokens": text.split()}],
                "split": "train",
                "source": "templates",
            }
        )
    return rows
