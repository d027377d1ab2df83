"""Made expressions for whole photos: what the engine says of each, as many as a training can use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...processing.images import load_image
from ..expressions.things import Thing
from ..schema import decode_mask
from .collection import Photo, WrittenRef
from .contacts import in_pieces
from .dialect import ORDER, Made, describe_group, describe_nothing, describe_thing, worth_saying
from .lexicon import CLOTHES
from .people import kind_in_captions, said_kind
from .scene import PhotoThing, Region, look_at

# Of each photo, at most: things that are spoken of, sentences for each, groups, and expressions of what is not there.
THINGS, SENTENCES, GROUPS, ABSENT, LOOK_ALIKES = 8, 4, 2, 1, 2
# Of the expressions that are drawn for a view.
GROUP_SHARE = 0.1
# Of the clothes of one person a few will do.
GARMENTS = 2


@dataclass(frozen=True)
class PeopleSaid:
    """What written sentences say about people, by photo and annotation. Only training sentences may be in it."""

    said: Mapping[tuple[int, int], tuple[str | None, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, written: Sequence[WrittenRef]) -> "PeopleSaid":
        return cls({(r.image_id, r.ann_id): tuple(said_kind(said["sent"]) for said in r.sentences) for r in written})


def see(photo: Photo, people: PeopleSaid) -> list[Thing]:
    """The scene of a photo; its first things are the objects of the photo, in their order."""
    pixels = np.asarray(load_image(photo.file, upright=False))
    alone = sum(thing.category == "person" for thing in photo.objects) == 1
    caption = kind_in_captions(photo.captions) if alone else None
    masks = [decode_mask(thing.rle) for thing in photo.objects]
    regions = [
        Region(
            thing.category,
            mask,
            thing.crowd or (photo.merged and in_pieces(mask)),
            (*people.said.get((photo.image_id, thing.ann_id), ()), *([caption] * (thing.category == "person"))),
        )
        for thing, mask in zip(photo.objects, masks, strict=True)
    ]
    return look_at(regions, pixels, photo.labeled)


def make_expressions(scene: Sequence[Thing], rng: np.random.Generator) -> list[list[Made]]:
    """
    Expressions for a scene, those of the same referents and type together.

    Things are chosen by category, so that a crowd of people does not drown the one dog.
    """
    groups: dict[tuple, list[Made]] = {}
    things = _by_category(worth_saying(scene), rng)
    garments = [thing for thing in things if thing.category in CLOTHES][:GARMENTS]
    things = [thing for thing in things if thing.category not in CLOTHES][:THINGS]
    for thing in [*things, *garments]:
        for _ in range(SENTENCES):
            _add(groups, describe_thing(scene, thing, rng))
        # few things are the second of anything, and to count is learned from these alone
        _add(groups, describe_thing(scene, thing, rng, ORDER))
    for _ in range(GROUPS):
        _add(groups, describe_group(scene, rng))
    for number in range(ABSENT + LOOK_ALIKES):
        _add(groups, describe_nothing(scene, rng, look_alike=number >= ABSENT))
    return list(groups.values())


def draw_expressions(scene: Sequence[Thing], rng: np.random.Generator, count: int) -> list[Made]:
    """`count` expressions of one thing or of several, at random; fewer where little can be told apart."""
    drawn: list[Made] = []
    things = _by_category(worth_saying(scene), rng)
    for number in range(count if things else 0):
        several = rng.random() < GROUP_SHARE
        made = describe_group(scene, rng) if several else describe_thing(scene, things[number % len(things)], rng)
        if made is not None and all(made.text != other.text for other in drawn):
            drawn.append(made)
    return drawn


def _add(groups: dict[tuple, list[Made]], made: Made | None) -> None:
    if made is None:
        return
    # Sentences about nothing are rows of their own: each asks for another thing.
    key = (made.referents, made.expression_type, made.asked if not made.referents else "")
    same = groups.setdefault(key, [])
    if all(made.text != other.text for other in same):
        same.append(made)


def _by_category(things: Sequence[PhotoThing], rng: np.random.Generator) -> list[PhotoThing]:
    """The things in an order that takes one of each category in turn, at random."""
    of_category: dict[str, list[PhotoThing]] = {}
    for index in rng.permutation(len(things)).tolist():
        of_category.setdefault(things[index].category, []).append(things[index])
    queues = [of_category[name] for name in sorted(of_category)]
    ordered = []
    while any(queues):
        for index in rng.permutation(len(queues)).tolist():
            if queues[index]:
                ordered.append(queues[index].pop())
    return ordered
