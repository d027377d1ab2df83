"""
A checkpoint as ONNX graphs beside torch: milliseconds, bytes, and what storing weights in fewer bytes changes.

    python benchmarks/onnx_speed.py --model refseg-photos --threads 1

Of the sample picture of the model's card, for one expression and for ten about the same picture; where the graphs take
regions, over those that the model's detector finds, which torch is given too. All are timed in turns, so that a busy
machine slows them alike: CPU milliseconds, then those of the clock, medians of both.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def milliseconds(works: dict[str, Callable], repeats: int) -> dict[str, str]:
    """Of each, the medians of CPU time and of the clock, after one turn to warm up."""
    times: dict[str, list] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            start = time.process_time(), time.perf_counter()
            work()
            spent = time.process_time() - start[0], time.perf_counter() - start[1]
            times[name] += [spent] if turn else []
    medians = {
        name: [1000 * statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in times.items()
    }
    return {name: f"{cpu:.0f} CPU, {clock:.0f} clock" for name, (cpu, clock) in medians.items()}


def find_regions(model, processor, image) -> dict:
    """What the detector below a model finds in a photo."""
    found = model.detector(**processor.image_processor(image, return_tensors="pt"), at_least_one=True)
    columns = {"region_boxes": found.pred_boxes, "region_labels": found.class_labels, "region_scores": found.scores}
    return {name: values[None] for name, values in columns.items()}


def measure(model_name: str, graphs: Path | None, threads: int, repeats: int) -> dict:
    """Every figure."""
    import torch

    from hf_refseg.checkpoints import resolve_checkpoint
    from hf_refseg.checkpoints.loading import load_model, load_processor
    from hf_refseg.hub.samples import sample
    from hf_refseg.onnx_graphs.exporting import export_onnx
    from hf_refseg.onnx_graphs.running import OnnxModel
    from hf_refseg.onnx_graphs.weights import STORED_AS, store_weights

    torch.set_num_threads(threads)
    model, processor = load_model(model_name, dtype=torch.float32).eval(), load_processor(model_name)
    image, texts = sample(resolve_checkpoint(model_name))
    asked = {number: dict(processor(image, list(texts[:number]), return_tensors="pt")) for number in (1, 10)}

    def masks(outputs) -> list:
        results = processor.post_process_referring_segmentation(outputs, asked[10]["original_sizes"])
        return [result["mask"] > 0 for result in results]

    figures = {"load_average": os.getloadavg()[0], "threads": threads, "repeats": repeats}
    with tempfile.TemporaryDirectory() as temporary, torch.inference_mode():
        exported = export_onnx(model_name, Path(temporary) / "exported") if graphs is None else graphs
        description = OnnxModel(exported, threads).description
        regions = find_regions(model, processor, image) if "region_boxes" in description["inputs"] else {}
        regions = {name: values for name, values in regions.items() if name in description["inputs"]}
        asked = {number: {**inputs, **regions} for number, inputs in asked.items()}
        words = {name: asked[10][name] for name in description["words"]}
        works = {f"torch, {number}": lambda inputs=inputs: model(**inputs) for number, inputs in asked.items()}
        theirs = model.get_image_features(**{name: asked[1].get(name) for name in description["inputs"]})
        works["torch, 10 about an encoded photo"] = lambda: model(image_features=theirs, **words)
        expected = masks(model(**asked[10]))
        for weights in STORED_AS:
            folder = shutil.copytree(exported, Path(temporary) / weights)
            for graph in folder.glob("*.onnx"):
                store_weights(graph, weights)
            ours = OnnxModel(folder, threads)
            features = ours.get_image_features(**asked[1])
            for number, inputs in asked.items():
                works[f"{weights}, {number}"] = lambda inputs=inputs, ours=ours: ours(**inputs)
            works[f"{weights}, 10 about an encoded photo"] = lambda ours=ours, features=features: ours(
                image_features=features, **words
            )
            overlaps = [
                ((one & other).sum() / (one | other).sum()).item() if (one | other).any() else 1.0
                for one, other in zip(masks(ours(**asked[10])), expected, strict=True)
            ]
            figures[weights] = {
                "bytes": {path.name: path.stat().st_size for path in sorted(folder.glob("*.onnx"))},
                "IoU with torch's masks, mean and least": [statistics.mean(overlaps), min(overlaps)],
            }
        figures["milliseconds"] = milliseconds(works, repeats)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="refseg-photos", help="that draws masks (%(default)s)")
    parser.add_argument(
        "--graphs", type=Path, help="what `hf-refseg export onnx` wrote of it; exported anew without it"
    )
    parser.add_argument("--threads", type=int, default=1, help="of both (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="(%(default)s)")
    options = parser.parse_args()
    print(json.dumps(measure(options.model, options.graphs, options.threads, options.repeats), indent=1))


if __name__ == "__main__":
    main()
