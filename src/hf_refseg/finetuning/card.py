"""The card of a fine-tuned model: every figure is of this run, and what only its owner knows is asked for."""

import json
from pathlib import Path

from huggingface_hub import ModelCard

from ..checkpoints import resolve_checkpoint
from ..evaluation.results import read_eval_results
from ..hub.bundle import find_folder, read_json
from ..hub.card import REPOSITORY, USE_WITHOUT_PACKAGE, Page, front_matter, metrics_table, what_was_measured
from .options import FineTuned, FineTuning

PICTURE = "before_after.png"
MOST_TEXTS, MOST_WORDS = 2, 20


def fine_tuned_card(folder: Path, options: FineTuning, done: FineTuned, texts: list[str]) -> str:
    """
    Markdown with front matter.

    Args:
        folder: with the model and its `eval_results.json`.
        texts: expressions of the photos that were held out.
    """
    base = base_of(options)
    results, model_type = read_eval_results(folder), read_json(folder / "config.json")["model_type"]
    said = "photos that were not trained on, before and after"
    page = Page(
        {"license": base["license"], "language": "en", **base["relation"], "tags": ["referring-image-segmentation"]},
        texts=texts[:MOST_TEXTS],
        picture=said,
        meanings={},
        introduction="",
        sections={},
    )
    name = options.output.name
    words = ", ".join(f"`{word}`" for word in list(done.starts)[:MOST_WORDS])
    more = f" and {len(done.starts) - MOST_WORDS} more" if len(done.starts) > MOST_WORDS else ""
    learned = f"The new words are {words}{more}." if done.starts else "It has no new words."
    kept = (
        "Only the embeddings of new words were trained. It answers every expression without them exactly as its base."
        if options.learn == "words"
        else "All but the backbone was trained and then moved half way back. It may have forgotten some of what its "
        "base knew: compare the two with `hf-refseg evaluate` on photos of the old kind."
    )
    parts = [
        f"# {name}",
        f"{options.base}, fine-tuned with `{options.command}`. A photo and an expression in, the mask of what the "
        f"expression refers to out. {learned} {kept}",
        f"![{said}]({PICTURE})",
        "## Use\n\n" + USE_WITHOUT_PACKAGE.format(repository=REPOSITORY, texts=json.dumps(page.texts)),
        "## What it reaches",
        what_was_measured(results),
        f"The base reaches mIoU {done.before['mIoU']:.3f} and oIoU {done.before['oIoU']:.3f} on the same photos, this "
        f"model {done.after['mIoU']:.3f} and {done.after['oIoU']:.3f}. They also chose the step at which the training "
        "ended, so expect a little less on others.",
        metrics_table(results, {}),
        "## Training data",
        f"{done.train.images} photos with {done.train.refs} masks and {done.train.sentences} expressions, each also "
        "seen mirrored, with left and right exchanged. Where the photos come from, and who allows what with them, is "
        "for you to write here before you publish.",
        "## Training",
        f"{done.steps} steps; `curve.png` shows them. The recipe is that of `hf_refseg.finetuning`.",
        "## Licenses",
        f"Code: Apache-2.0. Weights: {base['license'] or 'to be named'}, {base['reason']}.",
    ]
    return f"---\n{front_matter(name, model_type, page, results, PICTURE)}\n---\n" + "\n\n".join(parts) + "\n"


def base_of(options: FineTuning) -> dict:
    """License of the weights with its reason, and the relation to a base on the Hub."""
    folder = find_folder(options.base)
    is_remote = not Path(resolve_checkpoint(options.base)).is_dir()
    relation = {"base_model": options.base, "base_model_relation": "finetune"} if is_remote else {}
    if options.license is not None:
        return {"license": options.license, "reason": "as its owner says", "relation": relation}
    card = folder / "README.md"
    license_ = ModelCard.load(card).data.license if card.is_file() else None
    return {"license": license_, "reason": "as the weights it started from", "relation": relation}
