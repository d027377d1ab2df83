"""The photos of several folders in COCO's layout as one collection, and the expressions that people wrote about them.

The same photo may be in several folders: it is taken once, from the first of them, under its COCO id.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from ...processing.images import image_size
from ..coco_instances import CocoInstances
from ..official_files import read_json, require, shown
from ..schema import has_words
from ..splits import spellings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhotoSet:
    """A folder with `instances.json` and `images/`.

    Args:
        name: the folder, below the one of all sets.
        id_offset: what is added to its ids, so that no two photos or annotations of different sets share one.
        from_coco: its ids are COCO's, so that its photos can be compared with those of other sets by id.
        left_out: categories that are not used.
        may_hold: categories whose objects may be unlabeled although the file says that all are labeled.
        merged: a mask of it may be that of several objects.
    """

    name: str
    id_offset: int = 0
    from_coco: bool = True
    left_out: frozenset[str] = frozenset()
    may_hold: frozenset[str] = frozenset()
    merged: bool = False


# The order decides from which set a photo is taken: larger pictures and complete labels first.
SETS = (
    PhotoSet("coco_cc_expressions"),
    PhotoSet("coco_mini_instances"),
    PhotoSet("photo_sets/coco_full"),
    PhotoSet("photo_sets/coco_more"),
    PhotoSet("photo_sets/coco_person_road"),
    PhotoSet("photo_sets/voc2012_objects", id_offset=1_000_000_000, from_coco=False, merged=True),
    PhotoSet(
        "photo_sets/ccp_clothing",
        id_offset=2_000_000_000,
        from_coco=False,
        # not objects that one would point at, or parts of other labels
        left_out=frozenset({"skin", "accessories", "intimate", "bodysuit"}),
        # only the person in front is labeled
        may_hold=frozenset({"person"}),
    ),
)
# Photos that other evaluations use: never trained on.
EVALUATED = ("refcoco_mini",)
WRITTEN = {"photos/authored": "authored_expressions", "photos/coco_cc": "coco_cc_expressions"}
ADDED = "photos/added"  # source of the sentences of a file of one's own, see `read_added`
MADE = "photos/made"  # source of the sentences that no one wrote
IDS_PER_FILE = 1_000_000  # so that the ids of no two files of expressions meet


@dataclass(frozen=True)
class AnnotatedObject:
    """One region of a photo.

    Args:
        box: xyxy in pixels, exclusive end.
        rle: its mask.
        crowd: whether it stands for several objects.
    """

    ann_id: int
    category: str
    box: tuple[float, float, float, float]
    rle: dict
    crowd: bool


@dataclass(frozen=True)
class PhotoFile:
    """
    A picture, and which of COCO's photos it is.

    Args:
        coco_id: None for a photo that is not COCO's.
    """

    file: Path
    coco_id: int | None


@dataclass(frozen=True)
class Photo(PhotoFile):
    """A photo and all that is annotated in it.

    Args:
        set_name: the set that it is taken from.
        labeled: the categories all of whose objects are annotated. Of any other, nothing is known.
        license: its number in COCO's list; None where the set states none.
        captions: sentences about the whole photo, where its set has them.
        merged: a mask may be that of several objects.
    """

    set_name: str
    image_id: int
    height: int
    width: int
    labeled: frozenset[str]
    license: int | None
    objects: tuple[AnnotatedObject, ...] = field(repr=False)
    captions: tuple[str, ...] = field(default=(), repr=False)
    merged: bool = False

    @property
    def single_objects(self) -> list[AnnotatedObject]:
        """The objects without crowds."""
        return [thing for thing in self.objects if not thing.crowd]

    @property
    def listed(self) -> frozenset[str]:
        """The categories all of whose objects are single ones: those in a crowd are annotated, but not one by one."""
        return self.labeled - {thing.category for thing in self.objects if thing.crowd}


@dataclass(frozen=True)
class WrittenRef:
    """What was written about one object of a photo. sentences: as the schema has them; split: of its file."""

    image_id: int
    ann_id: int
    ref_id: int
    split: str
    source: str
    sentences: tuple[dict, ...]


def read_photos(raw: Path, sets: Sequence[PhotoSet] = SETS) -> dict[int, Photo]:
    """
    The photos of all sets by their id in the collection.

    Raises:
        FileNotFoundError: a set is not there.
        ValueError: a file is not in COCO's layout, or an annotation in it is damaged.
    """
    photos: dict[int, Photo] = {}
    for photo_set in sets:
        found = _read_set(raw, photo_set)
        photos |= {image_id: photo for image_id, photo in found.items() if image_id not in photos}
    return photos


def _read_set(raw: Path, photo_set: PhotoSet) -> dict[int, Photo]:
    folder = raw / photo_set.name
    coco = CocoInstances(folder / "instances.json")
    captions = _captions(folder)
    photos = {}
    for image_id, image in coco.images.items():
        coco.check_image(image_id, str(coco.file))
        objects = []
        for ann_id in coco.annotations_of_image.get(image_id, []):
            coco.check_annotation(ann_id, image_id, str(coco.file))
            if coco.category(ann_id) in photo_set.left_out:
                continue
            crowd = bool(coco.annotations[ann_id].get("iscrowd"))
            if type(ann_id) is not int:
                raise ValueError(f"{coco.file}: the id of annotation {shown(ann_id)} is no number")
            ours = ann_id + photo_set.id_offset
            category, box, rle = coco.category(ann_id), tuple(coco.box(ann_id)), coco.mask(ann_id)
            objects.append(AnnotatedObject(ours, category, box, rle, crowd))
        photos[image_id + photo_set.id_offset] = Photo(
            set_name=photo_set.name,
            file=folder / "images" / coco.image_record(image_id)["file_name"],
            image_id=image_id + photo_set.id_offset,
            coco_id=image_id if photo_set.from_coco else None,
            height=int(image["height"]),
            width=int(image["width"]),
            labeled=frozenset(_labeled(image, coco) - photo_set.left_out - photo_set.may_hold),
            license=image.get("license"),
            objects=tuple(objects),
            captions=tuple(captions.get(image_id, ())),
            merged=photo_set.merged,
        )
    return photos


def _labeled(image: dict, coco: CocoInstances) -> set[str]:
    """The categories all of whose objects in an image are annotated: those that it names, or all of the file."""
    every, named = set(coco.categories.values()), image.get("complete_categories", "all")
    if named == "all":
        return every
    if not isinstance(named, list) or not every.issuperset(name for name in named if isinstance(name, str)):
        raise ValueError(f"{coco.file}, image {image['id']}: its complete_categories are {shown(named)}")
    return set(named)


def check_pictures(photos: Mapping[int, Photo]) -> None:
    """
    Look at the beginning of every photo's file, before hours of work on the first of them.

    Raises:
        FileNotFoundError: a photo is not there.
        ValueError: it is no picture, or has not the annotated size.
    """
    for photo in tqdm(photos.values(), "sizes of photos", leave=False, delay=2):
        found, annotated = image_size(photo.file, upright=False), (photo.width, photo.height)
        if found != annotated:
            raise ValueError(f"{photo.file} is {found}, its annotations are for {annotated} (width, height)")


def _captions(folder: Path) -> dict[int, list[str]]:
    captions: dict[int, list[str]] = {}
    for file in sorted(folder.glob("*captions*.json")):
        content = read_json(file, dict)
        require(content, ("annotations",), str(file))
        for number, entry in enumerate(content["annotations"]):
            where = f"{file}, caption number {number}"
            require(entry, ("image_id", "caption"), where)
            if not isinstance(entry["caption"], str):
                raise ValueError(f"{where}: it is {shown(entry['caption'])}, expected a text")
            captions.setdefault(entry["image_id"], []).append(entry["caption"])
    return captions


def read_written(raw: Path, photos: Mapping[int, Photo], sets: Sequence[PhotoSet] = SETS) -> list[WrittenRef]:
    """
    The written expressions, in the order of their files.

    Raises:
        FileNotFoundError: a file of expressions is not there.
        ValueError: an expression is about an object that its photo does not have.
    """
    refs = []
    for number, (source, folder) in enumerate(WRITTEN.items()):
        file, first = raw / folder / "refs.json", number * IDS_PER_FILE
        for ref in read_json(file, list):
            require(ref, ("ref_id", "ann_id", "image_id", "split", "sentences"), f"{file}, a ref")
            where = f"{file}, ref {shown(ref['ref_id'])}"
            image_id, ann_id = find_object({"set": folder, **ref}, photos, sets, where)
            check_sentences(ref["sentences"], where)
            # whose splits have other names than ours would be trained on
            split = "val" if ref["split"] in spellings("val") else ref["split"]
            sentences = tuple(
                {"sent_id": first + said["sent_id"], "sent": said["sent"], "tokens": list(said["tokens"])}
                for said in ref["sentences"]
                if has_words(said["sent"])
            )
            refs.append(WrittenRef(image_id, ann_id, first + ref["ref_id"], split, source, sentences))
    return refs


def check_sentences(sentences: list[dict], where: str) -> None:
    """Raises ValueError for what are no sentences as the official files have them."""
    if not isinstance(sentences, list):
        raise ValueError(f"{where}: its sentences are {shown(sentences)}, expected a list")
    for said in sentences:
        require(said, ("sent_id", "sent", "tokens"), f"{where}, a sentence")
        if not isinstance(said["sent"], str) or type(said["sent_id"]) is not int:
            raise ValueError(f"{where}: a sentence is {shown(said)}, expected a text and a number")


def read_added(file: Path, photos: Mapping[int, Photo], sets: Sequence[PhotoSet] = SETS) -> Iterator[WrittenRef]:
    """
    The expressions of a file of JSON lines, all of them for training: `{"set": "coco_full", "image_id": 1, "ann_id": 2,
    "sentences": ["left guy"]}`, with the ids that the photo and the object have in their set.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: a line is no such object, or is about an object that its photo does not have.
    """
    sent_id = first = len(WRITTEN) * IDS_PER_FILE
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").split("\n")):  # U+2028 is a part of a text
        if not line.strip():
            continue
        where = f"{file}, line {number + 1}"
        try:
            ref = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where}: {error}") from None
        require(ref, ("set", "image_id", "ann_id", "sentences"), where)
        if not isinstance(ref["sentences"], list) or not all(isinstance(said, str) for said in ref["sentences"]):
            raise ValueError(f"{where}: sentences is {ref['sentences']!r}, expected a list of texts")
        image_id, ann_id = find_object(ref, photos, sets, where)
        said = [sentence for sentence in ref["sentences"] if has_words(sentence)]
        sentences = [{"sent_id": sent_id + n, "sent": sent, "tokens": sent.split()} for n, sent in enumerate(said)]
        sent_id += len(sentences)
        yield WrittenRef(image_id, ann_id, first + number, "train", ADDED, tuple(sentences))


def find_object(ref: Mapping, photos: Mapping[int, Photo], sets: Sequence[PhotoSet], where: str) -> tuple[int, int]:
    """
    The ids, in the collection, of a photo and of its object.

    Args:
        ref: `set`, `image_id` and `ann_id`, as they are in that set.
        where: in which file, for errors.

    Raises:
        ValueError: there is no such set, photo, or object.
    """
    offset_of = {photo_set.name.split("/")[-1]: photo_set.id_offset for photo_set in sets}
    name = ref["set"]
    if not isinstance(name, str) or name not in offset_of:
        raise ValueError(f"{where}: its set {name!r} is none of {sorted(offset_of)}")
    for key in ("image_id", "ann_id"):
        if type(ref[key]) is not int:
            raise ValueError(f"{where}: its {key} is {shown(ref[key])}, expected a number")
    image_id, ann_id = ref["image_id"] + offset_of[name], ref["ann_id"] + offset_of[name]
    photo = photos.get(image_id)
    if photo is None or all(thing.ann_id != ann_id for thing in photo.single_objects):
        raise ValueError(f"{where}: photo {ref['image_id']} of {name} has no annotation {ref['ann_id']}")
    return image_id, ann_id


def val2017_ids(raw: Path, sets: Sequence[PhotoSet] = SETS) -> set[int]:
    """The COCO ids of the photos of COCO's val2017, by the address that the files keep of each photo, `coco_url`."""
    coco = [CocoInstances(raw / photo_set.name / "instances.json") for photo_set in sets if photo_set.from_coco]
    return {
        image_id for one in coco for image_id, image in one.images.items() if "val2017" in (image.get("coco_url") or "")
    }


def evaluated_photos(raw: Path) -> list[PhotoFile]:
    """The photos of further evaluations, `EVALUATED`, as far as their folders are there."""
    photos = []
    for folder in (raw / name for name in EVALUATED):
        file = folder / "instances.json"
        if not file.is_file():
            logger.warning("%s is not there, so its photos are not kept out of the training photos", file)
            continue
        images = CocoInstances(file).images.items()
        photos += [PhotoFile(folder / "images" / image["file_name"], coco_id) for coco_id, image in images]
    return photos
