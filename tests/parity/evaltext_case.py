"""Golden case of the originals' text and image preparation: words, resize-and-pad, resize-and-crop, IoU counts."""

import json
from pathlib import Path

import numpy as np
import torch

from hf_refseg.metrics import RefSegMetric, mask_counts
from hf_refseg.processing.image_processing import CanvasImageProcessor
from hf_refseg.processing.resizing import resize_and_crop
from hf_refseg.processing.tokenization import tokenizer_from_vocabulary_file

from .golden_case import EXACT, Checks

FLOAT = 1e-6


def run(folder: Path) -> Checks:
    """All comparisons of a folder that holds text.json, resize.json and the arrays of the latter, or one of the two."""
    checks = Checks()
    if (folder / "text.json").is_file():
        check_text(folder, checks)
    if (folder / "resize.json").is_file():
        check_resizing(folder, checks)
    return checks


def find_vocabularies(folder: Path) -> Path:
    """The folder `data/vocabulary` beside the goldens, or beside this checkout."""
    for parent in (*folder.resolve().parents, Path(__file__).resolve().parents[3] / "shared"):
        if (parent / "data" / "vocabulary").is_dir():
            return parent / "data" / "vocabulary"
    raise FileNotFoundError(f"no data/vocabulary in any folder above {folder}: the cases name vocabularies, not words")


def check_text(folder: Path, checks: Checks) -> None:
    """Ids of every sentence, exactly, with both vocabularies (Python 2's rule, the originals' platform)."""
    vocabularies = find_vocabularies(folder)
    cases = json.loads((folder / "text.json").read_text())["cases"]
    for name in ("referit", "Gref"):
        tokenizer = tokenizer_from_vocabulary_file(vocabularies / f"vocabulary_{name}.txt")
        for number, case in enumerate(cases):
            if name not in case:
                continue
            padded = tokenizer(case["sentence"], padding="max_length", truncation=True, add_special_tokens=False)
            checks.compare(f"text/{name}/{number}", padded["input_ids"], case[name]["padded20_py2"], EXACT)


def check_resizing(folder: Path, checks: Checks) -> None:
    """Images, labels and masks under the rules of scikit-image 0.12, which the originals ran on."""
    facts = json.loads((folder / "resize.json").read_text())
    inputs, outputs = np.load(folder / "resize_inputs.npz"), np.load(folder / "resize_outputs.npz")
    for number, case in enumerate(facts["resize_and_pad"]):
        height, width = case["out_hw"]
        processor = CanvasImageProcessor(size={"height": height, "width": width}, interpolation="paper")
        pixels = processor(inputs[f"im{number}"])["pixel_values"][0].permute(1, 2, 0)  # (3, H, W) -> (H, W, 3)
        checks.compare(f"pad{number}_v012_u8", pixels, outputs[f"pad{number}_v012_u8"], EXACT)
    metric = RefSegMetric("hu2016")
    for number, case in enumerate(facts["resize_and_crop"]):
        prediction, target = torch.from_numpy(inputs[f"pred{number}"]), inputs[f"gt{number}"]
        resized = resize_and_crop(prediction.float(), target.shape)
        if f"crop{number}_v012_float" in outputs:
            name = f"crop{number}_v012_float"
            checks.compare(name, resized, outputs[name], FLOAT)
        name = f"crop{number}_v012_nonzero"
        checks.compare(name, resized > 0, outputs[name], EXACT)
        counts = mask_counts(resized > 0, target)[:2]
        checks.compare(f"crop{number}/I,U", counts, [case["v012"]["I"], case["v012"]["U"]], EXACT)
        metric.add_counts(*counts)
    if "aggregate" in facts:
        numbers, golden = metric.compute(), facts["aggregate"]
        checks.compare("aggregate/overall_IoU", numbers["oIoU"], golden["overall_IoU"], FLOAT)
        shares = [numbers[f"Pr@{threshold}"] for threshold in golden["precision"]]
        checks.compare("aggregate/precision", shares, list(golden["precision"].values()), FLOAT)
