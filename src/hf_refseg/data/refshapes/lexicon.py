"""Every word that expressions about drawn shapes can contain."""

from ..expressions.wording import Lexicon

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
RELATION_WORDS = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above",),
    "below": ("below", "under", "beneath"),
    "next to": ("next to", "near", "close to"),
    "same color as": ("with the same color as",),
    "same pattern as": ("with the same pattern as",),
}
SHAPE_WORDS = Lexicon(
    nouns=NOUNS,
    plurals={
        noun: noun + ("es" if noun.endswith(("s", "x")) else "s") for synonyms in NOUNS.values() for noun in synonyms
    },
    sizes={"small": ("small", "little"), "large": ("large", "big")},
    patterns={"plain": ("plain", "solid"), "striped": ("striped",), "dotted": ("dotted",)},
    patterns_after={"striped": "with stripes", "dotted": "with dots"},
    locations={
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
    },
    relations=RELATION_WORDS,
    clauses={
        predicate: tuple(words.replace("with", "has") if "same" in predicate else f"is {words}" for words in synonyms)
        for predicate, synonyms in RELATION_WORDS.items()
    },
    counts={
        0: ("all", "all the"),
        2: ("two", "the two", "both"),
        3: ("three", "the three"),
        4: ("four", "the four"),
    },
    excluding=("everything except", "everything but", "all shapes except"),
)
