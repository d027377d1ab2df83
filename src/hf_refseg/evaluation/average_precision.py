"""COCO's average precision of masks and boxes."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def detections_of(result: dict) -> list[dict]:
    """One image of `post_process_instance_segmentation` with its masks as run lengths."""
    masks = result["segmentation"].cpu().numpy()
    found = []
    for mask, info in zip(masks, result["segments_info"], strict=True):
        rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        found.append({"label": info["label_id"], "score": info["score"], "box": info["box"], "mask": rle})
    return found


def average_precision(images: Sequence[dict], categories: Sequence[str]) -> dict[str, float]:
    """
    COCO's average precision of masks and boxes, by pycocotools' own COCOeval.

    Args:
        images: dicts of `size` (height, width), `truths` (`label`, `box` xyxy, `mask` RLE) and `found` (the same and
            `score`).
        categories: names in the order of the labels.

    Returns:
        `mask_AP`, `mask_AP50`, `box_AP`, `box_AP50` in [0, 1], NaN where no image has an object, and `num`, the number
        of images.
    """
    truths, found = [], []
    for number, image in enumerate(images):
        for target, things in ((truths, image["truths"]), (found, image["found"])):
            for thing in things:
                entry = {"image_id": number, "category_id": thing["label"] + 1, "bbox": _xywh(thing["box"])}
                entry |= {"id": len(target) + 1, "segmentation": thing["mask"], "iscrowd": 0}
                entry["area"] = float(coco_mask.area(_bytes(thing["mask"])))
                target.append(entry | ({"score": thing["score"]} if "score" in thing else {}))
    sizes = [{"id": number, "height": i["size"][0], "width": i["size"][1]} for number, i in enumerate(images)]
    names = [{"id": label + 1, "name": name} for label, name in enumerate(categories)]
    numbers = {}
    for kind, iou_type in (("mask", "segm"), ("box", "bbox")):
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
            truth, prediction = COCO(), COCO()
            truth.dataset = {"images": sizes, "annotations": truths, "categories": names}
            prediction.dataset = {"images": sizes, "annotations": found, "categories": names}
            truth.createIndex()
            prediction.createIndex()
            evaluation = COCOeval(truth, prediction, iou_type)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        ap, ap50 = (float("nan") if stat < 0 else float(stat) for stat in evaluation.stats[:2])  # -1 says: no objects
        numbers |= {f"{kind}_AP": ap, f"{kind}_AP50": ap50}
    return numbers | {"num": len(images)}


def _xywh(box: Sequence[float]) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def _bytes(rle: dict) -> dict:
    counts = rle["counts"]
    return {**rle, "counts": counts.encode() if isinstance(counts, str) else counts}
