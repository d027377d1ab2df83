"""Words for logical forms: every word of RefShapes is in the tables of this file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .semantics import Expression, Phrase

NOUNS = {
    "circle": ("circle", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "cross": ("cross", "plus"),
    "diamond": ("diamond",),
    "heart": ("heart",),
    "moon": ("moon", "crescent"),
    "oval": ("oval", "ellipse"),
    "rectangle": ("rectangle",),
    "pentagon": ("pentagon",),
    "hexagon": ("hexagon",),
    None: ("shape", "object", "thing"),
}
PLURALS = {
    noun: noun + ("es" if noun.endswith(("s", "x")) else "s") for synonyms in NOUNS.values() for noun in synonyms
}
SIZE_WORDS = {"small": ("small", "little"), "large": ("large", "big")}
PATTERN_WORDS = {"plain": ("plain", "solid"), "striped": ("striped",), "dotted": ("dotted",)}
PATTERN_AFTER = {"striped": "with stripes", "dotted": "with dots"}

# "{}" stands for the noun and its adjectives; without it the words go in front of them.
LOCATION_WORDS = {
    "left": ("left", "{} on the left", "{} on left", "{} on the left side"),
    "right": ("right", "{} on the right", "{} on right", "{} on the right side"),
    "top": ("top", "upper", "{} at the top", "{} at top"),
    "bottom": ("bottom", "lower", "{} at the bottom", "{} at bottom"),
    "middle": ("middle", "center", "{} in the middle", "{} in the center"),
    "top left": ("top left", "upper left", "{} in the top left corner", "{} at top left"),
    "top right": ("top right", "upper right", "{} in the top right corner", "{} at top right"),
    "bottom left": ("bottom left", "lower left", "{} in the bottom left corner", "{} at bottom left"),
    "bottom right": ("bottom right", "lower right", "{} in the bottom right corner", "{} at bottom right"),
    "leftmost": ("leftmost", "{} furthest to the left"),
    "rightmost": ("rightmost", "{} furthest to the right"),
    "topmost": ("topmost", "highest"),
    "bottommost": ("bottommost", "lowest"),
    "second from left": ("{} second from left", "{} second from the left"),
    "second from right": ("{} second from right", "{} second from the right"),
}
RELATION_WORDS = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above",),
    "below": ("below", "under", "beneath"),
    "next to": ("next to", "near", "close to"),
    "same color as": ("with the same color as",),
    "same pattern as": ("with the same pattern as",),
}
# In a clause ("the star that ...") each relation needs its verb.
RELATION_CLAUSES = {
    predicate: tuple(words.replace("with", "has") if "same" in predicate else f"is {words}" for words in synonyms)
    for predicate, synonyms in RELATION_WORDS.items()
}
PRONOUNS = ("that", "which")
NUMBER_WORDS = {
    0: ("all", "all the"),
    2: ("two", "the two", "both"),
    3: ("three", "the three"),
    4: ("four", "the four"),
}
EXCLUDING = ("everything except", "everything but", "all shapes except")


@dataclass(frozen=True, slots=True)
class Style:
    """The style of a dialect. articles: what may come before a singular phrase; landmark_articles: before the object
    of a relation; clauses: long relative clauses; counts: plural phrases say "all" or how many they are."""

    articles: tuple[str, ...]
    landmark_articles: tuple[str, ...]
    clauses: bool = False
    counts: bool = False
    modifiers_after: bool = True


def pick(rng: np.random.Generator, options: Sequence):
    """One of the options, at random (`rng.choice` is twenty times slower)."""
    return options[int(rng.random() * len(options))]


@dataclass(frozen=True, slots=True)
class SaidPhrase:
    """
    A phrase in words, and the parts that its words are.

    Args:
        text: all of it, in lower case with single spaces.
        name: the noun.
        attributes: what is said beside it, from the noun to the front and then to the back, as PhraseCut lists them.
        relations: pairs of a predicate and the words for the other thing.
    """

    text: str
    name: str
    attributes: tuple[str, ...]
    relations: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """An expression in words, in lower case with single spaces, and its phrases; "everything except ..." has none."""

    text: str
    phrases: tuple[SaidPhrase, ...] = ()


def say(expression: Expression, style: Style, rng: np.random.Generator) -> Wording:
    """One of the ways to word an expression."""
    if expression.excluded is not None:
        excluding = pick(rng, EXCLUDING)
        return Wording(f"{excluding} {_say_phrase(expression.excluded, style, rng, 'the', before_only=True).text}")
    # "the circle and the star on the left": is the circle on the left? In a list nothing may follow a noun.
    several = len(expression.phrases) > 1
    phrases = tuple(
        _say_phrase(phrase, style, rng, pick(rng, style.articles), before_only=several) for phrase in expression.phrases
    )
    return Wording(" and ".join(phrase.text for phrase in phrases), phrases)


def _say_phrase(phrase: Phrase, style: Style, rng: np.random.Generator, article: str, before_only: bool) -> SaidPhrase:
    before, after, clauses, relations = [], [], [], []
    if phrase.size:
        before.append(pick(rng, SIZE_WORDS[phrase.size]))
    if phrase.pattern:
        if phrase.pattern in PATTERN_AFTER and style.modifiers_after and not before_only and rng.random() < 0.35:
            after.append(PATTERN_AFTER[phrase.pattern])
        else:
            before.append(pick(rng, PATTERN_WORDS[phrase.pattern]))
    if phrase.color:
        if style.clauses and rng.random() < 0.25:
            clauses.append(f"is {phrase.color}")
        else:
            before.append(phrase.color)
    noun = pick(rng, NOUNS[phrase.category])
    noun = noun if phrase.number == 1 else PLURALS[noun]
    words = " ".join([*before, noun, *after])
    if phrase.location:
        templates = LOCATION_WORDS[phrase.location]
        template = pick(rng, [t for t in templates if "{" not in t] if before_only else templates)
        if "{" in template:
            words = template.format(words)
            after.append(template.replace("{} ", ""))
        else:
            words = f"{template} {words}"
            before.insert(0, template)
    attributes = (*reversed(before), *after, *clauses)
    for predicate, landmark in phrase.relations:
        other = _say_phrase(landmark, PLAIN, rng, pick(rng, style.landmark_articles), before_only=True).text
        said = pick(rng, (RELATION_CLAUSES if style.clauses else RELATION_WORDS)[predicate])
        relations.append((said, other))
        if style.clauses:
            clauses.append(f"{said} {other}")
        else:
            words += f" {said} {other}"
    if clauses:
        words += f" {pick(rng, PRONOUNS)} {' and '.join(clauses)}"
    if phrase.number != 1:
        article = pick(rng, NUMBER_WORDS[phrase.number]) if style.counts else ""
    elif article == "a":
        article = "an" if words[0] in "aeiou" else "a"
    return SaidPhrase(f"{article} {words}".strip(), noun, attributes, tuple(relations))


# Landmarks are named as simply as possible: words after their noun could be read as being about the referent.
PLAIN = Style(articles=("the",), landmark_articles=("the",), modifiers_after=False)


def words_of(texts: Iterable[str]) -> set[str]:
    """Every word of some templates."""
    return {word for text in texts for word in text.replace("{}", " ").split()}
