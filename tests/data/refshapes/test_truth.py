"""Every sentence is read back from its text alone and must mean the row's mask, strictly and loosely understood.

The reader below shares nothing with the generator: it has its own grammar, and its own geometry on the boxes of the
instances. `strict` holds only where nobody would say no, `loose` wherever somebody might say yes; a sentence passes if
both give the annotated referents.
"""

import re

import pytest

from hf_refseg.data import RefShapes, decode_mask, flip_row, union_masks

DIALECTS = ("refcoco", "refcocoplus", "refcocog", "phrasecut", "grefcoco")
NOUNS = {
    "circle": "circle disc",
    "square": "square box",
    "triangle": "triangle",
    "star": "star",
    "cross": "cross plus",
    "diamond": "diamond",
    "heart": "heart",
    "moon": "moon crescent",
    "anything": "shape object thing",
}
SINGULAR = {noun: category for category, nouns in NOUNS.items() for noun in nouns.split()}
PLURAL = {noun + ("es" if noun[-1] in "sx" else "s"): category for noun, category in SINGULAR.items()}
ADJECTIVES = {
    **{color: color for color in "red orange yellow green blue purple pink black".split()},
    **{"small": "small", "little": "small", "large": "large", "big": "large"},
    **{"plain": "plain", "solid": "plain", "striped": "striped", "dotted": "dotted"},
}
SIDES = {"left": "left", "right": "right", "top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom"}
EXTREMES = {
    "leftmost": "left",
    "rightmost": "right",
    "topmost": "top",
    "highest": "top",
    "bottommost": "bottom",
    "lowest": "bottom",
}
RELATION = re.compile(
    r"^(.+?) (?:(?:to the )?(left|right) of|(above)|(below|under|beneath)|(next to|near|close to)"
    r"|(?:with|has) the same (color|pattern) as) (.+)$"
)


def box_of(thing, size):
    return [side / size for side in thing["box"]]


def center(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def away(box, side):
    """Distance of the box's center from a side of the picture."""
    x, y = center(box)
    return {"left": x, "right": 1 - x, "top": y, "bottom": 1 - y}[side]


def in_region(box, region, loose):
    if region == "middle":
        return max(abs(c - 0.5) for c in center(box)) < (0.22 if loose else 0.13)
    return all(away(box, side) < (0.53 if loose else 0.37) for side in region.split())


def related(a, b, predicate, loose):
    """Is box a left of / right of / above / below / near box b?"""
    if predicate == "near":
        gaps = [max(a[i] - b[i + 2], b[i] - a[i + 2], 0) for i in (0, 1)]
        return (gaps[0] ** 2 + gaps[1] ** 2) ** 0.5 < (0.2 if loose else 0.11)
    axis, sign = {"left": (0, 1), "right": (0, -1), "above": (1, 1), "below": (1, -1)}[predicate]
    along = sign * (center(b)[axis] - center(a)[axis])
    across = abs(center(b)[1 - axis] - center(a)[1 - axis])
    gap = b[axis] - a[axis + 2] if sign > 0 else a[axis] - b[axis + 2]
    if loose:
        return along > 0 and (gap > 0 or along > 0.6 * across)
    return gap > 0 and across < 0.65 * along


class Reader:
    """Reads the noun phrases of one row's sentences against its instances."""

    def __init__(self, row, loose):
        self.things, self.size, self.loose = row["instances"], row["width"], loose

    def boxes(self, indices):
        return {i: box_of(self.things[i], self.size) for i in indices}

    def sentence(self, text):
        for opening in ("everything except ", "everything but ", "all shapes except "):
            if text.startswith(opening):
                excluded, _ = self.phrase(text.removeprefix(opening))
                assert len(excluded) == 1
                return set(range(len(self.things))) - excluded
        if " that " in text or " which " in text or " and " not in text:
            found, plural = self.phrase(text)
            assert len(found) >= 2 if plural else len(found) <= 1, f"{text!r} means {len(found)}"
            return found
        union = set()
        for part in text.split(" and "):
            found, plural = self.phrase(part)
            assert len(found) == 1 and not plural and not union & found, f"{part!r} in {text!r}"
            union |= found
        return union

    def phrase(self, text):
        """Indices meant by a phrase, and whether it is a plural."""
        head, _, clause = re.sub(r" which ", " that ", text).partition(" that ")
        if clause:
            found, plural = self.noun_phrase(head)
            for part in clause.split(" and "):
                verb, _, rest = part.partition(" ")
                if verb == "is" and rest in ADJECTIVES:
                    found = {i for i in found if rest in self.things[i]["attributes"]}
                else:
                    found &= self.relation(f"x {rest if verb == 'is' else part}")
            return found, plural
        match = RELATION.match(text)
        if match is None:
            return self.noun_phrase(text)
        found, plural = self.noun_phrase(match[1])
        return found & self.relation(text), plural

    def relation(self, text):
        """Everything that stands in the relation, whatever it is."""
        _, side, above, below, near, likeness, landmark_text = RELATION.match(text).groups()
        landmark, plural = self.noun_phrase(landmark_text)
        assert len(landmark) == 1 and not plural, f"{landmark_text!r} is not one thing"
        (landmark,) = landmark
        others = set(range(len(self.things))) - {landmark}
        if likeness:
            place = {"color": 2, "pattern": 1}[likeness]
            wanted = self.things[landmark]["attributes"][place]
            return {i for i in others if self.things[i]["attributes"][place] == wanted}
        predicate = side or ("above" if above else "below" if below else "near")
        boxes = self.boxes(range(len(self.things)))
        return {i for i in others if related(boxes[i], boxes[landmark], predicate, self.loose)}

    def noun_phrase(self, text):
        text = re.sub(r"^(all the|all|the two|the three|the four|both|two|three|four|the|an|a) ", "", text)
        text, location = self.cut_location(text)
        text = re.sub(r"^(.*) with stripes$", r"striped \1", text)
        text = re.sub(r"^(.*) with dots$", r"dotted \1", text)
        *adjectives, noun = text.split()
        category = SINGULAR.get(noun) or PLURAL[noun]
        wanted = {ADJECTIVES[adjective] for adjective in adjectives}
        found = {
            i
            for i, thing in enumerate(self.things)
            if category in ("anything", thing["category"]) and wanted <= set(thing["attributes"])
        }
        return (self.locate(found, *location) if location else found), noun in PLURAL

    @staticmethod
    def cut_location(text):
        """Split "the circle on the left" into its noun phrase and ("region", "left")."""
        for pattern, kind in (
            (r"^(.*) in the (.+ .+) corner$", "region"),
            (r"^(.*) furthest to the (left|right)$", "extreme"),
            (r"^(.*) second from (?:the )?(left|right)$", "second"),
            (r"^(.*) (?:on|at) (?:the )?(left|right|top|bottom)(?: side)?$", "region"),
            (r"^(.*) at ((?:top|bottom) (?:left|right))$", "region"),
            (r"^(.*) in the (?:middle|center)()$", "middle"),
        ):
            match = re.match(pattern, text)
            # "circle with stripes on the left": what is left of the text is parsed by the caller.
            if match:
                return match[1], (kind, match[2])
        words = text.split()
        if words[0] in EXTREMES:
            return " ".join(words[1:]), ("extreme", EXTREMES[words[0]])
        if words[0] in ("middle", "center"):
            return " ".join(words[1:]), ("middle", "")
        sides = [SIDES[word] for word in words[:2] if word in SIDES]
        return " ".join(words[len(sides) :]), ("region", " ".join(sides)) if sides else None

    def locate(self, found, kind, place):
        boxes = self.boxes(found)
        if kind in ("region", "middle"):
            return {i for i in found if in_region(boxes[i], place or "middle", self.loose)}
        order = sorted(found, key=lambda i: away(boxes[i], place))
        rank = int(kind == "second")
        assert len(order) >= rank + 2
        # Strictly, a rank only counts where its neighbors are at a distance.
        for first, second in zip(order[: rank + 1], order[1 : rank + 2], strict=True):
            assert away(boxes[second], place) - away(boxes[first], place) > 0.06
        return {order[rank]}


def check(row):
    expected = {i for i, thing in enumerate(row["instances"]) if thing["ann_id"] in row["ann_ids"]}
    for sentence in row["sentences"]:
        for loose in (False, True):
            found = Reader(row, loose).sentence(sentence["sent"])
            assert found == expected, f"{sentence['sent']!r} ({loose=}): {found}, annotated {expected}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_sentence_is_true_of_its_mask_and_of_nothing_else(dialect):
    for row in RefShapes(split="train", dialect=dialect, num_samples=300, seed=7):
        check(row)


@pytest.mark.parametrize("dialect", ("refcoco", "grefcoco"))
def test_a_flipped_row_is_still_true(dialect):
    swapped = 0
    for row in RefShapes(split="val", dialect=dialect, num_samples=100):
        flipped = flip_row(row)
        swapped += flipped["sentences"] != row["sentences"]
        check(flipped)
    assert swapped > 20


@pytest.mark.parametrize("size", (48, 256))
def test_the_truth_does_not_depend_on_the_size(size):
    for row in RefShapes(split="test", dialect="refcoco", size=size, num_samples=60):
        check(row)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_mask_is_the_union_of_the_referents_and_shapes_do_not_overlap(dialect):
    for row in RefShapes(split="val", dialect=dialect, num_samples=40):
        masks = [thing["mask"] for thing in row["instances"]]
        wanted = [thing["mask"] for thing in row["instances"] if thing["ann_id"] in row["ann_ids"]]
        assert row["mask"] == union_masks(wanted, row["height"], row["width"])
        assert row["boxes"] == [thing["box"] for thing in row["instances"] if thing["ann_id"] in row["ann_ids"]]
        assert sum(decode_mask(mask).astype(int) for mask in masks).max() == 1


@pytest.mark.parametrize("dialect", ("refcoco", "refcocog"))
def test_relational_sentences_need_their_relation(dialect):
    """Without the relation the words would fit several shapes; an ablation on relations would measure nothing else."""
    for row in RefShapes(dialect=dialect, num_samples=100, seed=1, expression_types=("relational",)):
        assert row["expression_type"] == "relational" and row["relations"]
        words = row["sentences"][0]["sent"]
        head = re.split(r" that | which ", words)[0] if dialect == "refcocog" else RELATION.match(words)[1]
        color = re.search(r"(?:that|which) is (\w+) and", words)
        found, _ = Reader(row, loose=False).noun_phrase(head)
        if color and color[1] in ADJECTIVES:
            found = {i for i in found if color[1] in row["instances"][i]["attributes"]}
        assert len(found) >= 2, words
