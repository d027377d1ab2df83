"""Statistics of built data sets, with the columns of table 1 in PhraseCut's paper and a few more.

The Parquet files are read by column and by batch; no mask is decoded and no cache is written.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow
import pyarrow.parquet
from pycocotools import mask as coco_mask
from tqdm import tqdm

from .cards import family_page

COLUMNS = ("image_id", "ann_ids", "boxes", "category", "mask", "sentences")

# The figures in PhraseCut's paper: images, instances, categories, several instances, masks, style.
PUBLISHED_COMPARISON = {
    "referit": ("ReferIt", 19_894, 96_654, None, False, True, "short phrases"),
    "refcocog": ("Google RefExp", 26_711, 54_822, 80, False, True, "long descriptions"),
    "refcoco": ("RefCOCO", 19_994, 50_000, 80, False, True, "short phrases"),
    "phrasecut": ("VGPhraseCut", 77_262, 345_486, 3_103, True, True, "templated phrases"),
}
# Why a correct build differs from these figures.
KNOWN_DIFFERENCES = {
    "referit": "the paper of ReferItGame; the files that are used list 99,610 regions on 20,000 images, 99,245 on "
    "19,989 with expressions",
    "refcocog": "the whole Google set with its unreleased test part; released are 49,822 on 25,799 images",
    "phrasecut": 'its "instances" are phrases, of one instance or several',
}


@dataclass
class Statistics:
    """The statistics of one split, or of several together.

    Attributes:
        rows: referents (PhraseCut: phrases; gRefCOCO: also the refs without a target).
        sentences, words: expressions, and their words, separated by blanks.
        instances: boxes of all rows.
        objects: different annotations that the rows refer to.
        multi_instance, no_target: rows with several boxes, rows with none.
        masked: rows whose mask is not empty.
        empty_masks: rows with a target but an empty mask; the official evaluations keep them.
    """

    images: set = field(default_factory=set, repr=False)
    objects: set = field(default_factory=set, repr=False)
    categories: set = field(default_factory=set, repr=False)
    rows: int = 0
    sentences: int = 0
    words: int = 0
    instances: int = 0
    multi_instance: int = 0
    no_target: int = 0
    masked: int = 0
    empty_masks: int = 0

    def add(self, row: dict) -> None:
        """Counts a row, which needs the fields in `COLUMNS`."""
        boxes = len(row["boxes"])
        area = int(coco_mask.area(row["mask"] | {"counts": row["mask"]["counts"].encode("ascii")}))
        self.images.add(row["image_id"])
        self.objects.update((row["image_id"], ann_id) for ann_id in row["ann_ids"])
        self.categories.update([row["category"]] if row["category"] else [])
        self.rows += 1
        self.sentences += len(row["sentences"])
        self.words += sum(len(sentence["sent"].split()) for sentence in row["sentences"])
        self.instances += boxes
        self.multi_instance += boxes > 1
        self.no_target += boxes == 0
        self.masked += area > 0
        self.empty_masks += boxes > 0 and area == 0

    def __or__(self, other: "Statistics") -> "Statistics":
        """Both together; an image in both counts once."""
        return Statistics(
            **{
                name: value | getattr(other, name) if isinstance(value, set) else value + getattr(other, name)
                for name, value in vars(self).items()
            }
        )

    def figures(self) -> dict[str, int | float]:
        """Plain numbers: the sizes of the sets, and words per sentence."""
        figures = {name: len(value) if isinstance(value, set) else value for name, value in asdict(self).items()}
        return figures | {"words_per_sentence": round(self.words / self.sentences, 2) if self.sentences else 0.0}


def statistics(files: Sequence[Path], progress: str | None = None) -> Statistics:
    """Statistics of Parquet files with rows of the schema.

    Args:
        progress: label of a progress bar; None: no bar.

    Raises:
        ValueError: a file is damaged.
    """
    total = Statistics()
    count = sum(_rows_of(file) for file in files)
    for row in tqdm(_rows(files), progress, total=count, unit="row", leave=False, disable=progress is None):
        total.add(row)
    return total


def _rows_of(file: Path) -> int:
    try:
        return pyarrow.parquet.read_metadata(file).num_rows
    except pyarrow.ArrowException as error:
        raise ValueError(f"{file} is not a complete Parquet file ({error}): delete it and build again.") from error


def _rows(files: Iterable[Path]) -> Iterator[dict]:
    for file in files:
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(1_000, columns=list(COLUMNS)):
            yield from batch.to_pylist()


def split_files(folder: Path) -> dict[str, list[Path]]:
    """The shards of each split in the folder of one configuration, {split: files in order}."""
    splits: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("*.parquet")):
        splits.setdefault(file.name.rsplit("-", 3)[0], []).append(file)
    return splits


def comparison_table(folders: Iterable[Path], progress: bool = True) -> str:
    """A Markdown table of built data sets beside the published figures, one line per split and one for all splits.

    Args:
        folders: as `dataset_scripts/build_*.py` writes them.

    Raises:
        FileNotFoundError: a folder holds no complete build.
    """
    lines = [
        "| data set | split | images | instances | objects | categories | multi-instance | no target | segmentation "
        "| sentences | words | phrase style |",
        "|" + "---|" * 12,
    ]
    notes = []
    for folder in folders:
        state = folder / "build.json"
        if not state.is_file():
            raise FileNotFoundError(f"{state} is missing: {folder} was not built by dataset_scripts/build_*.py.")
        report = json.loads(state.read_text(encoding="utf-8"))
        if not report["complete"]:
            raise FileNotFoundError(f"the build in {folder} is not complete; run its command again to resume it.")
        family = report["identity"]["family"]
        style = family_page(family).phrase_style
        for name in report["identity"]["names"]:
            total = Statistics()
            for split, files in split_files(folder / name).items():
                found = statistics(files, f"{name} {split}" if progress else None)
                lines.append(_line(name, split, found, style))
                total |= found
            lines.append(_line(name, "all", total, style))
        if family in PUBLISHED_COMPARISON:
            lines.append(_published_line(*PUBLISHED_COMPARISON[family]))
        if family in KNOWN_DIFFERENCES:
            notes.append(f"{PUBLISHED_COMPARISON[family][0]}, published: {KNOWN_DIFFERENCES[family]}.")
    explained = (
        "instances: rows, as in the published table; objects: different annotated objects; segmentation: rows with a "
        "mask that is not empty; words: per sentence.",
    )
    return "\n".join([*lines, "", *explained, *notes])


def _line(name: str, split: str, found: Statistics, style: str) -> str:
    figures = found.figures()
    counts = [f"{figures[key]:,}" for key in ("images", "rows", "objects", "categories")]
    shares = [
        f"{share / max(1, found.rows):.1%}" if share else "no"
        for share in (found.multi_instance, found.no_target, found.masked)
    ]
    cells = [name, split, *counts, *shares, f"{found.sentences:,}", f"{figures['words_per_sentence']:.2f}", style]
    return f"| {' | '.join(cells)} |"


def _published_line(name, images, instances, categories, several, masks, style) -> str:
    cells = [name, "published", f"{images:,}", f"{instances:,}", "", f"{categories:,}" if categories else "?"]
    cells += ["yes" if several else "no", "", "yes" if masks else "no", "", "", style]
    return f"| {' | '.join(cells)} |"
