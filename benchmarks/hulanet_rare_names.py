"""Does HULANet help rare names by what it knows of frequent ones? Mean IoU on RefShapes by the frequency of the name.

    python benchmarks/hulanet_rare_names.py

trains a detector (`mask_rcnn_long_tail`) and, over it, HULANet (`hulanet_long_tail`) once per seed with attention over
all categories, and once with the map of the name's own category only (`category_mode: self`). All answer the same
phrases of scenes in which all twelve categories are equally frequent. Frequent and rare names are categories of the
detector, unseen ones are not. It writes `results.json`, `table.md` and `rare_names.png` into the output folder
(`--output`, runs/hulanet_rare_names). A finished run is not repeated. Further words override keys of HULANet's recipe.
"""

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path

from ablation import train
from tqdm import tqdm

GROUPS = {
    "frequent": ("circle", "square", "triangle", "star"),
    "rare": ("diamond", "heart", "cross", "moon"),
    "unseen": ("oval", "rectangle", "pentagon", "hexagon"),
}
MODES = {"attention": "with borrowing", "self": "own category only"}


def mean_iou(folder: Path, samples: int) -> dict[str, float]:
    """Mean IoU of a trained model over the phrases about each group of names."""
    import numpy as np
    import torch
    from transformers import AutoModel, AutoProcessor

    from hf_refseg.data import RefShapes

    model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    shares = {name: 1.0 for names in GROUPS.values() for name in names}
    rows = RefShapes("test", dialect="phrasecut", num_samples=samples, category_shares=shares)
    group_of = {name: group for group, names in GROUPS.items() for name in names}
    found = defaultdict(list)
    for row in tqdm(rows, "answers", leave=False):
        group = group_of.get(row["phrase_structure"]["name"])
        if group is None:  # "shape"
            continue
        inputs = processor.row_inputs(row)
        del inputs["segmentation_maps"]  # there is no loss to compute
        with torch.inference_mode():
            outputs = model(**processor(**inputs).to(model.device))
        (answer,) = processor.post_process_referring_segmentation(outputs)
        mask, target = answer["mask"].numpy(), np.asarray(row["mask"])
        found[group].append((mask & target).sum() / max((mask | target).sum(), 1))
    return {group: float(np.mean(found[group])) for group in GROUPS}


def table(results: dict[str, list[dict]]) -> str:
    """Mean and spread over the seeds, as Markdown."""
    lines = [f"| category module | {' | '.join(GROUPS)} |", "|---|" + "---|" * len(GROUPS)]
    for mode, runs in results.items():
        cells = []
        for group in GROUPS:
            values = [run[group] for run in runs]
            cells.append(f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        lines.append(f"| {MODES[mode]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def picture(results: dict[str, list[dict]], path: Path) -> None:
    """Two bars per group, one dot per seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axis = figure.subplots()
    for side, (mode, runs) in enumerate(results.items()):
        places = [place + 0.4 * side - 0.2 for place in range(len(GROUPS))]
        values = [[run[group] for run in runs] for group in GROUPS]
        axis.bar(places, [statistics.mean(of_group) for of_group in values], width=0.36, alpha=0.5, label=MODES[mode])
        for place, of_group in zip(places, values, strict=True):
            axis.plot([place] * len(of_group), of_group, "o", color="black", markersize=4)
    axis.set_xticks(range(len(GROUPS)), GROUPS)
    axis.set(ylabel="mean IoU")
    axis.margins(y=0.3)  # room for the legend
    axis.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/hulanet_rare_names"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--samples", type=int, default=600, help="scenes that are answered (%(default)s)")
    options, overrides = parser.parse_known_args()
    results = {mode: [] for mode in MODES}
    detector = options.output / "detector"
    train("mask_rcnn_long_tail", 0, detector, [])
    for seed in tqdm(options.seeds, "seeds"):
        for mode in MODES:
            folder = options.output / f"{mode}_{seed}"
            changes = ["--detector", str(detector), "--category_mode", mode, *overrides]
            train("hulanet_long_tail", seed, folder, changes)
            results[mode].append({"seed": seed, **mean_iou(folder, options.samples)})
    (options.output / "results.json").write_text(json.dumps(results, indent=1))
    (options.output / "table.md").write_text(table(results) + "\n")
    picture(results, options.output / "rare_names.png")
    print(table(results))


if __name__ == "__main__":
    main()
