"""
What the first stage of `tiny_refshapes` costs and teaches, and what it did until November 2026 with half as many steps
of four times as many images: `python benchmarks/word_naming.py`. Every turn has another seed.

A cell of an object in 200 scenes of the test split counts as right where the word of its shape, among those of the
eight shapes, fits its feature best; so for the words of sizes and patterns, which are asked for all at once.
"""

import tempfile
import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from report import argument_parser, publish
from tqdm import tqdm

from hf_refseg.data import RefShapes
from hf_refseg.data.refshapes.scene import CATEGORIES, PATTERNS, RADII
from hf_refseg.training.run import prepare
from hf_refseg.training.word_naming import grid_stride, word_map

BEFORE = {"steps": 300, "batch_size": 16, "rise": 0.3, "adam_beta2": 0.999}
SETTINGS = {"300 steps of 16 images": BEFORE, "the recipe": {}}
COLUMNS = {
    "name": ("", ""),
    "seed": ("seed", ""),
    "cpu_s": ("CPU s", ".1f"),
    "shapes": ("shapes", ".3f"),
    "others": ("sizes and patterns", ".3f"),
}


@torch.inference_mode()
def share_right(model, processor, rows: Sequence[dict], words: Sequence[str]) -> float:
    """Of the cells of objects, those whose feature fits a word best that is right."""
    vocabulary = processor.tokenizer.get_vocab()
    embeddings = model.get_input_embeddings().weight[[vocabulary[word] for word in words]]
    stride = grid_stride(model, processor, rows[0])  # leaves the model in evaluation
    right = total = 0
    for row in rows:
        pixels = processor.image_processor([row["image"]], return_tensors="pt")["pixel_values"]
        maps = model.visual_projection(model.backbone(pixels).feature_maps[-1])  # (1, 3, H, W) -> (1, V, h, w)
        best = (embeddings @ F.normalize(maps[0], dim=0).flatten(1)).argmax(0)  # (W, V) x (V, h * w) -> (h * w,)
        names = word_map(row, words, stride).flatten(0, 1)  # (h, w, W) -> (h * w, W)
        right += names.take_along_dim(best[:, None], 1).sum().item()
        total += names.amax(1).sum().item()
    return right / total


def main() -> None:
    options = argument_parser(__doc__, repeats=3, threads=1).parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    cases = [(seed, name) for seed in range(options.repeats) for name in SETTINGS]
    for seed, name in tqdm(cases, "trainings"):
        settings = {f"naming.{key}": value for key, value in SETTINGS[name].items()}
        settings |= {"seed": seed, "dataloader_num_workers": 0, "eval_samples": 1, "use_cpu": True}
        with tempfile.TemporaryDirectory() as folder:
            settings["output_dir"] = f"{folder}/run"
            run = prepare(overrides=[word for key, value in settings.items() for word in (f"--{key}", str(value))])
        (stage,) = run.task.stages
        start = time.process_time()
        stage()
        seconds = time.process_time() - start
        model, processor = run.task.model, run.task.processor
        scenes = list(RefShapes("test", size=run.recipe.data.image_size, num_samples=200))
        shapes, others = (share_right(model, processor, scenes, words) for words in (CATEGORIES, (*RADII, *PATTERNS)))
        rows.append({"name": name, "seed": seed, "cpu_s": seconds, "shapes": shapes, "others": others})
    publish(options, rows, COLUMNS)


if __name__ == "__main__":
    main()
