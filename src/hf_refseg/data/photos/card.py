"""The card of the built set of photos: its files, its figures, and whose photos they are."""

from pathlib import Path

import yaml

from ..cards import family_page
from .splits import SPLITS

LICENSES = {
    "1": "CC BY-NC-SA",
    "2": "CC BY-NC",
    "3": "CC BY-NC-ND",
    "4": "CC BY",
    "5": "CC BY-SA",
    "6": "CC BY-ND",
    "7": "no known restrictions",
    "None": "none stated",
}

ROWS = """\
One row is one referent, or several that are meant together, with all of its sentences; `hf_refseg.data.schema` names
the fields. `source` says where the sentences come from: `photos/authored`, `photos/coco_cc` and `photos/added` are
written, `photos/made` are made from the masks. `instances` are all annotated objects of the photo without crowds,
`labeled` the categories whose objects are all among them: a category that is not in it, such as people where there is a
crowd, is no example of something absent. A row without `ann_ids` refers to nothing; its `category` is what was asked
for.

```python
import hf_refseg.data

rows = hf_refseg.data.load("FOLDER", "train")     # held_out, val, val_authored; objects: photos without sentences
```

`train` is for training. `held_out` are photos that training holds back, to choose an epoch by. `val` (of
`coco_cc_expressions`) and `val_authored` are for measuring. `objects` has a row without sentences for every training
photo, for a detector.
"""


def write_card(folder: Path, report: dict) -> None:
    """Writes README.md from the report of a build (see `building.build_photos`)."""
    page = family_page("photos")
    header = yaml.safe_dump(_metadata(page.metadata, report), sort_keys=False, allow_unicode=True, width=120)
    before, after = page.text.split("## ", 1)
    versions = ", ".join(f"{name} {number}" for name, number in report["identity"]["versions"].items())
    sections = [
        f"# {page.metadata['pretty_name']}\n\n{before.strip()}",
        f"## Rows\n\n{ROWS.strip()}",
        f"## Counts\n\n{_split_table(report)}\n\n{_photo_table(report['photos'])}",
        f"## How it was built\n\nBy `dataset_scripts/build_photos.py`, with {versions}. {report['left_out']} photos of "
        "other evaluations (by COCO id, or by content where a photo has none) are in no split.",
        f"## {after}",
    ]
    (folder / "README.md").write_text(f"---\n{header}---\n\n" + "\n\n".join(sections) + "\n", encoding="utf-8")


def _metadata(written: dict, report: dict) -> dict:
    splits = report["datasets"]["photos"]
    configs = [
        {
            "config_name": "photos",
            "default": True,
            "data_files": [{"split": split, "path": f"photos/{split}-*.parquet"} for split in splits],
        },
        {"config_name": "images", "data_files": [{"split": "pictures", "path": "images/pictures-*.parquet"}]},
    ]
    return written | {"language": ["en"], "task_categories": ["image-segmentation"], "configs": configs}


def _split_table(report: dict) -> str:
    lines = [
        "| split | photos | rows | sentences | words each | no target | several |",
        "|---|---|---|---|---|---|---|",
    ]
    for split, found in report["datasets"]["photos"].items():
        lines.append(
            f"| {split} | {found['images']:,} | {found['rows']:,} | {found['sentences']:,} | "
            f"{found['words_per_sentence']} | {found['no_target']:,} | {found['multi_instance']:,} |"
        )
    return "\n".join(lines)


def _photo_table(photos: dict[str, dict[str, int]]) -> str:
    lines = [f"| photos of | {' | '.join(SPLITS)} | licenses |", "|---" * (len(SPLITS) + 2) + "|"]
    for name, counts in photos.items():
        splits = " | ".join(f"{counts.get(split, 0):,}" for split in SPLITS)
        said = [f"{LICENSES[key]} {counts[f'license {key}']}" for key in LICENSES if f"license {key}" in counts]
        lines.append(f"| {name} | {splits} | {', '.join(said)} |")
    return "\n".join(lines)
