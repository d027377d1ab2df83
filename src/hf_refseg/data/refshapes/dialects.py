"""The five dialects of RefShapes: what each imitates of a real data set, and how an expression is found for a scene.

Proposals are guesses. Only `semantics`, which looks at the whole scene, decides what a guess refers to.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..expressions.places import REGIONS
from ..expressions.semantics import denoted, matching, referents
from ..expressions.things import Expression, Phrase
from ..expressions.wording import PRONOUNS, Style, pick, words_of
from .lexicon import SHAPE_WORDS
from .scene import CATEGORIES, COLORS, SeenShape

EXPRESSION_TYPES = ("attribute", "location", "relational")
SPATIAL = ("left of", "right of", "above", "below", "next to")
ENDS = ("leftmost", "rightmost", "topmost", "bottommost", "second from left", "second from right")
PROPOSALS_PER_SCENE = 12


@dataclass(frozen=True, slots=True)
class Dialect:
    """expression_types and targets: the share of each kind (they sum to 1). wordings: sentences per referent,
    at most. relations: how many an expression may have."""

    expression_types: dict[str, float]
    targets: dict[str, float]
    style: Style
    predicates: tuple[str, ...]
    wordings: int = 3
    relations: int = 1
    lists: bool = False


DIALECTS = {
    "refcoco": Dialect(
        {"attribute": 0.35, "location": 0.45, "relational": 0.2},
        {"single": 1.0},
        Style(SHAPE_WORDS, articles=("", "", "the"), landmark_articles=("", "the")),
        SPATIAL,
    ),
    # Annotators of RefCOCO+ were not allowed words of location; of the relations, nearness and likeness remain.
    "refcocoplus": Dialect(
        {"attribute": 0.7, "relational": 0.3},
        {"single": 1.0},
        Style(SHAPE_WORDS, articles=("", "", "the"), landmark_articles=("", "the")),
        ("next to", "same color as", "same pattern as"),
    ),
    "refcocog": Dialect(
        {"attribute": 0.2, "relational": 0.8},
        {"single": 1.0},
        Style(SHAPE_WORDS, articles=("a", "the"), landmark_articles=("the",), clauses=True),
        (*SPATIAL, "same color as", "same pattern as"),
        wordings=2,
        relations=2,
    ),
    # PhraseCut's phrases are made from templates (attributes, name, relation) and refer to everything that fits.
    "phrasecut": Dialect(
        {"attribute": 0.65, "relational": 0.35},
        {"single": 0.6, "several": 0.4},
        Style(SHAPE_WORDS, articles=("",), landmark_articles=("",), modifiers_after=False),
        SPATIAL,
        wordings=1,
    ),
    "grefcoco": Dialect(
        {"attribute": 0.4, "location": 0.35, "relational": 0.25},
        {"single": 0.35, "several": 0.4, "none": 0.25},
        Style(SHAPE_WORDS, articles=("the", "the", ""), landmark_articles=("the",), counts=True),
        SPATIAL,
        lists=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Described:
    """An expression and the indices of the things that it refers to."""

    expression: Expression
    referents: tuple[int, ...]
    expression_type: str


def draw_kind(options: dict[str, float], rng: np.random.Generator) -> str:
    """A key of {kind: share}, at random."""
    draw = rng.random() * sum(options.values())
    for kind, share in options.items():
        draw -= share
        if draw < 0:
            return kind
    return kind


def describe(
    scene: Sequence[SeenShape], dialect: Dialect, expression_type: str, target: str, rng: np.random.Generator
) -> Described | None:
    """An expression of the wanted type that refers to exactly one thing ("single"), to "several" or to "none".

    Returns None if a few guesses did not find one: the scene may not have one, so take another scene.
    """
    for _ in range(PROPOSALS_PER_SCENE):
        if dialect.lists and target == "several" and expression_type != "relational" and rng.random() < 0.5:
            expression = _propose_list(scene, dialect, expression_type, rng)
        else:
            expression = _propose_phrase(scene, dialect, expression_type, target, rng)
        if expression is None:
            continue
        found = referents(expression, scene)
        if found is not None and _is_target(found, target, len(scene)):
            return Described(expression, tuple(sorted(found)), expression_type)
    return None


def _is_target(found: frozenset[int], target: str, scene_size: int) -> bool:
    if target == "several":
        return 2 <= len(found) < scene_size
    return len(found) == (target == "single")


def _propose_phrase(
    scene: Sequence[SeenShape], dialect: Dialect, expression_type: str, target: str, rng: np.random.Generator
) -> Expression | None:
    thing = pick(rng, scene)
    if expression_type == "attribute":
        phrase = _attributes(thing, rng, rich=True)
        if target == "none":
            phrase = _swap_one(phrase, scene, rng)
        variants = iter((phrase,))
    else:
        phrase = _attributes(thing, rng, rich=False)
        # If the attributes alone were enough, the location or relation would only be decoration.
        if len(matching(phrase, scene)) < 2:
            return None
        locate = _with_locations if expression_type == "location" else _with_relations
        variants = locate(phrase, scene, dialect, target, rng)
    for variant in variants:
        found = denoted(variant, scene)
        if found is not None and _is_target(found, target, len(scene)):
            return Expression((replace(variant, number=_number(len(found), dialect, rng)),))
    return None


def _number(found: int, dialect: Dialect, rng: np.random.Generator) -> int:
    if found < 2:
        return 1
    return found if dialect.style.counts and found in dialect.style.lexicon.counts and rng.random() < 0.5 else 0


def _attributes(thing: SeenShape, rng: np.random.Generator, rich: bool) -> Phrase:
    """A phrase that names some of a thing's attributes."""
    category, color, size, pattern = rng.random(4).tolist()
    return Phrase(
        category=thing.category if category < 0.87 else None,
        color=thing.color if color < (0.6 if rich else 0.35) else None,
        size=thing.size if size < (0.4 if rich else 0.2) else None,
        pattern=thing.pattern if pattern < (0.35 if rich else 0.15) else None,
    )


def _swap_one(phrase: Phrase, scene: Sequence[SeenShape], rng: np.random.Generator) -> Phrase:
    """Replaces one attribute by that of another thing: a mix of what the scene has that is not there itself."""
    name = pick(rng, [n for n in ("category", "color", "size", "pattern") if getattr(phrase, n)] or ["category"])
    return replace(phrase, **{name: getattr(pick(rng, scene), name)})


def _with_locations(
    phrase: Phrase, scene: Sequence[SeenShape], dialect: Dialect, target: str, rng: np.random.Generator
) -> Iterator[Phrase]:
    """The phrase with a location, a few of them in random order."""
    locations = [*REGIONS, *ENDS] if target == "single" else [*REGIONS]
    for index in rng.permutation(len(locations)).tolist()[:6]:
        yield replace(phrase, location=locations[index])


def _with_relations(
    phrase: Phrase, scene: Sequence[SeenShape], dialect: Dialect, target: str, rng: np.random.Generator
) -> Iterator[Phrase]:
    """The phrase with one or two relations to things that can be named, a few of them at random."""
    wanted = 2 if dialect.relations > 1 and rng.random() < 0.4 else 1
    for _ in range(6):
        relations = []
        for landmark in rng.permutation(len(scene)).tolist()[:wanted]:
            predicate = pick(rng, dialect.predicates)
            landmark_phrase = _attributes(scene[landmark], rng, rich=True)
            if predicate.startswith("same"):
                # "the star with the same color as the red heart" would tell the color.
                attribute = predicate.split()[1]
                landmark_phrase = replace(landmark_phrase, **{attribute: None})
                phrase = replace(phrase, **{attribute: None})
            if len(matching(landmark_phrase, scene)) == 1:
                relations.append((predicate, landmark_phrase))
        if len(relations) == wanted:
            yield replace(phrase, relations=tuple(relations))


def _propose_list(
    scene: Sequence[SeenShape], dialect: Dialect, expression_type: str, rng: np.random.Generator
) -> Expression | None:
    """ "the red circle and the small star", or everything except one of them."""
    if expression_type == "attribute" and rng.random() < 0.4:
        return Expression(excluded=_attributes(pick(rng, scene), rng, rich=True))
    phrases = []
    for kind in (expression_type, "attribute"):
        proposal = _propose_phrase(scene, dialect, kind, "single", rng)
        if proposal is None or proposal.phrases[0].location in ("second from left", "second from right"):
            return None  # these two can't be said in front of a noun
        phrases.append(proposal.phrases[0])
    return Expression(tuple(phrases))


def vocabulary(dialect: Dialect, categories: Iterable[str] = CATEGORIES) -> list[str]:
    """Every word that expressions of a dialect can contain about shapes of these categories, sorted."""
    style, lexicon = dialect.style, dialect.style.lexicon
    nouns = [noun for category in (*categories, None) for noun in lexicon.nouns[category]]
    texts = [*COLORS, *nouns, *style.articles, *style.landmark_articles]
    for table in (lexicon.sizes, lexicon.patterns):
        texts += [text for synonyms in table.values() for text in synonyms]
    relation_table = lexicon.clauses if style.clauses else lexicon.relations
    texts += [text for predicate in dialect.predicates for text in relation_table[predicate]]
    if style.modifiers_after:
        texts += lexicon.patterns_after.values()
    if style.clauses:
        texts += (*PRONOUNS, "is", "an", "and")
    if "location" in dialect.expression_types:
        texts += [text for synonyms in lexicon.locations.values() for text in synonyms]
    if "several" in dialect.targets:
        texts += [lexicon.plurals[noun] for noun in nouns]
    if style.counts:
        texts += [text for words in lexicon.counts.values() for text in words]
    if dialect.lists:
        texts += (*lexicon.excluding, "and")
    return sorted(words_of(texts))
