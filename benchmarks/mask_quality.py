"""
How good a detector's masks are by themselves: those that it draws in the true boxes of objects.

    python benchmarks/mask_quality.py FOLDER --dataset built/photos --split val_authored

FOLDER is that of a detector or of a system over one, the data set one whose rows have `instances`. Mean IoU at the
photo's size over objects of at least `--least-area` of their photo, beside two bounds: the filled box, and the true
mask in as many cells as the detector draws. Behind them COCO's average precision of the boxes and masks that it finds.
"""

import argparse
import json
import os
import statistics

import torch
from tqdm import tqdm
from transformers import AutoImageProcessor, AutoModel

import hf_refseg.data
from hf_refseg.data.schema import decode_mask
from hf_refseg.layers.image_geometry import paste_probabilities
from hf_refseg.models.mask_rcnn.training_mask_rcnn import detection_evaluators, one_row_per_image
from hf_refseg.models.nanodet.losses_nanodet import crop_masks
from hf_refseg.systems import find_system


def iou(mask: torch.Tensor, true: torch.Tensor) -> float:
    return float((mask & true).sum() / (mask | true).sum())


def objects_of(row: dict, least_area: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes (G, 4) and masks (G, H, W) bool of the objects of a photo that are large enough."""
    boxes, masks = [], []
    for instance in row["instances"]:
        mask = torch.from_numpy(decode_mask(instance["mask"]).astype(bool))
        if mask.float().mean() >= least_area:
            boxes.append(instance["box"])
            masks.append(mask)
    return torch.tensor(boxes), torch.stack(masks) if masks else torch.zeros(0)


@torch.inference_mode()
def measure(detector, processor, row: dict, least_area: float, threshold: float) -> list[dict]:
    boxes, true = objects_of(row, least_area)
    if not len(boxes):  # all of them are small
        return []
    features = detector.get_image_features(**processor(row["image"], return_tensors="pt"))
    regions, _, maps = detector.find_regions(features, region_boxes=[boxes])
    probabilities, size = detector.draw(maps, regions.labels), true.shape[1:]
    cells = crop_masks(true, torch.arange(len(boxes)), boxes, probabilities.shape[-1])
    drawn = paste_probabilities(probabilities, boxes, size) > threshold
    ceiling = paste_probabilities(cells, boxes, size) > 0.5
    filled = paste_probabilities(torch.ones_like(probabilities), boxes, size) > 0.5
    return [
        {"drawn": iou(drawn[i], true[i]), "filled box": iou(filled[i], true[i]), "ceiling": iou(ceiling[i], true[i])}
        for i in range(len(boxes))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of a detector, or of a system over one")
    parser.add_argument("--dataset", required=True, help="name or folder, as hf_refseg.data.load takes it")
    parser.add_argument("--split", required=True)
    parser.add_argument("--least-area", type=float, default=0.01, help="of the photo (%(default)s)")
    parser.add_argument("--threshold", type=float, default=0.5, help="of drawn masks (%(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = AutoModel.from_pretrained(options.folder).eval()
    processor = AutoImageProcessor.from_pretrained(options.folder)
    detector = model if find_system(model.config.model_type).kind == "detector" else model.detector
    rows = one_row_per_image(hf_refseg.data.load(options.dataset, options.split))
    found = [
        one
        for index in tqdm(range(len(rows)))
        for one in measure(detector, processor, rows[index], options.least_area, options.threshold)
    ]
    means = {name: round(statistics.mean(one[name] for one in found), 4) for name in found[0]}
    categories = [detector.config.id2label[label] for label in range(detector.config.num_labels)]
    evaluators = detection_evaluators(processor, categories)
    precision = evaluators.evaluate(detector, rows, batch_size=1)
    means |= {name: round(value, 4) for name, value in precision.items() if "AP" in name}
    print(json.dumps({"photos": len(rows), "objects": len(found), **means}))


if __name__ == "__main__":
    main()
