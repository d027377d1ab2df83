"""A photo as the semantics of expressions sees it: its things, and what is certain, impossible or unknown of each.

A region that was labeled as a crowd may be any number of things. A category that is not labeled in a photo may be
anywhere in it: the scene then has an unseen thing that may be of this category. Both make an expression undecidable
instead of wrong.
"""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from ..coco_categories import NOUNS
from ..expressions.places import SPATIAL
from ..expressions.things import Phrase, Thing, Verdict, any_of
from .colors import COLORS, color_shares, color_verdicts
from .contacts import CONTACTS, contacts
from .lexicon import CLOTHES, PEOPLE, PHOTO_NOUNS, ROLES, UNCOLORED, category_verdicts
from .people import people_verdicts

# Shares of the photo. What is smaller than VISIBLE is not spoken of. Beside something ten times as large of its
# category nobody counts it; otherwise it makes an expression undecidable.
VISIBLE, DWARFED_RATIO = 0.006, 0.1
# Nobody counts the passers-by behind a person this large.
MAIN_PERSON = 0.06
# What is larger belongs to what a photo shows.
PROMINENT = 0.01
# Colors of clothes that are not told from skin, patterns and bad light.
DOUBTFUL_CLOTHES = frozenset({"brown", "orange", "pink", "gray", "purple"})
EVERY_KIND = frozenset(kind for kind in PHOTO_NOUNS if kind is not None)
PERSON_KINDS = frozenset({"person", "one", *PEOPLE, *ROLES})


@dataclass(frozen=True)
class Region:
    """
    What is known of one region of a photo before it is looked at.

    Args:
        mask: (H, W) bool.
        crowd: whether it stands for several things.
        said: what sentences about a person said, see `people.said_kind`.
    """

    category: str
    mask: np.ndarray
    crowd: bool = False
    said: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class PhotoThing(Thing):
    """
    One region of a photo.

    Args:
        number: its place in the scene.
        category: its label.
        kinds: whether it may be called by the nouns of each kind; what is not in it, it clearly is not.
        colors, clothes: of each color, whether it has it, or wears it.
        area: share of the photo.
        dwarfed: something of its category is at least ten times as large.
        touching: by the number of another region, whether it touches it; regions that it does not touch are left out.
        touched_by_people: how many people may touch it.
    """

    number: int
    category: str
    kinds: Mapping[str, Verdict]
    colors: Mapping[str, Verdict]
    clothes: Mapping[str, Verdict]
    area: float
    dwarfed: bool
    touching: Mapping[int, Verdict] = field(default_factory=dict)
    touched_by_people: int = 0

    @property
    def extent(self) -> float:
        return self.area

    @property
    def known_kinds(self) -> list[str]:
        """What it may clearly be called."""
        return [kind for kind, verdict in self.kinds.items() if verdict]

    def fits(self, phrase: Phrase) -> Verdict:
        asked = [self.kinds.get(phrase.category, False)]
        if phrase.color is not None:
            asked.append(self.colors[phrase.color])
        if phrase.clothes is not None:
            asked.append(self.clothes[phrase.clothes])
        if False in asked:
            return False
        return None if None in asked or self.area < VISIBLE else True

    def overlooked(self, phrase: Phrase) -> bool:
        return phrase.number == 1 and self.area < VISIBLE and self.dwarfed

    def related(self, predicate: str, other: Thing) -> Verdict:
        if math.isnan(other.x0):
            return None
        return SPATIAL[predicate](self, other) if predicate in SPATIAL else CONTACTS[predicate](self, other)


@dataclass(frozen=True, slots=True)
class UnseenThing(Thing):
    """
    What may be in a photo without a label.

    Args:
        kinds: what it may be.
        passer_by: somebody much larger is in the photo, so that nobody would count it.
    """

    kinds: frozenset[str]
    passer_by: bool = False

    @property
    def known_kinds(self) -> list[str]:
        return []

    def fits(self, phrase: Phrase) -> Verdict:
        return None if phrase.category in self.kinds else False

    def overlooked(self, phrase: Phrase) -> bool:
        return self.passer_by and phrase.number == 1

    def related(self, predicate: str, other: Thing) -> Verdict:
        return None


def look_at(regions: Sequence[Region], pixels: np.ndarray, labeled: Collection[str]) -> list[Thing]:
    """
    The scene of a photo.

    Args:
        regions: what is annotated.
        pixels: (H, W, 3) uint8 RGB.
        labeled: the categories of which everything is annotated.

    Returns: one thing per region, in their order; then what may be there unseen.
    """
    areas = [float(region.mask.mean()) for region in regions]
    largest = {region.category: 0.0 for region in regions}
    for region, area in zip(regions, areas, strict=True):
        largest[region.category] = max(largest[region.category], area)
    touching = contacts([region.mask for region in regions])
    people = {i for i, region in enumerate(regions) if region.category == "person"}
    only_kind = _only_kind(regions, areas, labeled)
    things: list[PhotoThing] = []
    for number, (region, area) in enumerate(zip(regions, areas, strict=True)):
        box = _box(region.mask)
        kinds = _kinds(region, box, area)
        kinds["one"] = True if region.category == only_kind else None
        colors = color_verdicts({} if region.category in UNCOLORED else _shares(pixels, region.mask))
        if region.category in CLOTHES:
            colors = _of_clothes(colors)
        clothes = _clothes(pixels, region.mask, box, area) if region.category == "person" else dict.fromkeys(COLORS)
        if region.crowd:
            kinds = {kind: None for kind, verdict in kinds.items() if verdict is not False}
            colors = clothes = dict.fromkeys(COLORS)
        things.append(
            PhotoThing(
                *box,
                number=number,
                category=region.category,
                kinds=kinds,
                colors=colors,
                clothes=clothes,
                area=area,
                dwarfed=area <= DWARFED_RATIO * largest[region.category],
                touching=touching[number],
                touched_by_people=len(people & touching[number].keys()),
            )
        )
    things = [dataclasses.replace(thing, kinds={**thing.kinds, **_roles(thing, things)}) for thing in things]
    return [*things, *_unseen(labeled, max((areas[i] for i in people), default=0.0))]


def _box(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    if not len(rows):
        return (math.nan,) * 4
    height, width = mask.shape
    return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height


def _kinds(region: Region, box: tuple[float, ...], area: float) -> dict[str, Verdict]:
    kinds = dict(kinds_of(region.category))
    if region.category == "person":
        kinds |= people_verdicts(region.said)
        if _is_a_part(box, area) and not any(region.said):
            kinds = dict.fromkeys(kinds)
    return kinds


@cache
def kinds_of(category: str) -> dict[str, Verdict]:
    """What a thing of a category is or may be called, but for words that say more of a person."""
    verdicts = {kind: category_verdicts(kind) for kind in sorted(EVERY_KIND - (PERSON_KINDS - {"person"}))}
    return {kind: of_kind[category] for kind, of_kind in verdicts.items() if category in of_kind}


def _is_a_part(box: tuple[float, ...], area: float) -> bool:
    """A hand or an arm at the border of the photo: nobody would say "person"."""
    x0, y0, x1, y1 = box
    at_border = min(x0, y0, 1 - x1, 1 - y1) < 0.01
    return at_border and area < 0.05 and (y1 - y0 < 1.1 * (x1 - x0) or y1 - y0 < 0.25)


def _only_kind(regions: Sequence[Region], areas: Sequence[float], labeled: Collection[str]) -> str | None:
    """The category of all prominent things of a photo, if there are two or more of them: "left one" is one of these."""
    prominent = [region.category for region, area in zip(regions, areas, strict=True) if area >= PROMINENT]
    if len(prominent) < 2 or len(set(prominent)) > 1 or not set(NOUNS) <= set(labeled):
        return None
    return prominent[0]


def _shares(pixels: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    step = 2 if mask.sum() > 4_000 else 1
    return color_shares(pixels[::step, ::step][mask[::step, ::step]])


def _clothes(pixels: np.ndarray, mask: np.ndarray, box: tuple[float, ...], area: float) -> dict[str, Verdict]:
    """The color of the upper part of the body of somebody who stands, sits or is cut off below."""
    height, width = mask.shape
    x0, y0, x1, y1 = box
    tall = (y1 - y0) * height / max((x1 - x0) * width, 1e-9)
    if area < 0.015 or tall < 1.25:
        return dict.fromkeys(COLORS)
    top, bottom = (0.5, 0.9) if y1 > 0.97 and tall < 1.9 else (0.24, 0.46)
    rows = slice(round((y0 + top * (y1 - y0)) * height), round((y0 + bottom * (y1 - y0)) * height))
    inner = 0.2 * (x1 - x0)
    columns = slice(round((x0 + inner) * width), round((x1 - inner) * width))
    verdicts = color_verdicts(color_shares(pixels[rows, columns][mask[rows, columns]]))
    return _of_clothes(verdicts)


def _of_clothes(verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    return {color: None if color in DOUBTFUL_CLOTHES else verdict for color, verdict in verdicts.items()}


def _roles(thing: PhotoThing, things: Sequence[PhotoThing]) -> dict[str, Verdict]:
    """Riders and players, by what they are on or have."""
    if thing.category != "person" or thing.kinds.get("person") is None:
        return {role: None for role in ROLES if thing.category == "person"}
    roles: dict[str, Verdict] = {}
    for role, (_, predicate, categories) in ROLES.items():
        gear = [other for other in things if other.category in categories]
        roles[role] = any_of([CONTACTS[predicate](thing, other) for other in gear])
        # Who is not on a horse is no rider; but where there is a racket, anybody may be a player.
        if predicate == "with" and gear and roles[role] is False:
            roles[role] = None
    return roles


def _unseen(labeled: Collection[str], largest_person: float) -> list[UnseenThing]:
    nowhere = (math.nan,) * 4
    everything = frozenset(NOUNS) | CLOTHES
    missing = everything - set(labeled) - {"person"}
    kinds = {kind for category in missing for kind in kinds_of(category)}
    unseen = [UnseenThing(*nowhere, frozenset(kinds | {"one"}))] if missing & set(NOUNS) else []
    if not unseen and kinds:
        unseen = [UnseenThing(*nowhere, frozenset(kinds))]
    if "person" not in labeled:
        unseen.append(UnseenThing(*nowhere, PERSON_KINDS, passer_by=largest_person >= MAIN_PERSON))
    return unseen
