"""Writes the README.md of a built data set."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from ..catalogue import DATASETS, PublishedDataset

PAGES = Path(__file__).parent
SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
TAGS = ["referring-image-segmentation", "referring-expression-segmentation", "visual-grounding", "vision-language"]

FIELDS = """\
One row is one referent with all of its sentences: `image_id`, `file_name`, `height`, `width`, `ref_id`, `ann_ids`,
`category`, `boxes` ([x0, y0, x1, y1] in pixels, exclusive end), `mask` (COCO RLE: `pycocotools.mask.decode`),
`sentences` (`sent_id`, `sent`, `tokens`), `split` (official name), `source`{more}.

```python
from datasets import load_dataset
from pycocotools import mask as coco_mask

rows = load_dataset("THIS_REPOSITORY_OR_FOLDER", "{config}", split="{split}")        # streaming=True works too
mask = coco_mask.decode(rows[0]["mask"]).astype(bool)                # (H, W)
```

With pictures, masks that decode themselves, and the official names of splits:

```python
import hf_refseg.data

rows = hf_refseg.data.load("FOLDER", "{official}", partition={partition!r}, images={images})
```
"""


@dataclass(frozen=True)
class FamilyPage:
    """The hand-written page of a family of data sets.

    Attributes:
        metadata: the part of the card's YAML that does not depend on the build: pretty_name, license ...
        phrase_style: such as "short phrases", in the words of PhraseCut's paper.
        push_needs_permission: no license allows publishing the annotations.
        text: Markdown.
    """

    metadata: dict
    phrase_style: str
    push_needs_permission: bool
    text: str


def family_page(family: str) -> FamilyPage:
    _, header, text = (PAGES / f"{family}.md").read_text(encoding="utf-8").split("---\n", 2)
    metadata = yaml.safe_load(header)
    style, permission = metadata.pop("phrase_style"), metadata.pop("push_needs_permission")
    return FamilyPage(metadata, style, permission, text.strip())


def write_card(out: Path, report: dict) -> None:
    """Writes OUT/README.md from the report of a build (see `builders.build`)."""
    parts = [DATASETS[name] for name in report["identity"]["names"]]
    page = family_page(report["identity"]["family"])
    header = yaml.safe_dump(_metadata(page, parts, report), sort_keys=False, allow_unicode=True, width=120)
    first, with_instances = parts[0], report["identity"]["with_instances"]
    split = list(first.splits)[-1]
    usage = FIELDS.format(
        config=first.name,
        split=split,
        official=first.splits[split],
        partition=first.partition,
        images=None if "pictures" in report else "FOLDER_OF_PICTURES",
        more="".join(f", `{name}`" for name in (*first.fields, *(["instances"] * with_instances))),
    )
    sections = [
        f"# {page.metadata['pretty_name']}\n\n{page.text.split('## ', 1)[0].strip()}",
        f"## Rows\n\n{usage.strip()}",
        f"## Counts\n\n{_counts_table(parts, report)}",
        _build_section(report),
        "## " + page.text.split("## ", 1)[1],
    ]
    (out / "README.md").write_text(f"---\n{header}---\n\n" + "\n\n".join(sections) + "\n", encoding="utf-8")


def _metadata(page: FamilyPage, parts: list[PublishedDataset], report: dict) -> dict:
    rows = sum(split["rows"] for part in report["datasets"].values() for split in part.values())
    configs = [
        {
            "config_name": part.name,
            **({"default": True} if part is parts[0] else {}),
            "data_files": [{"split": split, "path": f"{part.name}/{split}-*.parquet"} for split in part.splits],
        }
        for part in parts
    ]
    if "pictures" in report:
        configs.append(
            {"config_name": "images", "data_files": [{"split": "pictures", "path": "images/pictures-*.parquet"}]}
        )
    # The sizes of the splits. `datasets` checks the number of rows against them. It also caches a local folder by its
    # card: without the sizes, a folder that was built again would give the rows of the first build.
    infos = [
        {
            "config_name": part.name,
            "splits": [
                {"name": split, "num_bytes": found["bytes"], "num_examples": found["rows"]}
                for split, found in report["datasets"][part.name].items()
            ],
        }
        for part in parts
    ]
    if "pictures" in report:
        size = {"num_bytes": report["pictures"]["bytes"], "num_examples": report["pictures"]["images"]}
        infos.append({"config_name": "images", "splits": [{"name": "pictures"} | size]})
    return page.metadata | {
        "language": ["en"],
        "task_categories": ["image-segmentation"],
        "tags": TAGS,
        "size_categories": [next((name for limit, name in SIZE_CATEGORIES if rows < limit), "1M<n<10M")],
        "configs": configs,
        "dataset_info": infos,
    }


def _counts_table(parts: list[PublishedDataset], report: dict) -> str:
    lines = [
        "| configuration | split | images | refs | sentences | published: the three | boxes | no target |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for part in parts:
        for split, found in report["datasets"][part.name].items():
            lines.append(
                f"| {part.name} | {split} | {found['images']:,} | {found['rows']:,} | {found['sentences']:,} "
                f"| {_published(part.published.get(part.splits[split]))} | {found['instances']:,} "
                f"| {found['no_target']:,} |"
            )
        if "all" in part.published:
            lines.append(f"| {part.name} | in all | | | | {_published(part.published['all'])} | | |")
    sources = "\n".join(f"Published figures of {part.name}: {part.counts_from}." for part in parts)
    return "\n".join(lines) + "\n\n" + sources


def _published(figures) -> str:
    if figures is None:
        return "not published"
    said = (
        "?"
        if figure is None
        else " or ".join(f"{one:,}" for one in (figure if isinstance(figure, tuple) else (figure,)))
        for figure in figures
    )
    return " / ".join(said)


def _build_section(report: dict) -> str:
    identity = report["identity"]
    versions = ", ".join(f"{name} {number}" for name, number in identity["versions"].items())
    lines = [f"- Built by hf_refseg from {', '.join(f'`{name}`' for name in identity['raw'])}, with {versions}."]
    if report["differences"]:
        lines.append("- **Built with `--allow-other-counts`: the official files do not have the published counts.**")
        lines += [f"  - {line}" for line in report["differences"]]
    else:
        lines.append("- The official files have the published counts.")
    if identity["excluded_images"]:
        dropped = sum(split["excluded_rows"] for part in report["datasets"].values() for split in part.values())
        lines.append(
            f"- **{dropped:,} rows on excluded images are left out** ({len(identity['excluded_images']):,} images were "
            "named with `--exclude-images`); the table counts what is here."
        )
    for name, part in report["datasets"].items():
        for split, found in part.items():
            notes = found["notes"] | (
                {"rows with an empty mask, kept": found["empty_masks"]} if found["empty_masks"] else {}
            )
            lines += [f"- {name} {split}: {what}: {number:,}." for what, number in notes.items()]
    if "skipped" in report:
        reasons = ", ".join(f"{reason}: {number:,}" for reason, number in sorted(report["skipped"].items()))
        lines.append(f"- Phrases that annotators gave up on (`skip.json`) are in no split: {reasons}.")
    if "pictures" in report:
        lines.append(
            f"- **With pixels**: configuration `images`, {report['pictures']['images']:,} files as they were, one row "
            "each. Do not publish it unless every license below allows it."
        )
    return "## How it was built\n\n" + "\n".join(lines)
