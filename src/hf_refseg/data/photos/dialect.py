"""Which expressions are tried on a photo: short ones in the manner of people, whose truth `semantics` decides.

Proposals are guesses. An expression is used only where every thing of the scene clearly fits or clearly does not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..coco_categories import NOUNS
from ..expressions.places import RANKS, REGIONS, SPATIAL
from ..expressions.semantics import denoted
from ..expressions.things import Expression, Phrase, Thing
from ..expressions.wording import Style, Wording, pick, say, words_of
from .colors import COLORS
from .contacts import inside, possible_contacts
from .lexicon import CLOTHES, OFTEN_UNLABELED, PEOPLE, PHOTO_WORDS, ROLES, STACKED, look_alikes
from .scene import PhotoThing

# One in seven begins with an article, as in RefCOCO's style of players in a hurry.
STYLE = Style(PHOTO_WORDS, articles=("",) * 6 + ("the",), landmark_articles=("", "the"), counts=True)
# Of the expressions of one thing whose type is not asked for.
TYPES = {"attribute": 0.3, "location": 0.4, "relational": 0.2, "negation": 0.1}
ORDER, ABSENT, LOOK_ALIKE, GROUP = "order", "absent", "look-alike", "group"
TRIES = 10
# What is smaller is not pointed at.
WORTH_SAYING, WORTH_MEASURING = 0.008, 0.03
# Nobody counts further in a throng.
MOST_RIVALS = 7
COUNTED = ("second from left", "second from right", "third from left", "third from right")
LOCATIONS = (
    *(f"{side} one" for side in ("left", "right") for _ in range(3)),
    *("left", "right", "left", "right", "top", "bottom", "top one", "bottom one", "middle", "middle one", "middle one"),
    *("top left", "top right", "bottom left", "bottom right", "leftmost", "rightmost"),
    *COUNTED,
    *("front one", "front one", "back one", "back one", "biggest", "smallest"),
)
# The eye measures the size of people by their age, not by their area.
UNSIZED = frozenset({"person", "broccoli", "carrot"})


@dataclass(frozen=True, slots=True)
class Made:
    """
    An expression that was made for a scene.

    Args:
        expression_type: what tells its referents from the rest; or "group", "absent", "look-alike".
        referents: numbers of things.
        asked: the kind of thing that its noun means.
    """

    expression: Expression
    wording: Wording
    expression_type: str
    referents: tuple[int, ...]
    asked: str

    @property
    def text(self) -> str:
        """In lower case with single spaces."""
        return " ".join(self.wording.text.split())


def describe_thing(
    scene: Sequence[Thing], target: PhotoThing, rng: np.random.Generator, expression_type: str | None = None
) -> Made | None:
    """An expression that means this thing alone; None if the guesses find none.

    Args:
        expression_type: one of `TYPES`, or `ORDER`; None: as often as `TYPES` says.
    """
    for _ in range(TRIES):
        kind = _pick_kind(target, rng)
        if kind is None:
            return None
        wanted = expression_type or pick(rng, _WEIGHTED_TYPES)
        phrase = _PROPOSE[wanted](scene, target, Phrase(category=kind), rng)
        if phrase is not None and denoted(phrase, scene) == {target.number}:
            return _made(phrase, wanted, (target.number,), rng)
    return None


def describe_group(scene: Sequence[Thing], rng: np.random.Generator) -> Made | None:
    """An expression that means several things, all of their kind or those that have something in common."""
    kinds = _kinds_of_several(scene)
    if not kinds:
        return None
    for _ in range(TRIES):
        phrase = Phrase(category=pick(rng, kinds), number=0)
        member = pick(rng, [thing for thing in scene if thing.fits(phrase)])
        draw = rng.random()
        if draw < 0.25:
            phrase = replace(phrase, location=pick(rng, [*REGIONS]))
        elif draw < 0.45:
            phrase = _with_color(member, phrase, rng) or phrase
        elif draw < 0.55:
            phrase = _propose_relation(scene, member, phrase, rng) or phrase
        found = denoted(phrase, scene)
        if found is not None and len(found) >= 2:
            exact = len(found) in PHOTO_WORDS.counts and rng.random() < (0.7 if len(found) == 2 else 0.4)
            return _made(replace(phrase, number=len(found) if exact else 0), GROUP, tuple(sorted(found)), rng)
    return None


def describe_nothing(scene: Sequence[Thing], rng: np.random.Generator, look_alike: bool) -> Made | None:
    """An expression that means nothing in the scene.

    Args:
        look_alike: it asks for something that looks like a thing of the scene, else for anything.
    """
    kinds = _look_alike_kinds(scene) if look_alike else [*NOUNS]
    # "dog on the left" of a dog on the right: people would rather correct the place than say that there is none.
    kinds = [kind for kind in kinds if kind not in OFTEN_UNLABELED and denoted(Phrase(kind), scene) == frozenset()]
    if not kinds:
        return None
    phrase, draw = Phrase(category=pick(rng, kinds)), rng.random()
    if phrase.category not in PEOPLE and draw < 0.3:
        phrase = replace(phrase, location=pick(rng, ("left", "right", "middle", "top left", "bottom right")))
    elif phrase.category not in PEOPLE and draw < 0.4:
        phrase = replace(phrase, color=pick(rng, ("red", "white", "black", "blue", "brown")))
    return _made(phrase, LOOK_ALIKE if look_alike else ABSENT, (), rng)


def worth_saying(scene: Sequence[Thing]) -> list[PhotoThing]:
    """The things that expressions may be made for: clearly something, and large enough."""
    return [thing for thing in scene if _pick_kinds(thing) and thing.extent >= WORTH_SAYING]


def vocabulary() -> list[str]:
    """Every word that made expressions can contain, sorted."""
    words = STYLE.lexicon
    texts = [noun for nouns in words.nouns.values() for noun in nouns]
    texts += [*words.plurals.values(), *COLORS, *words.denials, "a", "an", "the", "in", "that", "is", "without"]
    for table in (words.locations, words.relations, words.counts):
        texts += [text for said in table.values() for text in said]
    return sorted(words_of([*texts, *(template.replace("[]", "") for template in words.clothes)]))


def _made(phrase: Phrase, expression_type: str, referents: tuple[int, ...], rng: np.random.Generator) -> Made:
    expression = Expression((phrase,))
    return Made(expression, say(expression, STYLE, rng), expression_type, referents, phrase.category)


# ---- Nouns ----


def _pick_kinds(thing: Thing) -> list[str]:
    return [kind for kind in thing.known_kinds if thing.fits(Phrase(category=kind))]


def _pick_kind(thing: PhotoThing, rng: np.random.Generator) -> str | None:
    kinds = _pick_kinds(thing)
    if not kinds:
        return None
    # People are called men and women where that is known, and "person" else.
    said = [kind for kind in kinds if kind in PEOPLE or kind in ROLES]
    if said and rng.random() < 0.75:
        return pick(rng, said)
    broader = [kind for kind in kinds if kind not in (thing.category, *said)]
    if broader and rng.random() < 0.3:
        return pick(rng, broader)
    return thing.category if thing.category in kinds else pick(rng, kinds)


def _kinds_of_several(scene: Sequence[Thing]) -> list[str]:
    counts: dict[str, int] = {}
    for thing in worth_saying(scene):
        for kind in _pick_kinds(thing):
            if kind != "one":
                counts[kind] = counts.get(kind, 0) + 1
    return sorted(kind for kind, count in counts.items() if count >= 2)


def _look_alike_kinds(scene: Sequence[Thing]) -> list[str]:
    here = [thing for thing in worth_saying(scene) if thing.category in NOUNS]
    kinds = {kind for thing in here for kind in look_alikes(thing.category)} - {thing.category for thing in here}
    if any(thing.category == "person" for thing in here):
        kinds |= PEOPLE.keys()
    return sorted(kinds)


# ---- What is said beside the noun ----


def _propose_attribute(
    scene: Sequence[Thing], target: PhotoThing, phrase: Phrase, rng: np.random.Generator
) -> Phrase | None:
    return phrase if rng.random() < 0.4 else _with_color(target, phrase, rng)


def _with_color(target: PhotoThing, phrase: Phrase, rng: np.random.Generator) -> Phrase | None:
    worn = [color for color, verdict in target.clothes.items() if verdict]
    seen = [color for color, verdict in target.colors.items() if verdict]
    if worn:
        return replace(phrase, clothes=pick(rng, worn))
    return replace(phrase, color=pick(rng, seen)) if seen else None


def _propose_location(
    scene: Sequence[Thing], target: PhotoThing, phrase: Phrase, rng: np.random.Generator
) -> Phrase | None:
    if target.category in CLOTHES:
        return None
    if rng.random() < 0.2:
        phrase = _with_color(target, phrase, rng) or phrase
    fitting = sum(thing.fits(phrase) is not False for thing in scene)
    rivals = sum(thing.fits(phrase) is not False for thing in worth_saying(scene))
    for location in (pick(rng, LOCATIONS) for _ in range(8)):
        if location in ("biggest", "smallest") and (target.category in UNSIZED or target.extent < WORTH_MEASURING):
            continue
        if location.startswith(("top", "bottom")) and " " not in location.removesuffix(" one"):
            if target.category not in STACKED:
                continue
        # specks are nobody's "others"
        if location in RANKS and (rivals < RANKS[location].fewest or fitting > MOST_RIVALS):
            continue
        # Among several, "left" is where the others are not; a thing alone is on the left of the picture.
        if (fitting == 1) != (location in REGIONS) and not (location in REGIONS and " " in location):
            continue
        located = replace(phrase, location=location)
        if denoted(located, scene) == {target.number}:
            return located
    return None


def _propose_order(
    scene: Sequence[Thing], target: PhotoThing, phrase: Phrase, rng: np.random.Generator
) -> Phrase | None:
    """A place that is neither end of a row, so that it has to be counted."""
    if not 3 <= sum(thing.fits(phrase) is not False for thing in scene) <= MOST_RIVALS:
        return None
    for location in rng.permutation((*COUNTED, "middle one")).tolist():
        located = replace(phrase, location=location)
        if denoted(located, scene) == {target.number}:
            return located
    return None


def _propose_relation(
    scene: Sequence[Thing], target: PhotoThing, phrase: Phrase, rng: np.random.Generator
) -> Phrase | None:
    relations = list(_relations(scene, target, rng))
    return replace(phrase, relations=(pick(rng, relations),)) if relations else None


def _relations(scene: Sequence[Thing], target: PhotoThing, rng: np.random.Generator) -> Iterator[tuple[str, Phrase]]:
    """What the target is on or has, as often as where it is beside something else."""
    others = [thing for thing in scene if _pick_kinds(thing) and thing.number != target.number]
    contacts = [
        (predicate, _landmark(thing, rng))
        for thing in others
        for predicate, category in possible_contacts(target.category, {thing.category})
        if target.related(predicate, thing) is True
    ]
    yield from contacts
    beside = [thing for thing in others if thing.extent >= WORTH_SAYING and thing.category not in CLOTHES]
    for _ in range(min(len(beside), max(1, len(contacts)))):
        thing = pick(rng, beside)
        predicates = [predicate for predicate in SPATIAL if _beside(target, predicate, thing)]
        if predicates and target.category not in CLOTHES:
            yield pick(rng, predicates), _landmark(thing, rng)


def _go_together(category: str, other: str) -> bool:
    return bool(possible_contacts(category, {other}) or possible_contacts(other, {category}))


def _beside(target: PhotoThing, predicate: str, thing: PhotoThing) -> bool:
    """Whether people would say it so: a rider is not next to the horse, food not next to its bowl, a ball
    in front of a dog not below it."""
    if predicate in ("above", "below") and not {target.category, thing.category} <= STACKED:
        return False
    if predicate == "next to" and max(inside(target, thing), inside(thing, target)) > 0.5:
        return False
    if predicate == "next to" and target.touching.get(thing.number) and _go_together(target.category, thing.category):
        return False
    return target.related(predicate, thing) is True


def _landmark(thing: PhotoThing, rng: np.random.Generator) -> Phrase:
    kinds = [kind for kind in _pick_kinds(thing) if kind != "one"] or [thing.category]
    phrase = Phrase(category=pick(rng, kinds))
    colors = [color for color, verdict in thing.colors.items() if verdict]
    return replace(phrase, color=pick(rng, colors)) if colors and rng.random() < 0.4 else phrase


def _propose_negation(
    scene: Sequence[Thing], target: PhotoThing, phrase: Phrase, rng: np.random.Generator
) -> Phrase | None:
    """What the others of its kind have, and the target has not."""
    others = [thing for thing in scene if thing.fits(phrase) and thing.number != target.number]
    if not others:
        return None
    other = pick(rng, others)
    relations = [
        (predicate, Phrase(category=category))
        for predicate, category in possible_contacts(target.category, {thing.category for thing in worth_saying(scene)})
        if any(other.related(predicate, thing) for thing in scene if thing.fits(Phrase(category=category)))
    ]
    if relations and rng.random() < 0.5:
        return replace(phrase, without=Phrase(category=phrase.category, relations=(pick(rng, relations),)))
    colored = _with_color(other, Phrase(category=phrase.category), rng)
    if colored is not None and rng.random() < 0.7:
        return replace(phrase, without=colored)
    return replace(phrase, without=Phrase(category=phrase.category, location=pick(rng, ("left", "right"))))


_PROPOSE = {
    "attribute": _propose_attribute,
    "location": _propose_location,
    ORDER: _propose_order,
    "relational": _propose_relation,
    "negation": _propose_negation,
}
_WEIGHTED_TYPES = tuple(kind for kind, share in TYPES.items() for _ in range(round(share * 20)))
