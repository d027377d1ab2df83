"""
A model card, made from a page that somebody wrote and the results files of the model's folder.

Every measured figure of a card comes from a results file: `eval_results.json`, which evaluations write, or `cost.json`
of `benchmarks/checkpoint_cost.py`. The page names figures and never holds any: `{metrics.mIoU}`,
`{counts.expressions}`, `{cost.parameters}`.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, ModelCardData

from ..evaluation.results import read_eval_results
from ..metrics import get_protocol
from ..systems import find_system

COST_FILE = "cost.json"
# What publishing replaces by the repository's name.
REPOSITORY = "THIS_REPOSITORY"
SECTIONS = (
    "How it differs from the paper",
    "What it is for, and what it can't do",
    "Training data",
    "Training",
    "Leaks",
    "Licenses",
    "Citation",
)
NOTES = "About these numbers"  # the one section that a page may leave out
MEANINGS = {
    "oIoU": "overall IoU: sum of intersections / sum of unions",
    "mIoU": "mean IoU",
    "Pr@0.5": "share with an IoU of 0.5 or more; so on",
    "mean_box_iou": "mean IoU of the boxes around the masks",
    "box_Pr@0.5": "share whose box around the mask has an IoU of 0.5 or more; so on",
    "box_acc": "share whose box has an IoU of 0.5 or more",
    "region_acc": "the right region chosen among the annotated ones",
    "mask_AP": "COCO's average precision of masks: mean over IoU 0.5 to 0.95",
    "mask_AP50": "of masks at IoU 0.5",
    "box_AP": "COCO's average precision of boxes: mean over IoU 0.5 to 0.95",
    "box_AP50": "of boxes at IoU 0.5",
}
PLACEHOLDER = re.compile(r"\{(metrics|counts|cost)\.([^{}\s]+)\}")
# What a measurement looks like: a decimal fraction, a percentage, or a number with a unit.
FIGURE = re.compile(
    r"\d+\.\d+|\d+ ?%|\b\d[\d,]* ?(?:ms|s|sec|seconds|min|minutes|h|hours|[kMG]B|GFLOPs?|parameters|(?:m|b)illion)\b"
)
# Where such numbers are names, not measurements: code, links, papers, licenses.
NAMES = re.compile(
    r"```.*?```|`[^`]*`|\]\([^)]*\)|https?://\S+|\barXiv:\d+\.\d+|\bApache-2\.0|\bCC BY(?:-\w+)* \d\.\d", re.DOTALL
)

USE_WITHOUT_PACKAGE = """\
Without the package, with the code that lies in this repository:

```python
from transformers import pipeline

segment = pipeline("image-segmentation", model="{repository}", trust_remote_code=True)
segment(image, {texts})
```"""
USE_REFERRING = (
    """\
```python
import hf_refseg

segment = hf_refseg.pipeline(model="{name}")    # ships with the package
segment(image, {texts})    # label, score, mask and box of each
```

"""
    + USE_WITHOUT_PACKAGE
)
USE_DETECTOR = """\
```python
import hf_refseg
from transformers import AutoImageProcessor, AutoModel

name = hf_refseg.checkpoint_path("{name}")    # ships with the package
processor, model = AutoImageProcessor.from_pretrained(name), AutoModel.from_pretrained(name)
inputs = processor(image)
processor.post_process_instance_segmentation(model(**inputs), inputs["original_sizes"])
```

Without the package, with the code that lies in this repository:

```python
from transformers import pipeline

segment = pipeline("image-segmentation", model="{repository}", trust_remote_code=True)
segment(image)
```"""


@dataclass(frozen=True)
class Page:
    """
    What somebody wrote about a model.

    Args:
        metadata: front matter of the card that no file tells: `license`, `tags`, `language`, `base_model`, ...
        texts: expressions about the sample picture.
        picture: what the picture shows, for those who cannot see it.
        meanings: of metrics that are this model's own.
        introduction: what it is, before the first section.
        sections: the text of each section by its heading.
    """

    metadata: dict
    texts: list[str]
    picture: str
    meanings: dict[str, str]
    introduction: str
    sections: dict[str, str]


def read_page(path: Path) -> Page:
    """
    Read a hand-written page.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it lacks a section or has an unknown one, lacks its front matter, or holds figures.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: write the part of the card that no file tells, see the others")
    text = path.read_text(encoding="utf-8-sig")
    for line in text.splitlines():
        if line.startswith("<!--"):
            raise ValueError(f"{path} has a comment, which would be published: {line}")
    if not text.startswith("---\n"):
        raise ValueError(f"{path} has no front matter: begin with --- and lines such as `license: apache-2.0`")
    _, header, body = text.split("---\n", 2)
    check_no_figures(body, path)
    introduction, *parts = re.split(r"^## (.+)\n", body, flags=re.MULTILINE)
    sections = {heading: part.strip() for heading, part in zip(parts[::2], parts[1::2], strict=True)}
    missing, unknown = set(SECTIONS) - set(sections), set(sections) - {*SECTIONS, NOTES}
    if missing or unknown:
        raise ValueError(f"{path}: missing sections {sorted(missing)}, unknown sections {sorted(unknown)}")
    metadata = yaml.safe_load(header)
    own = {name: metadata.pop(name, default) for name, default in (("texts", []), ("picture", ""), ("meanings", {}))}
    if not metadata.get("license") or not own["picture"]:
        raise ValueError(f"{path}: the front matter needs `license` and `picture` (what the picture shows)")
    return Page(metadata, introduction=introduction.strip(), sections=sections, **own)


def check_no_figures(text: str, path: Path) -> None:
    """Raises ValueError for a measured figure in a page, which nobody could check."""
    prose = NAMES.sub("", PLACEHOLDER.sub("", text))
    if figures := [found[0] for found in FIGURE.finditer(prose)]:
        raise ValueError(
            f"{path} holds the figures {figures}, which no results file holds. Name figures of eval_results.json or "
            "cost.json, as {metrics.mIoU}, {counts.expressions} or {cost.parameters}; put settings into `code`"
        )


def make_card(folder: str | Path, page: Page, name: str | None = None) -> str:
    """
    The card of a model.

    Args:
        folder: of the model; it holds config.json, eval_results.json and cost.json.
        page: see [`read_page`].
        name: of the model; None: the folder's.

    Returns: Markdown with front matter; [`REPOSITORY`] stands where the name of a repository would.

    Raises:
        FileNotFoundError: a results file is missing.
        ValueError: the page names a figure that no results file holds, or a metric has no meaning.
    """
    folder = Path(folder)
    name = folder.name if name is None else name
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    results, cost = read_eval_results(folder), read_cost(folder)
    system = find_system(config["model_type"])
    use = USE_DETECTOR if system.kind == "detector" else USE_REFERRING
    sections = {heading: fill(text, results, cost) for heading, text in page.sections.items()}
    reached = [what_was_measured(results), metrics_table(results, page.meanings), sections.pop(NOTES, "")]
    parts = [
        f"# {name}",
        fill(page.introduction, results, cost),
        f"![{page.picture}]({name}.png)\n\n{page.picture}",
        "## Use\n\n" + use.format(name=name, repository=REPOSITORY, texts=json.dumps(page.texts)),
        "## What it reaches\n\n" + "\n\n".join(part for part in reached if part),
        "## What it costs\n\n" + cost_table(cost),
        *(f"## {heading}\n\n{sections[heading]}" for heading in SECTIONS),
    ]
    header = front_matter(name, system.model_type, page, results, picture=f"{name}.png")
    return f"---\n{header}\n---\n" + "\n\n".join(parts) + "\n"


def read_cost(folder: Path) -> dict:
    """The content of `cost.json`; raises FileNotFoundError where there is none."""
    path = folder / COST_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}: run `python benchmarks/checkpoint_cost.py {folder}`, which writes it"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def fill(text: str, results: dict, cost: dict) -> str:
    """A text with its figures in it; raises ValueError for one that no results file holds."""
    figures = {
        "metrics": {name: f"{value:.3f}" for name, value in results["metrics"].items() if isinstance(value, float)},
        "counts": {name: f"{value:,}" for name, value in results["counts"].items()},
        "cost": {"parameters": f"{cost['run']['parameters'] / 1e6:.1f} million", "size": megabytes(cost)},
    }

    def figure(found: re.Match) -> str:
        kind, name = found.groups()
        if name not in figures[kind]:
            raise ValueError(f"no results file holds {found[0]}; there are {', '.join(figures[kind])} of {kind}")
        return figures[kind][name]

    return PLACEHOLDER.sub(figure, text)


def megabytes(cost: dict) -> str:
    return f"{cost['run']['bytes'] / 1e6:.1f} MB"


def front_matter(name: str, model_type: str, page: Page, results: dict, picture: str) -> str:
    """The YAML of the card with its `model-index`, as huggingface_hub writes it."""
    dataset, _, config = results["dataset"].partition("/")
    protocol = results["protocol"]
    entries = [
        EvalResult(
            task_type="image-segmentation",
            task_name="Referring image segmentation" if protocol else "Instance segmentation",
            dataset_type=dataset,
            dataset_name=results["dataset"],
            dataset_config=config or None,
            dataset_split=results["split"],
            # The Hub keeps what is said of a data set once; the protocol belongs to the metric.
            metric_type=metric,
            metric_name=f"{metric} ({protocol})" if protocol else metric,
            metric_args={"protocol": protocol} if protocol else None,
            metric_value=round(value, 4),
        )
        for metric, value in results["metrics"].items()
        if isinstance(value, float)
    ]
    metadata = {
        "library_name": "transformers",
        "pipeline_tag": "image-segmentation",
        **page.metadata,
        "tags": [*page.metadata.get("tags", []), model_type],
        "thumbnail": picture,
        "widget": [{"text": ", ".join(page.texts) or "a scene", "output": {"url": picture}}],
    }
    return ModelCardData(model_name=name, eval_results=entries, **metadata).to_yaml()


def what_was_measured(results: dict) -> str:
    """One paragraph: the data, how much of it, the protocol and the command."""
    shown = {
        name: value for name, value in results["counts"].items() if value and name not in ("intersection", "union")
    }
    counts = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in shown.items())
    text = f"Split {results['split']} of {results['dataset']} ({counts}), measured by `{results['command']}`."
    if results["protocol"]:
        protocol = get_protocol(results["protocol"])
        text += (
            f" Protocol `{protocol.name}`: one sample is one {protocol.unit}, foreground is a probability above "
            f"{protocol.probability_threshold}."
        )
    return text


def metrics_table(results: dict, meanings: dict[str, str]) -> str:
    """Every metric of the file; raises ValueError for one that nobody explained."""
    lines = ["| number | value | meaning |", "|---|---|---|"]
    for name, value in results["metrics"].items():
        if not isinstance(value, float):
            continue
        meaning = {**MEANINGS, **meanings}.get(name)
        if meaning is None and "Pr@" not in name:
            raise ValueError(f"the metric {name} has no meaning; add it to `meanings` in the page's front matter")
        lines.append(f"| `{name}` | {value:.3f} | {meaning or ''} |")
    return "\n".join(lines)


def cost_table(cost: dict) -> str:
    """Size and speed, with the machine that they were measured on."""
    run = cost["run"]
    lines = [
        f"{run['parameters']:,} parameters, {megabytes(cost)}. Measured by `python benchmarks/checkpoint_cost.py`: the "
        f"model alone, in float32, on a picture of {run['picture'][0]} x {run['picture'][1]} pixels, the median of "
        f"{run['repeats']} runs. On the CPU ({run['processor']}) it is the time of all threads, here {run['threads']}.",
        "",
        "| expressions | device | GFLOP | ms | peak memory in MB |",
        "|---|---|---|---|---|",
    ]
    for row in cost["rows"]:
        milliseconds = row["cpu_ms"] if row["device"] == "cpu" else row["median_ms"]  # other programs don't count
        lines.append(
            f"| {row['expressions'] or '-'} | {row['device_name']} | {row['gflop']:.1f} | {milliseconds:.0f} "
            f"| {row['peak_mb']:.0f} |"
        )
    if all(row["device"] == "cpu" for row in cost["rows"]):
        lines += ["", "It was not measured on a GPU."]
    return "\n".join(lines)
