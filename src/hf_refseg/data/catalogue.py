"""The published data sets: their names, where their official files are, their splits, and the counts they must have."""

from dataclasses import dataclass, field
from pathlib import Path

from .coco_images import load_coco_images
from .grefcoco import load_grefcoco_folder
from .phrasecut import load_phrasecut
from .refer import load_refer_folder
from .referit import PLACES, load_referit
from .rows import Counts, FileRows
from .splits import find_split

Figures = tuple[int | tuple[int, ...] | None, ...]  # of Counts; None if not published, several if releases differ


# The reader of each layout of official files.
READERS = {
    "refer": load_refer_folder,
    "grefcoco": load_grefcoco_folder,
    "referit": load_referit,
    "phrasecut": load_phrasecut,
    "coco": load_coco_images,
}
# In this order: a folder with refs and instances.json is read as refs.
PATTERNS = {
    "grefcoco": ["grefs*.p", "grefs*.json"],
    "refer": ["refs*.p", "refs*.json"],
    "phrasecut": ["refer_*.json"],
    "referit": [f"{place}/referit_query_*.json" for place in PLACES],
    "coco": ["instances*.json", "annotations/instances_*.json"],
}


def official_layout(folder: Path) -> str | None:
    """The key in `READERS` of the official files in a folder; None if there are none."""
    return next((layout for layout, globs in PATTERNS.items() if any(any(folder.glob(g)) for g in globs)), None)


class WrongArchiveError(ValueError):
    """The official files belong to another data set or partition."""


@dataclass(frozen=True)
class PublishedDataset:
    """One data set in one partition.

    Attributes:
        name: "refcoco_unc"; the configuration of the built data set.
        family: "refcoco"; all partitions of a family share a card.
        partition: "unc", "google", "umd", "berkeley"; None if there is only one.
        splits: {name in the built data set: official name}.
        published: {official split, or "all": (images, refs, sentences)}.
        counts_from: the source of these figures.
        fields: the optional fields of the schema that its rows have.
    """

    name: str
    family: str
    partition: str | None
    splits: dict[str, str]
    published: dict[str, Figures] = field(repr=False)
    counts_from: str = field(repr=False)
    fields: tuple[str, ...] = ()

    @property
    def layout(self) -> str:
        """Key of `READERS`."""
        return self.family if self.family in READERS else "refer"

    @property
    def source(self) -> str:
        """The field `source` of its rows: "refcoco/unc"."""
        return f"{self.family}/{self.partition}" if self.partition else self.family

    def folder(self, raw: Path) -> Path:
        """The folder of its files, given that folder or, as in the REFER API, the one above."""
        official = {"refcocoplus": "refcoco+"}.get(self.family, self.family)
        names = (official, self.family, "VGPhraseCut_v0") if self.family == "phrasecut" else (official, self.family)
        return next((raw / name for name in names if (raw / name).is_dir()), raw)

    def official_files(self, raw: Path) -> list[Path]:
        """Its annotation files, without ReferIt's masks, which have one file each."""
        folder = self.folder(raw)
        places = PLACES if self.layout == "referit" else (".",)
        found = {file for place in places for file in (folder / place).glob("*")}
        return sorted(file for file in found if file.suffix in (".json", ".p", ".txt"))

    def open(self, raw: str | Path, split: str | None = None, images: str | Path | bool | None = False, **more):
        """Rows of an official split.

        Args:
            raw: the folder of its official files, or the one above it.
            split: official name, e.g. "val"; None: all of them.
            images: folder of the pictures; None: the usual places; False: rows without pictures.
            more: other options of the layout's reader.
        """
        folder = self.folder(Path(raw))
        options = {} if self.partition is None or self.family == "grefcoco" else {"partition": self.partition}
        rows = READERS[self.layout](folder, split, images, **options, **more)
        rows.source = self.source
        return rows

    def open_splits(self, raw: str | Path) -> dict[str, FileRows]:
        """Rows without pictures of every official split. A file that holds several splits is read once."""
        if self.family == "phrasecut":
            return {split: self.open(raw, split) for split in self.splits.values()}
        rows = self.open(raw)
        unknown = sorted(set(rows.splits) - set(self.splits.values()))
        # RefCLEF marks some refs "testAB"; they belong to both testA and testB.
        if [split for split in unknown if not (split.startswith("test") and split[:5] in self.splits.values())]:
            found = {split: rows.of_split(split).counts() for split in sorted(rows.splits)}
            known = recognized(found)
            raise WrongArchiveError(
                f"{rows.file} has the splits {list(found)}, {self.name} has {list(self.splits.values())}: "
                + (f"these are the splits and counts of {known}; " if known else "")
                + f"give the archive of {self.name}."
            )
        return {split: rows.of_split(split) for split in self.splits.values()}

    def official_split(self, split: str) -> str:
        """The official name of a split: "val" for "validation".

        Raises:
            ValueError: there is no such split.
        """
        return self.splits[find_split(split, self.splits, self.name)]


UNC = {"train": "train", "validation": "val", "testA": "testA", "testB": "testB"}
PLAIN = {"train": "train", "validation": "val", "test": "test"}
TFDS = "images and refs: README of TensorFlow Datasets' ref_coco; "

_LIST = [
    PublishedDataset(
        *("refcoco_unc", "refcoco", "unc", UNC),
        {
            "train": (16_994, 42_404, 120_624),
            "val": (1_500, 3_811, 10_834),
            "testA": (750, 1_975, 5_657),
            "testB": (750, 1_810, 5_095),
            "all": (19_994, 50_000, 142_210),
        },
        TFDS + "sentences: FlagEval; totals: the REFER API's demo",
    ),
    PublishedDataset(
        *("refcoco_google", "refcoco", "google", PLAIN),
        {
            "train": (19_213, 40_000, None),
            "val": (4_559, 5_000, None),
            "test": (4_527, 5_000, None),
            "all": (19_994, 50_000, 142_210),
        },
        TFDS + "totals: the REFER API's demo",
    ),
    PublishedDataset(
        *("refcocoplus_unc", "refcocoplus", "unc", UNC),
        {
            "train": (16_992, 42_278, 120_191),
            "val": (1_500, 3_805, 10_758),
            "testA": (750, 1_975, 5_726),
            "testB": (750, 1_798, 4_889),
            "all": (19_992, 49_856, 141_564),
        },
        TFDS + "sentences per split from memory, their sum is the published total",
    ),
    PublishedDataset(
        *("refcocog_google", "refcocog", "google", {"train": "train", "validation": "val"}),
        {"train": (24_698, 44_822, 85_474), "val": (4_650, 5_000, 9_536)},
        TFDS + "sentences of val from memory",
    ),
    PublishedDataset(
        *("refcocog_umd", "refcocog", "umd", PLAIN),
        {
            "train": (21_899, 42_226, 80_512),
            "val": (1_300, 2_573, 4_896),
            "test": (2_600, 5_023, 9_602),
            "all": (25_799, 49_822, 95_010),
        },
        TFDS + "sentences from memory",
    ),
    PublishedDataset(
        *("refclef_berkeley", "refclef", "berkeley", PLAIN),
        {"all": (19_997, 99_296, 130_363)},
        "images: README of the REFER API; refs and sentences from memory",
    ),
    PublishedDataset(
        *("refclef_unc", "refclef", "unc", UNC | {"testC": "testC"}),
        {"all": (19_997, 99_296, 130_363)},
        "images: README of the REFER API; refs and sentences from memory",
    ),
    PublishedDataset(
        *("referit", "referit", None, PLAIN),
        {
            "train": (8_995, 44_649, 54_134),
            "val": (1_000, 4_866, 5_842),
            "test": (9_994, 49_730, 60_105),
            "all": (19_989, 99_245, 120_081),
        },
        "measured on text_objseg's files (20,000 images and 99,610 regions, of which 11 and 365 have no expression)",
        ("task_id",),
    ),
    PublishedDataset(
        *("phrasecut", "phrasecut", None, PLAIN | {"miniv": "miniv"}),
        {
            "train": (71_746, 310_816, 310_816),
            "val": (2_871, 19_495, 19_495),
            "test": (2_545, 14_354, 14_354),
            "miniv": (100, 821, 821),
        },
        "README of PhraseCutDataset since April 2020; its val, 2,971 images with 20,316 phrases, is val and miniv here",
        ("task_id", "coco_id", "relation_ids", "instance_masks", "polygons", "phrase_structure"),
    ),
    PublishedDataset(
        *("grefcoco", "grefcoco", "unc", UNC),
        {"all": (19_994, None, (278_232, 259_859))},
        "images and 278,232 sentences: the GRES paper, from memory; 259,859: users of the release (gRefCOCO issue 6)",
        ("instance_masks",),
    ),
]
DATASETS = {dataset.name: dataset for dataset in _LIST}


def find_dataset(name: str) -> PublishedDataset:
    """Raises ValueError for an unknown name, listing the known ones."""
    if name not in DATASETS:
        raise ValueError(f"Unknown data set {name!r}; known are {sorted(DATASETS)}.")
    return DATASETS[name]


def partitions_of(family: str) -> list[PublishedDataset]:
    return [dataset for dataset in DATASETS.values() if dataset.family == family]


def differing_counts(dataset: PublishedDataset, found: dict[str, Counts]) -> list[tuple[str, str]]:
    """(split, line) for every figure that is not the published one.

    Args:
        found: counts by official split, and of "all"; other splits are not compared.
    """
    lines = []
    for split, figures in dataset.published.items():
        for what, expected, number in zip(Counts._fields, figures, found.get(split, figures), strict=True):
            allowed = expected if isinstance(expected, tuple) else (expected,)
            if expected is not None and number not in allowed:
                said = " or ".join(f"{figure:,}" for figure in allowed)
                lines.append((split, f"{dataset.name} {split}: expected {said} {what}, found {number:,}"))
    return lines


def recognized(found: dict[str, Counts]) -> str | None:
    """The name of the data set with these splits and published counts, whatever the archive is called."""
    splits = found.keys() - {"all"}
    for dataset in DATASETS.values():
        published = dataset.published.keys() - {"all"}
        if published and published == splits and not differing_counts(dataset, found):
            return dataset.name
    return None
