"""Photos with instance masks, and the random views of them that a model is trained on.

Reads a folder that holds COCO-layout folders (`instances.json` and `images/`, optionally `refs.json` with authored
expressions and `*captions*.json`). A view is a crop, perhaps mirrored, perhaps with an object of another photo pasted
in; masks follow, and expressions are made for what the view shows (`templates`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from .augment import swap_left_right
from .coco_categories import PERSON_WORDS
from .refer import segmentation_rle
from .schema import box_from_mask, decode_mask, union_masks
from .templates import MIN_AREA, Scene, absent_expressions, template_expressions


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
        pixels = np.asarray(Image.open(self.file).convert("RGB"))
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


def random_view(
    photo: Photo, rng: np.random.Generator, donors: Sequence[Photo] = (), crop: float = 0.6, paste: float = 0.25
) -> View:
    """A view for training: mirrored or not, with probability `crop` a crop, else with probability `paste` a paste.

    Authored expressions survive mirroring (left and right change places) but neither crops nor pastes, which could
    make another object the leftmost, the largest or the only one.

    Args:
        donors: photos whose objects may be pasted.
    """
    view = whole_view(photo)
    if rng.random() < crop:
        view = _cropped(view, _zoom_box(view, rng) if rng.random() < 0.5 else _random_box(view, rng))
    elif donors and rng.random() < paste:
        view = _pasted(view, donors[rng.integers(len(donors))], rng)
    if rng.random() < 0.5:
        view = View(
            *(view.categories, view.masks[:, :, ::-1], view.crowd, view.pixels[:, ::-1], view.person_word),
            authored=[(swap_left_right(text), index) for text, index in view.authored],
        )
    image = Image.fromarray(view.pixels)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(0.75, 1.25))
    view.pixels = np.asarray(image)
    return view


def _random_box(view: View, rng: np.random.Generator) -> tuple[int, int, int, int]:
    height, width = view.masks.shape[1:]
    tall, wide = (int(side * rng.uniform(0.5, 0.95)) for side in (height, width))
    left, top = rng.integers(width - wide + 1), rng.integers(height - tall + 1)
    return left, top, left + wide, top + tall


def _zoom_box(view: View, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A crop around one object, 1.5 to 5 times its size: what is too small in the photo is seen once from near."""
    height, width = view.masks.shape[1:]
    candidates = [i for i in range(len(view.masks)) if not view.crowd[i] and view.areas[i] > MIN_AREA / 4]
    if not candidates:
        return _random_box(view, rng)
    category = rng.choice(sorted({view.categories[i] for i in candidates}))
    index = rng.choice([i for i in candidates if view.categories[i] == category])
    left, top, right, bottom = view.boxes[index] * [width, height, width, height]
    side = max(max(right - left, bottom - top) * rng.uniform(1.5, 5), 96)
    wide, tall = min(side * rng.uniform(0.8, 1.25), width), min(side, height)
    x = np.clip(rng.uniform(right - wide, left) if wide > right - left else left, 0, width - wide)
    y = np.clip(rng.uniform(bottom - tall, top) if tall > bottom - top else top, 0, height - tall)
    return int(x), int(y), int(x + wide), int(y + tall)


def _cropped(view: View, box: tuple[int, int, int, int]) -> View:
    left, top, right, bottom = box
    masks = view.masks[:, top:bottom, left:right]
    seen = masks.any((1, 2)).nonzero()[0]
    return View(
        [view.categories[i] for i in seen],
        masks[seen],
        view.crowd[seen],
        view.pixels[top:bottom, left:right],
        view.person_word if sum(category == "person" for category in view.categories) == 1 else None,
    )


def _pasted(view: View, donor: Photo, rng: np.random.Generator) -> View:
    """One object of another photo, scaled and laid somewhere over this one (Ghiasi et al. 2021)."""
    other = whole_view(donor)
    candidates = [i for i in range(len(other.masks)) if not other.crowd[i] and other.areas[i] >= 0.01]
    if not candidates:
        return view
    index = rng.choice(candidates)
    mask = Image.fromarray(other.masks[index])
    box = mask.getbbox()
    height, width = view.masks.shape[1:]
    scale = rng.uniform(0.2, 0.6) * min(height, width) / max(box[2] - box[0], box[3] - box[1])
    size = max(int((box[2] - box[0]) * scale), 8), max(int((box[3] - box[1]) * scale), 8)
    stamp = np.asarray(Image.fromarray(other.pixels).crop(box).resize(size, Image.Resampling.BILINEAR))
    shape = np.asarray(mask.crop(box).convert("L").resize(size, Image.Resampling.BILINEAR)) > 127
    left, top = rng.integers(width - size[0] + 1), rng.integers(height - size[1] + 1)
    pasted = np.zeros((height, width), dtype=bool)
    pasted[top : top + size[1], left : left + size[0]] = shape
    pixels = view.pixels.copy()
    pixels[pasted] = stamp[shape]
    return View(
        [*view.categories, other.categories[index]],
        np.concatenate([view.masks & ~pasted, pasted[None]]),
        np.append(view.crowd, False),
        pixels,
        view.person_word if other.categories[index] != "person" else None,
    )
