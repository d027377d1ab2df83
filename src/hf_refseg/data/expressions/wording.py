"""Words for logical forms. Which words there are, a `Lexicon` says; how they are put together, a `Style`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .semantics import INDEFINITE
from .things import Expression, Phrase

PRONOUNS = ("that", "which")


@dataclass(frozen=True)
class Lexicon:
    """
    The words for one kind of scene, several for each meaning.

    Args:
        nouns: of each category; those of None name a thing of any category.
        plurals: of each noun.
        locations: "{}" stands for the noun and its adjectives; without it the words go in front of them.
        relations: between a noun phrase and another one.
        clauses: the same with a verb ("is left of"), for relative clauses.
        clothes: "{}" stands for the noun, "[]" for the color of what it wears.
        counts: what goes before a plural: of 0 where the number is not said.
        excluding: what goes before the one thing that is not meant.
        denials: what goes between a noun phrase and what it is not.
        without_article: nouns that no "a" goes before.
    """

    nouns: Mapping[str | None, tuple[str, ...]]
    plurals: Mapping[str, str]
    locations: Mapping[str, tuple[str, ...]]
    relations: Mapping[str, tuple[str, ...]]
    counts: Mapping[int, tuple[str, ...]]
    sizes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patterns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patterns_after: Mapping[str, str] = field(default_factory=dict)
    clauses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    clothes: tuple[str, ...] = ()
    excluding: tuple[str, ...] = ()
    denials: tuple[str, ...] = ("not",)
    without_article: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Style:
    """
    How people speak in one data set.

    Args:
        lexicon: their words.
        articles: what may come before a singular phrase.
        landmark_articles: before the object of a relation.
        clauses: long relative clauses.
        counts: plural phrases say "all" or how many they are.
        modifiers_after: what may stand before the noun may also stand behind it.
    """

    lexicon: Lexicon
    articles: tuple[str, ...]
    landmark_articles: tuple[str, ...]
    clauses: bool = False
    counts: bool = False
    modifiers_after: bool = True

    @property
    def plain(self) -> "Style":
        """The same without clauses, and with all words before the noun. Landmarks are named so: words after their noun
        could be read as being about the referent."""
        return replace(self, clauses=False, modifiers_after=False)


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
        excluding = pick(rng, style.lexicon.excluding)
        return Wording(f"{excluding} {_say_phrase(expression.excluded, style, rng, 'the', before_only=True).text}")
    # "the circle and the star on the left": is the circle on the left? In a list nothing may follow a noun.
    several = len(expression.phrases) > 1
    phrases = tuple(
        _say_phrase(phrase, style, rng, pick(rng, style.articles), before_only=several) for phrase in expression.phrases
    )
    return Wording(" and ".join(phrase.text for phrase in phrases), phrases)


def _say_phrase(phrase: Phrase, style: Style, rng: np.random.Generator, article: str, before_only: bool) -> SaidPhrase:
    lexicon = style.lexicon
    before, after, clauses, relations = [], [], [], []
    if phrase.size:
        before.append(pick(rng, lexicon.sizes[phrase.size]))
    if phrase.pattern:
        if (
            phrase.pattern in lexicon.patterns_after
            and style.modifiers_after
            and not before_only
            and rng.random() < 0.35
        ):
            after.append(lexicon.patterns_after[phrase.pattern])
        else:
            before.append(pick(rng, lexicon.patterns[phrase.pattern]))
    if phrase.color:
        if style.clauses and rng.random() < 0.25:
            clauses.append(f"is {phrase.color}")
        else:
            before.append(phrase.color)
    noun = pick(rng, lexicon.nouns[phrase.category])
    noun = noun if phrase.number == 1 else lexicon.plurals[noun]
    words = " ".join([*before, noun, *after])
    if phrase.clothes:
        template = pick(rng, lexicon.clothes)
        words = template.replace("[]", phrase.clothes).format(words)
        after.append(phrase.clothes)
    if phrase.location:
        templates = lexicon.locations[phrase.location]
        template = pick(rng, [t for t in templates if "{" not in t] if before_only else templates)
        if "{" in template:
            words = template.format(words)
            after.append(template.replace("{} ", ""))
        else:
            words = f"{template} {words}"
            before.insert(0, template)
    attributes = (*reversed(before), *after, *clauses)
    for predicate, landmark in phrase.relations:
        other = _say_landmark(predicate, landmark, style, rng)
        said = pick(rng, (lexicon.clauses if style.clauses else lexicon.relations)[predicate])
        relations.append((said, other))
        if style.clauses:
            clauses.append(f"{said} {other}")
        else:
            words += f" {said} {other}"
    if phrase.without is not None:
        words += f" {_say_denial(phrase.without, style, rng)}"
    if clauses:
        words += f" {pick(rng, PRONOUNS)} {' and '.join(clauses)}"
    if phrase.number != 1:
        article = pick(rng, lexicon.counts[phrase.number]) if style.counts else ""
    elif article == "a":
        article = _indefinite(words)
    return SaidPhrase(f"{article} {words}".strip(), noun, attributes, tuple(relations))


def _say_landmark(predicate: str, landmark: Phrase, style: Style, rng: np.random.Generator) -> str:
    if predicate not in INDEFINITE:
        return _say_phrase(landmark, style.plain, rng, pick(rng, style.landmark_articles), before_only=True).text
    said = _say_phrase(landmark, style.plain, rng, "", before_only=True)
    article = "" if said.name in style.lexicon.without_article else pick(rng, ("", "a"))
    return f"{_indefinite(said.text) if article else ''} {said.text}".strip()


def _say_denial(without: Phrase, style: Style, rng: np.random.Generator) -> str:
    """What a thing is not: "without umbrella", "not in red", "not on the left".

    Raises ValueError where that is none of these, or more than one of them.
    """
    said = (without.relations, without.location, without.clothes, without.color)
    if sum(map(bool, said)) != 1 or len(without.relations) > 1 or without.size or without.pattern:
        raise ValueError(f"{without} can't be denied in words: give it one relation, location or color, and no more")
    denial = pick(rng, style.lexicon.denials)
    if without.relations:
        ((predicate, landmark),) = without.relations
        other = _say_landmark(predicate, landmark, style, rng)
        return f"without {other}" if predicate in ("with", "wearing") else f"{denial} {predicate} {other}"
    if without.location:
        afterwards = [t for t in style.lexicon.locations[without.location] if t.startswith("{} on")]
        return f"{denial} {pick(rng, afterwards).removeprefix('{} ')}"
    return f"{denial} in {without.clothes}" if without.clothes else f"that is not {without.color}"


def _indefinite(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"


def words_of(texts: Iterable[str]) -> set[str]:
    """Every word of some templates."""
    return {word for text in texts for word in text.replace("{}", " ").split()}
