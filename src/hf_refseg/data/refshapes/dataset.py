"""RefShapes as a data set: any number of rows of `hf_refseg.data.schema`, made when they are asked for."""

import copy
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from ..expressions.statements import stated_fields
from ..expressions.wording import Wording, say
from ..rows import ReferringRows
from ..schema import OPTIONAL_FIELDS, row_features, text_rle, union_masks
from ..splits import find_split
from .dialects import DIALECTS, Described, Dialect, describe, draw_kind, vocabulary
from .drawing import draw
from .scene import CATEGORIES, COLORS, FURTHER_CATEGORIES, PATTERNS, RADII, SPLITS, SeenShape, Shape, sample_scene

NUM_SAMPLES = {"train": 20_000, "val": 1_000, "test": 1_000}
MIN_SIZE = 48
# Ids of the annotations and sentences of sample i start at i * ID_STRIDE.
ID_STRIDE = 16
# Further references to a scene have ids far above those of the samples.
EXTRA_REF_ID = 1 << 40
TRIES_PER_REF = 4


class RefShapes(ReferringRows):
    """Scenes of 3 to 7 shapes (category, color, size, pattern, position) with expressions that are true of their target
    and of nothing else in the picture.

    Sample i depends on (seed, split, dialect, size, expression_types, category_shares, i) alone: there is no state and
    no file, and it is the same in every process. Splits never overlap, not even with other seeds: the combination of
    shapes decides the split of a scene.

    Args:
        split: "train", "val" or "test".
        dialect: the real data set that the expressions imitate: "refcoco" (words of location allowed),
            "refcocoplus" (none), "refcocog" (long, relational), "phrasecut" (templates; all that fit), "grefcoco"
            (one, several or no target).
        size: side of the square picture in pixels, at least 48.
        num_samples: length; 20,000 for train, 1,000 for the others by default.
        seed: of the sequence of samples.
        expression_types: only these of the dialect's "attribute", "location" and "relational" (None: all). The
            location or relation of an expression is always needed: its attributes alone fit several shapes.
        refs_per_scene: how many references `by_image` asks each scene for.
        category_shares: how often each category is drawn, such as {"circle": 20, "oval": 1}; only these are. Other
            names than those of the eight of every scene are "oval", "rectangle", "pentagon" and "hexagon". None: the
            eight, all alike.

    Raises:
        ValueError: unknown split, dialect or expression type; too small a size; a negative seed or number of samples.

    Example:
        >>> row = RefShapes(split="val", dialect="refcocog")[0]
        >>> row["sentences"][0]["sent"], row["image"].size
    """

    def __init__(
        self,
        split: str = "train",
        dialect: str = "refcoco",
        size: int = 128,
        num_samples: int | None = None,
        seed: int = 0,
        expression_types: Sequence[str] | None = None,
        refs_per_scene: int = 1,
        category_shares: Mapping[str, float] | None = None,
    ):
        split = find_split(split, SPLITS, "RefShapes")
        if dialect not in DIALECTS:
            raise ValueError(f"Unknown dialect {dialect!r} of RefShapes; it has {list(DIALECTS)}.")
        if size < MIN_SIZE:
            raise ValueError(f"size={size} is too small to tell the shapes apart; use at least {MIN_SIZE}.")
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}.")
        num_samples = NUM_SAMPLES[split] if num_samples is None else num_samples
        if num_samples < 0:
            raise ValueError(f"num_samples must be 0 or more, got {num_samples}.")
        offered = DIALECTS[dialect].expression_types
        if isinstance(expression_types, str):
            raise ValueError(f"expression_types={expression_types!r}: give a list, [{expression_types!r}].")
        wanted = tuple(offered) if expression_types is None else tuple(expression_types)
        if not wanted or set(wanted) - set(offered):
            raise ValueError(f"expression_types={list(wanted)}: dialect {dialect!r} has {list(offered)}.")
        self.split, self.dialect, self.size, self.num_samples, self.seed = split, dialect, size, num_samples, seed
        self.expression_types = wanted
        if refs_per_scene < 1:
            raise ValueError(f"refs_per_scene={refs_per_scene}: give 1 or more.")
        if category_shares is not None:
            check_shares(category_shares)
        self.refs_per_scene, self.category_shares = refs_per_scene, category_shares
        self.source = f"refshapes/{dialect}"

    def __repr__(self) -> str:
        return f"RefShapes({', '.join(f'{name}={value!r}' for name, value in self._arguments().items())})"

    def _arguments(self) -> dict:
        names = ("split", "dialect", "size", "num_samples", "seed", "expression_types", "refs_per_scene")
        names = (*names, "category_shares")
        return {name: getattr(self, name) for name in names}

    def __len__(self) -> int:
        return self.num_samples

    def complete_row(self, index: int) -> dict:
        """The row of a sample with its picture and all optional fields of the schema; index in [0, len)."""
        return self.scene(index, 1)[0]

    def row(self, index: int) -> dict:
        return {name: value for name, value in self.complete_row(index).items() if name != "image"}

    def picture(self, index: int) -> Image.Image:
        return self.complete_row(index)["image"]

    def image_record(self, index: int) -> dict:
        name = f"refshapes_{self.dialect}_{self.split}_{self.seed}_{index:08d}.png"
        return {"image_id": index, "file_name": name, "height": self.size, "width": self.size}

    def instances_of(self, index: int) -> list[dict]:
        return self.complete_row(index)["instances"]

    @property
    def categories(self) -> list[str]:
        return list(CATEGORIES if self.category_shares is None else self.category_shares)

    @property
    def attribute_names(self) -> list[str]:
        """Sizes, patterns and colors."""
        return [*RADII, *PATTERNS, *COLORS]

    def vocabulary_texts(self) -> Iterator[str]:
        """Every word of the dialect: known without drawing a scene."""
        return iter(vocabulary(DIALECTS[self.dialect], self.categories))

    def by_image(self) -> Sequence[list[dict]]:
        """Up to `refs_per_scene` rows of each scene, see `scene`."""
        return Scenes(self)

    def take(self, count: int) -> "RefShapes":
        """A RefShapes of the first `count` samples, or of all where there are fewer.

        Raises:
            ValueError: a negative number.
        """
        rows = copy.copy(self)
        rows.num_samples = len(super().take(count))
        return rows

    def scene(self, index: int, num_refs: int) -> list[dict]:
        """Rows of several references to the scene of sample `index`: its own row, and up to `num_refs - 1` about
        something else in it, with their own `ref_id` and `sent_id`. There are fewer if the scene does not allow more.

        Raises:
            IndexError: the index is not in [-len, len).
        """
        if not -self.num_samples <= index < self.num_samples:
            raise IndexError(f"Sample {index} of a RefShapes with {self.num_samples} samples.")
        index = int(index) % self.num_samples
        entropy = [self.seed, SPLITS.index(self.split), zlib.crc32(self.dialect.encode()), self.size, index]
        rng = np.random.default_rng(np.random.SeedSequence(entropy))
        dialect = DIALECTS[self.dialect]
        # The kind is drawn before the scene, so that hard kinds are as frequent as the dialect asks.
        kind, target = self._draw_kinds(dialect, rng)
        while True:
            shapes = sample_scene(rng, self.split, self.category_shares)
            image, masks = draw(shapes, self.size, rng)
            encoded = coco_mask.encode(masks)
            boxes = [[x, y, x + w, y + h] for x, y, w, h in coco_mask.toBbox(encoded).tolist()]
            things = [_thing(shape, box, self.size) for shape, box in zip(shapes, boxes, strict=True)]
            described = describe(things, dialect, kind, target, rng)
            if described is not None:
                break
        rles, rows, meant = [text_rle(rle) for rle in encoded], [], []
        for _ in range(TRIES_PER_REF * num_refs):
            if described is not None and described.referents not in meant:
                meant.append(described.referents)
                wordings = list(
                    dict.fromkeys(say(described.expression, dialect.style, rng) for _ in range(dialect.wordings))
                )
                rows.append(
                    self._row(index, len(rows), Image.fromarray(image), things, rles, boxes, described, wordings)
                )
            if len(rows) == num_refs:
                break
            described = describe(things, dialect, *self._draw_kinds(dialect, rng), rng)
        return rows

    def _draw_kinds(self, dialect: Dialect, rng: np.random.Generator) -> tuple[str, str]:
        """What tells the referents from the rest, and how many there are."""
        kind = draw_kind({name: dialect.expression_types[name] for name in self.expression_types}, rng)
        return kind, draw_kind(dialect.targets, rng)

    def _row(self, index, number, image, things, rles, boxes, described: Described, wordings: list[Wording]) -> dict:
        first_id = index * ID_STRIDE
        categories = {things[i].category for i in described.referents}
        return {
            "image": image,
            **self.image_record(index),
            "ref_id": index + number * EXTRA_REF_ID,
            "ann_ids": [first_id + i for i in described.referents],
            "category": categories.pop() if len(categories) == 1 else "",
            "boxes": [boxes[i] for i in described.referents],
            "mask": union_masks([rles[i] for i in described.referents], self.size, self.size),
            "sentences": [
                {"sent_id": first_id + i + number * EXTRA_REF_ID, "sent": wording.text, "tokens": wording.text.split()}
                for i, wording in enumerate(wordings)
            ],
            "split": self.split,
            "source": self.source,
            **stated_fields(described.expression, wordings[0], things, [first_id + i for i in range(len(things))]),
            "expression_type": described.expression_type,
            "instances": [
                {
                    "ann_id": first_id + i,
                    "category": thing.category,
                    "attributes": [thing.size, thing.pattern, thing.color],
                    "box": boxes[i],
                    "mask": rles[i],
                }
                for i, thing in enumerate(things)
            ],
        }

    @staticmethod
    def vocabulary(dialect: str | None = None) -> list[str]:
        """Every word the expressions of a dialect (None: of any) can contain, sorted; lower case."""
        if dialect is not None and dialect not in DIALECTS:
            raise ValueError(f"Unknown dialect {dialect!r} of RefShapes; it has {list(DIALECTS)}.")
        names = DIALECTS if dialect is None else [dialect]
        return sorted({word for name in names for word in vocabulary(DIALECTS[name])})

    def to_iterable_dataset(self, num_shards: int = 16):
        """A stream ([`StreamedRows`], a `datasets.IterableDataset`) of the same rows in the same order.

        It has `num_shards` blocks of consecutive samples, which are divided among DataLoader workers and by
        `datasets.distributed.split_dataset_by_node`; choose a multiple of workers x processes.
        """
        from datasets import IterableDataset

        from ..streams import StreamedRows

        if num_shards < 1:
            raise ValueError(f"num_shards must be 1 or more, got {num_shards}.")
        bounds = np.linspace(0, self.num_samples, min(num_shards, max(self.num_samples, 1)) + 1).astype(int).tolist()
        shards = list(zip(bounds[:-1], bounds[1:], strict=True))
        stream = IterableDataset.from_generator(
            _encoded_rows,
            features=row_features(OPTIONAL_FIELDS),
            gen_kwargs={"arguments": self._arguments(), "shards": shards},
        )
        return StreamedRows(stream, self)

    def to_dataset(self, cache_dir: str | None = None):
        """A map-style `datasets.Dataset` of the same rows, written once as Arrow into the cache of `datasets`."""
        from datasets import Dataset

        return Dataset.from_generator(
            _rows,
            features=row_features(OPTIONAL_FIELDS),
            cache_dir=cache_dir,
            gen_kwargs={"arguments": self._arguments(), "shards": [(0, self.num_samples)]},
        )


class Scenes(Sequence):
    """The scenes of RefShapes, each with the rows of its references; see [`RefShapes.by_image`]."""

    def __init__(self, shapes: RefShapes):
        self.shapes = shapes

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> list[dict]:
        rows = self.shapes.scene(index, self.shapes.refs_per_scene)
        if self.shapes.with_pictures:
            return rows
        return [{name: value for name, value in row.items() if name != "image"} for row in rows]


def check_shares(shares: Mapping[str, float]) -> None:
    """Raises ValueError for a name that cannot be drawn, fewer than two, or a share that is not above 0."""
    known = [*CATEGORIES, *FURTHER_CATEGORIES]
    unknown = sorted(set(shares) - set(known))
    if unknown:
        raise ValueError(f"category_shares names {unknown}; RefShapes draws {known}.")
    if len(shares) < 2 or min(shares.values()) <= 0:
        raise ValueError(f"category_shares={dict(shares)}: give two categories or more, each with a share above 0.")


def _rows(arguments: dict, shards: list[tuple[int, int]]) -> Iterator[dict]:
    # `datasets` divides a list among the arguments between workers.
    shapes = RefShapes(**arguments)
    for start, stop in shards:
        for index in range(start, stop):
            yield shapes[index]


def _encoded_rows(arguments: dict, shards: list[tuple[int, int]]) -> Iterator[dict]:
    # A stream with features encodes every picture as PNG by default, which took longer than everything else.
    for row in _rows(arguments, shards):
        file = io.BytesIO()
        row["image"].save(file, "BMP")
        yield row | {"image": {"bytes": file.getvalue(), "path": None}}


def _thing(shape: Shape, box: list[float], size: int) -> SeenShape:
    x0, y0, x1, y1 = (side / size for side in box)
    return SeenShape(x0, y0, x1, y1, shape.category, shape.color, shape.size, shape.pattern)
