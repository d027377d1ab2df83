"""The words for what is seen in photos: which things a noun may mean, and how people say where something is.

Every word of made expressions about photos is in the tables of this file and in `coco_categories.NOUNS`.
"""

from ..coco_categories import NOUNS
from ..expressions.things import Verdict
from ..expressions.wording import Lexicon

# ---- What a noun may mean ----

# Other categories that people may call by a category's name, or that annotators confuse with it.
MAY_BE_CALLED: dict[str, frozenset[str]] = {
    name: frozenset(others.split(", "))
    for name, others in {
        "car": "truck",
        "truck": "car",
        "bench": "chair",
        "chair": "couch, bench",
        "couch": "chair",
        "cup": "bowl, wine glass, vase",
        "wine glass": "cup",
        "bowl": "cup",
        "vase": "bottle, cup, bowl, potted plant",
        "potted plant": "vase",
        "knife": "fork, spoon",
        "fork": "knife, spoon",
        "spoon": "knife, fork",
        "backpack": "handbag, suitcase",
        "handbag": "backpack, suitcase",
        "suitcase": "backpack, handbag",
        "skis": "snowboard",
        "snowboard": "skis",
        "keyboard": "laptop",
        "remote": "cell phone",
        "cell phone": "remote",
        "microwave": "oven, toaster",
        "oven": "microwave, toaster",
        "toaster": "microwave, oven",
        "sandwich": "hot dog, cake",
        "hot dog": "sandwich",
        "cake": "donut, sandwich",
        "donut": "cake",
        "apple": "orange",
        "orange": "apple",
        "bear": "teddy bear",
        # labels of clothes that overlap in meaning
        "bag": "purse, wallet",
        "purse": "bag, wallet",
        "coat": "jacket, blazer, cape, cardigan, suit",
        "jacket": "coat, blazer, vest, cardigan, suit, hoodie",
        "blazer": "coat, jacket, suit",
        "shirt": "blouse, t-shirt, top, sweater, jumper, sweatshirt, vest",
        "blouse": "shirt, t-shirt, top, sweater, jumper",
        "t-shirt": "shirt, blouse, top, sweatshirt",
        "sweater": "shirt, top, jumper, sweatshirt, cardigan, hoodie",
        "pants": "jeans, leggings, shorts, tights, suit",
        "jeans": "pants, leggings, shorts",
        "leggings": "pants, tights, stockings",
        "stockings": "tights, leggings, socks",
        "dress": "skirt, romper, top",
        "skirt": "dress",
        "shoes": "boots, heels, sandals, loafers, sneakers, pumps, flats, wedges",
        "boots": "shoes, heels",
        "sandals": "shoes, heels",
        "glasses": "sunglasses",
        "sunglasses": "glasses",
    }.items()
}
# Nouns for several categories: what they clearly mean, and what they may mean.
BROADER: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "bike": (frozenset({"bicycle", "motorcycle"}), frozenset()),
    "animal": (
        frozenset("bird cat dog horse sheep cow elephant bear zebra giraffe".split()),
        frozenset({"teddy bear"}),
    ),
    "luggage": (frozenset({"suitcase"}), frozenset({"backpack", "handbag"})),
    "board": (frozenset({"snowboard", "skateboard", "surfboard"}), frozenset({"skis"})),
    "fruit": (frozenset({"banana", "apple", "orange"}), frozenset({"carrot"})),
}
# Nouns of `coco_categories` that mean other things too, most of which COCO does not label.
TOO_BROAD = frozenset(
    "bike bag glass board sign meter watch monitor screen computer controller plant burger sausage disc dish seat "
    "basin human luggage table cattle bull lamb pony bat glove mitt kitten puppy jet ship".split()
)


def category_verdicts(kind: str) -> dict[str, Verdict]:
    """The categories that a kind of thing may have; of all others it clearly is none."""
    if kind in BROADER:
        clearly, perhaps = BROADER[kind]
        return dict.fromkeys(clearly, True) | dict.fromkeys(perhaps)
    return {kind: True} | dict.fromkeys(MAY_BE_CALLED.get(kind, ()))


# ---- People ----

# What is said of a person, and what that makes of other words: False what it can't be, the rest is unknown.
PEOPLE: dict[str, tuple[str, ...]] = {
    "man": ("man", "guy", "man", "guy", "dude"),
    "woman": ("woman", "lady", "woman"),
    "boy": ("boy",),
    "girl": ("girl",),
    "kid": ("kid", "child"),
    "baby": ("baby",),
}
CANNOT_BE: dict[str, frozenset[str]] = {
    "man": frozenset({"woman", "girl", "kid", "baby"}),
    "woman": frozenset({"man", "boy", "kid", "baby"}),
    "boy": frozenset({"woman", "girl"}),
    "girl": frozenset({"man", "boy"}),
    "kid": frozenset(),
    "baby": frozenset({"man", "woman"}),
}
# Other words of written sentences that say the same.
ALSO_SAID = {
    **{"guy": "man", "dude": "man", "gentleman": "man", "groom": "man", "dad": "man", "men": "man"},
    **{"lady": "woman", "bride": "woman", "mom": "woman", "child": "kid", "toddler": "kid", "infant": "baby"},
}
# People by what they are on or have: (what they are called, the relation, the things).
ROLES: dict[str, tuple[tuple[str, ...], str, frozenset[str]]] = {
    "rider": (("rider",), "on", frozenset({"horse", "bicycle", "motorcycle", "elephant"})),
    "motorcyclist": (("motorcyclist",), "on", frozenset({"motorcycle"})),
    "cyclist": (("cyclist",), "on", frozenset({"bicycle"})),
    "skier": (("skier",), "with", frozenset({"skis"})),
    "snowboarder": (("snowboarder",), "with", frozenset({"snowboard"})),
    "surfer": (("surfer",), "with", frozenset({"surfboard"})),
    "skater": (("skateboarder", "skater"), "with", frozenset({"skateboard"})),
    "tennis player": (("tennis player", "player"), "with", frozenset({"tennis racket"})),
    "batter": (("batter",), "with", frozenset({"baseball bat"})),
}

# Categories whose things have no color that tells them apart, or several.
UNCOLORED = frozenset(
    "person, zebra, giraffe, elephant, broccoli, carrot, orange, banana, pizza, donut, sandwich, hot dog, cake, fork, "
    "knife, spoon, wine glass, bottle, scissors, tv, laptop, book, clock, sink, toilet, oven, microwave, refrigerator, "
    "keyboard, mouse, remote, toaster, toothbrush, bicycle, motorcycle, potted plant, dining table, traffic light, "
    "stop sign, parking meter, cell phone, hair drier, tennis racket, baseball bat, baseball glove, sports ball, "
    "fire hydrant, bear, hair, sunglasses, glasses, watch, necklace, bracelet, ring, skis, kite".split(", ")
)

# Things of which photos often show one that nobody labeled, because their nouns mean more than COCO's category.
OFTEN_UNLABELED = frozenset(
    "dining table, potted plant, book, bottle, cup, chair, bowl, clock, tie, sports ball, bench, knife, spoon".split(
        ", "
    )
)
# "At the top" and "at the bottom" are said of what lies, hangs or flies, not of who stands at the back.
STACKED = frozenset(
    "bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, "
    "pizza, donut, cake, mouse, remote, keyboard, cell phone, book, vase, scissors, toothbrush, bird, kite, airplane, "
    "boat, clock, tv, suitcase, traffic light, umbrella, teddy bear, surfboard, skis, tie, sink, oven, "
    "cat".split(", ")
)

# ---- Look-alikes ----

# Things that look alike: a model that is asked for one and shown the other tends to take it.
LOOK_ALIKES: tuple[frozenset[str], ...] = (
    frozenset({"car", "truck", "bus", "train"}),
    frozenset({"bicycle", "motorcycle"}),
    frozenset({"dog", "cat", "bear", "teddy bear", "sheep"}),
    frozenset({"horse", "cow", "sheep", "zebra", "dog", "elephant", "giraffe"}),
    frozenset({"bird", "kite", "airplane"}),
    frozenset({"backpack", "handbag", "suitcase"}),
    frozenset({"skis", "snowboard", "skateboard", "surfboard"}),
    frozenset({"sports ball", "frisbee", "kite", "orange", "apple"}),
    frozenset({"bottle", "wine glass", "cup", "bowl", "vase"}),
    frozenset({"fork", "knife", "spoon", "toothbrush", "scissors"}),
    frozenset({"banana", "apple", "orange", "carrot", "broccoli"}),
    frozenset({"sandwich", "hot dog", "pizza", "donut", "cake"}),
    frozenset({"chair", "couch", "bench", "bed"}),
    frozenset({"dining table", "bench", "bed"}),
    frozenset({"potted plant", "vase", "broccoli"}),
    frozenset({"tv", "laptop", "cell phone", "remote", "keyboard", "mouse", "microwave", "book"}),
    frozenset({"microwave", "oven", "toaster", "refrigerator"}),
    frozenset({"sink", "toilet", "bowl"}),
    frozenset({"traffic light", "stop sign", "parking meter", "fire hydrant"}),
    frozenset({"clock", "frisbee", "stop sign"}),
    frozenset({"baseball bat", "tennis racket"}),
    frozenset({"baseball glove", "handbag"}),
    frozenset({"umbrella", "kite"}),
    frozenset({"boat", "surfboard", "airplane"}),
)


def look_alikes(category: str) -> frozenset[str]:
    """The COCO categories that look like `category`, itself included."""
    return frozenset({category}).union(*(group for group in LOOK_ALIKES if category in group))


# ---- How it is said ----

CLOTHES_WORN = frozenset(
    "coat jacket blazer shirt blouse t-shirt sweater sweatshirt hoodie cardigan jumper top vest suit cape dress romper "
    "skirt pants jeans shorts leggings tights stockings socks shoes boots heels sandals loafers sneakers pumps flats "
    "wedges".split()
)
CLOTHES_CARRIED = frozenset(
    "bag purse wallet hat scarf belt sunglasses glasses watch necklace bracelet ring gloves hair".split()
)
CLOTHES = CLOTHES_WORN | CLOTHES_CARRIED
ALWAYS_PLURAL = frozenset(
    "skis scissors pants jeans shorts leggings tights stockings socks shoes boots heels sandals loafers sneakers pumps "
    "flats wedges sunglasses glasses gloves".split()
)
PHOTO_NOUNS: dict[str | None, tuple[str, ...]] = {
    # a category's own name is what most people say
    **{
        category: (names[0], names[0], *kept) if (kept := [n for n in names if n not in TOO_BROAD]) else names[:1]
        for category, names in NOUNS.items()
    },
    **{kind: (kind,) for kind in BROADER},
    **{garment: (garment,) for garment in CLOTHES_WORN | CLOTHES_CARRIED},
    "person": ("person",),
    "dining table": ("table",),
    "potted plant": ("potted plant", "plant"),
    "sports ball": ("ball",),
    "baseball glove": ("baseball glove", "glove"),
    "baseball bat": ("baseball bat", "bat"),
    **PEOPLE,
    **{role: words for role, (words, _, _) in ROLES.items()},
    # a thing of the only kind that there are several of: "left one", "2nd from right"
    "one": ("one", "one", ""),
}
IRREGULAR = {
    **{"person": "people", "man": "men", "woman": "women", "child": "children", "knife": "knives", "sheep": "sheep"},
    **{"lady": "ladies", "baby": "babies", "puppy": "puppies", "bus": "buses", "toothbrush": "toothbrushes"},
    **{"luggage": "luggage", "broccoli": "broccoli", "aircraft": "aircraft", "": "", "mouse": "mice"},
    **{"teddy": "teddies", "fruit": "fruit", "sandwich": "sandwiches", "couch": "couches", "bench": "benches"},
    **{"wine glass": "wine glasses", "dress": "dresses", "watch": "watches", "toothbrush": "toothbrushes"},
}


def plural(noun: str) -> str:
    return noun if noun in ALWAYS_PLURAL else IRREGULAR.get(noun, f"{noun}s")


def _sides(side: str) -> dict[str, tuple[str, ...]]:
    there = (f"{{}} on {side}", f"{{}} on the {side}", f"{{}} {side}", f"{{}} on {side} side")
    near = (side, side, side, *there)
    far = (f"{side}most", f"far {side}", f"{{}} on far {side}", f"{{}} far {side}", f"{{}} furthest {side}")
    ranks = {
        f"{said} from {side}": (f"{{}} {said} from {side}", f"{said} {{}} from {side}", f"{{}} {said} from the {side}")
        for said in ("second", "third")
    }
    ranks[f"second from {side}"] += (f"2nd {{}} from {side}", f"{{}} 2nd from {side}")
    ranks[f"third from {side}"] += (f"3rd {{}} from {side}",)
    return {side: there, f"{side} one": near, f"{side}most": far, **ranks}


def _ends(end: str, over: str) -> dict[str, tuple[str, ...]]:
    there = (f"{{}} at {end}", f"{{}} at the {end}")
    return {end: there, f"{end} one": (end, over, *there), f"{end}most": (f"{end}most", f"{{}} at very {end}")}


def _corner(end: str, side: str, over: str) -> tuple[str, ...]:
    where = f"{end} {side}"
    return (where, f"{over} {side}", f"{{}} {where}", f"{{}} at {where}", f"{{}} in {where} corner")


PHOTO_WORDS = Lexicon(
    nouns=PHOTO_NOUNS,
    plurals={noun: plural(noun) for nouns in PHOTO_NOUNS.values() for noun in nouns},
    locations={
        **_sides("left"),
        **_sides("right"),
        **_ends("top", "upper"),
        **_ends("bottom", "lower"),
        "top left": _corner("top", "left", "upper"),
        "top right": _corner("top", "right", "upper"),
        "bottom left": _corner("bottom", "left", "lower"),
        "bottom right": _corner("bottom", "right", "lower"),
        "middle": ("{} in middle", "{} in the middle", "{} in center"),
        "middle one": ("middle", "center", "{} in middle", "{} in the middle", "{} in center"),
        "front one": ("front", "closest", "{} in front", "{} in front", "{} closest to us", "{} in foreground"),
        "back one": ("back", "farthest", "{} in back", "{} in the back", "{} in background", "{} farthest away"),
        "biggest": ("biggest", "big", "largest", "large"),
        "smallest": ("smallest", "small", "little"),
    },
    relations={
        "left of": ("left of", "to left of", "to the left of"),
        "right of": ("right of", "to right of", "to the right of"),
        "above": ("above", "over"),
        "below": ("below", "under"),
        "next to": ("next to", "by", "beside", "near"),
        "on": ("on",),
        "with": ("with",),
        "wearing": ("in", "wearing"),
        "of": ("of",),
    },
    counts={
        0: ("", "", "the", "all", "all the"),
        2: ("both", "the two", "two"),
        3: ("three", "the three", "all three"),
    },
    clothes=("{} in []", "{} in []", "{} wearing []"),
    denials=("not",),
    without_article=ALWAYS_PLURAL | {"broccoli", "hair", "luggage"},
)
