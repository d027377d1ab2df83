"""
A checkpoint as ONNX graphs beside torch: milliseconds, bytes, and what storing weights in fewer bytes changes.

    python benchmarks/onnx_speed.py --model refseg-photos-rmi --threads 2

Of the sample picture of the model's card, for one expression and for ten about the same picture.
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


def milliseconds(work: Callable, repeats: int) -> float:
    """The median of some repetitions, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def measure(model_name: str, threads: int, repeats: int) -> dict:
    """Every figure."""
    import numpy as np
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
    asked = {number: processor(image, list(texts[:number]), return_tensors="pt") for number in (1, 10)}

    def masks(outputs, inputs) -> list[np.ndarray]:
        results = processor.post_process_referring_segmentation(outputs, inputs["original_sizes"])
        return [result["mask"].numpy() for result in results]

    figures = {"load_average": os.getloadavg()[0], "threads": threads, "repeats": repeats, "torch": {}}
    with tempfile.TemporaryDirectory() as temporary, torch.inference_mode():
        for number, inputs in asked.items():
            figures["torch"][f"{number} ms"] = milliseconds(lambda inputs=inputs: model(**inputs), repeats)
        expected = model(**asked[10])
        export_onnx(model_name, Path(temporary) / "float32")
        for weights in STORED_AS:
            folder = Path(temporary) / weights
            if weights != "float32":
                shutil.copytree(Path(temporary) / "float32", folder)
                for graph in folder.glob("*.onnx"):
                    store_weights(graph, weights)
            ours = OnnxModel(folder, threads)
            row = {path.name: path.stat().st_size for path in sorted(folder.glob("*.onnx"))}
            for number, inputs in asked.items():
                row[f"{number} ms"] = milliseconds(lambda inputs=inputs, ours=ours: ours(**inputs), repeats)
            features = ours.get_image_features(**asked[1])
            words = {name: asked[10][name] for name in ("input_ids", "attention_mask")}
            row["10 ms, photo encoded"] = milliseconds(
                lambda words=words, ours=ours, features=features: ours(image_features=features, **words), repeats
            )
            answered = ours(**asked[10])
            row["largest difference of logits"] = float((answered.logits - expected.logits).abs().max())
            pairs = zip(masks(answered, asked[10]), masks(expected, asked[10]), strict=True)
            row["smallest IoU with torch's masks"] = min(
                (one & other).sum() / (one | other).sum() if (one | other).any() else 1.0 for one, other in pairs
            )
            figures[weights] = row
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="refseg-photos-rmi", help="of a dense system (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of both (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="(%(default)s)")
    options = parser.parse_args()
    print(json.dumps(measure(options.model, options.threads, options.repeats), indent=1))


if __name__ == "__main__":
    main()
