"""Measures a model on photos through its public processor: quality, absent objects, and whether left and right matter.

python -m hf_refseg.training.evaluate_photos CHECKPOINT --data ../shared/data/coco_cc_expressions --split val
"""

import argparse
import json
import logging
import shlex
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ..data.augment import swap_left_right
from ..data.coco_categories import absent_categories
from ..data.refer import load_refer_folder
from ..data.rows import ReferringRows
from ..data.schema import decode_mask
from ..evaluation.results import EVAL_RESULTS_FILE, write_eval_results
from ..metrics import RefSegMetric, mask_counts

logger = logging.getLogger(__name__)

# Of the image; a prediction that covers less does not claim to have found anything.
ABSENT_AREA = 0.01


@torch.inference_mode()
def segment(model, processor, image, expressions: list[str], threshold: float = 0.5) -> list[np.ndarray]:
    """One (H, W) bool mask per expression, at the size of the image."""
    inputs = processor(images=image, text=expressions)
    outputs = model(**inputs)
    results = processor.post_process_referring_segmentation(
        outputs, target_sizes=inputs["original_sizes"], threshold=threshold
    )
    return [result["mask"].numpy() for result in results]


def absent_pairs(rows: ReferringRows, count: int = 100, seed: int = 0) -> list[tuple[int, str]]:
    """`count` different (image_id, category) pairs: nothing like the category is annotated in the photo.

    Photos take turns, and each gets categories drawn at random.
    """
    indices = {image_id: index for index, image_id in enumerate(rows.image_ids())}
    present = {
        image_id: {thing["category"] for thing in rows.instances_of(index)} for image_id, index in indices.items()
    }
    rng = np.random.default_rng(seed)
    drawn = {image_id: rng.permutation(absent_categories(names)) for image_id, names in sorted(present.items())}
    turns = [(image, str(names[turn])) for turn in range(80) for image, names in drawn.items() if turn < len(names)]
    return turns[:count]


def evaluate_photos(model, processor, folder: str | Path, split: str = "val") -> dict[str, float | int | str]:
    """
    Runs a model over a RefCOCO-layout folder.

    Returns:
        The numbers of `RefSegMetric` under protocol hu2016 (one sample per sentence, original size, threshold 0.5), and
        `absent_rate`: share of `absent_pairs` that cover more than 1 % of the image ("the dog" where no dog is);
        `swap_iou`: mean IoU, over sentences with left or right, of the masks before and after swapping the two;
        `swap_miou_before`, `swap_miou_after`: mean IoU with the target of the same sentences, as written and swapped.
    """
    model.eval()
    rows = load_refer_folder(folder, split=split)
    metric = RefSegMetric("hu2016")
    swaps = []
    for row in tqdm(rows, desc=f"{split} referents", leave=False):
        texts = [sentence["sent"] for sentence in row["sentences"]]
        swapped = [swap_left_right(text) for text in texts]
        masks = segment(model, processor, row["image"], texts + swapped)
        target = decode_mask(row["mask"])
        written, exchanged = masks[: len(texts)], masks[len(texts) :]
        for mask, other, changed in zip(written, exchanged, np.not_equal(texts, swapped), strict=True):
            metric.add(mask, target)
            if changed:
                swaps.append((_iou(mask, other), _iou(mask, target), _iou(other, target)))
    images = {row["image_id"]: row["image"] for row in rows}
    names_of: dict[int, list[str]] = {}
    for image_id, category in absent_pairs(rows):
        names_of.setdefault(image_id, []).append(f"the {category}")
    painted = [
        mask.mean() > ABSENT_AREA
        for image_id, names in tqdm(names_of.items(), desc="absent objects", leave=False)
        for mask in segment(model, processor, images[image_id], names)
    ]
    between, before, after = (float(value) for value in np.mean(swaps, axis=0))
    return {
        **metric.compute(),
        "split": split,
        "absent_rate": float(np.mean(painted)),
        "absent_pairs": len(painted),
        "swap_sentences": len(swaps),
        "swap_iou": between,
        "swap_miou_before": before,
        "swap_miou_after": after,
    }


def _iou(mask: np.ndarray, other: np.ndarray) -> float:
    intersection, union = mask_counts(mask, other)[:2]
    return intersection / union if union else 1.0


def write_photo_results(folder: str | Path, results: dict, data: str | Path) -> None:
    """Writes what `evaluate_photos` returned for the RefCOCO-layout folder `data` beside a model."""
    words = [str(folder), "--data", str(data), "--split", results["split"]]
    write_eval_results(
        folder,
        {name: value for name, value in results.items() if isinstance(value, float)},
        dataset=Path(data).name,
        split=results["split"],
        counts={"expressions": results["num"]} | {name: results[name] for name in ("absent_pairs", "swap_sentences")},
        protocol=results["protocol"],
        command=shlex.join(["python", "-m", "hf_refseg.training.evaluate_photos", *words]),
    )


def main():
    from transformers import AutoModel, AutoProcessor

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder or Hub id of a model")
    parser.add_argument("--data", required=True, help="RefCOCO-layout folder: refs.json, instances.json, images/")
    parser.add_argument("--split", default="val")
    parser.add_argument("--write", action="store_true", help=f"write {EVAL_RESULTS_FILE} into the checkpoint's folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model = AutoModel.from_pretrained(arguments.checkpoint, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(arguments.checkpoint)
    results = evaluate_photos(model, processor, arguments.data, arguments.split)
    text = json.dumps(results, indent=2)
    logger.info(text)
    if arguments.write:
        write_photo_results(arguments.checkpoint, results, arguments.data)


if __name__ == "__main__":
    main()
