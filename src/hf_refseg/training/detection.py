"""Training and evaluating the detector: batches of rows with instances, and COCO's average precision."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
import torch
from accelerate.utils import gather_object
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch.utils.data import DataLoader
from transformers.trainer_utils import EvalLoopOutput

from ..data.augment import flip_row
from ..data.row_draws import RowDraws
from ..data.schema import decode_mask
from ..evaluation.batches import NumberedRows
from .trainer import ReferringSegmentationTrainer

SCORE_THRESHOLD = 0.05  # average precision wants the unsure detections too


class DetectionCollator(RowDraws):
    """Rows of the one schema with `instances` -> inputs and labels of [`MaskRcnnForInstanceSegmentation`].

    Args:
        image_processor: the detector's.
        categories: names in the order of the model's labels (`config.id2label`).
        flip_probability: share of rows that are mirrored.
        seed: another seed, other draws.

    Raises (on call):
        ValueError: a row without the field `instances`, or with a category that the model does not have.
    """

    def __init__(self, image_processor, categories: Sequence[str], flip_probability: float = 0.0, seed: int = 0):
        super().__init__(seed)
        self.image_processor, self.flip_probability = image_processor, flip_probability
        self.labels = {name: label for label, name in enumerate(categories)}

    def __call__(self, rows: Sequence[dict]):
        images, annotations = [], []
        for row in rows:
            self.check(row)
            if self.draws_of(row).random() < self.flip_probability:
                row = flip_row(row)
            images.append(row["image"])
            annotations.append(self.annotation(row))
        return dict(self.image_processor(images, annotations=annotations, return_tensors="pt"))

    def check(self, row: dict) -> None:
        """Raises ValueError for a row whose objects are not told, or are not known to the model."""
        if row.get("instances") is None:
            raise ValueError(
                f"row {row['source']} {row['split']} of image {row['image_id']} has no field instances, from which "
                "a detector learns; RefShapes and COCO folders have it"
            )
        unknown = {instance["category"] for instance in row["instances"]} - self.labels.keys()
        if unknown:
            raise ValueError(f"image {row['image_id']} holds {sorted(unknown)}; the model knows {list(self.labels)}")

    def annotation(self, row: dict) -> dict:
        instances = row["instances"]
        size = (row["height"], row["width"])
        masks = [decode_mask(instance["mask"]) for instance in instances]
        return {
            "boxes": [instance["box"] for instance in instances],
            "masks": np.stack(masks) if masks else np.zeros((0, *size), bool),
            "class_labels": [self.labels[instance["category"]] for instance in instances],
        }


class NumberedCollator:
    """Numbered rows -> inputs without labels, and what is needed to compare with the truth."""

    def __init__(self, collator: DetectionCollator):
        self.collator = collator

    def __call__(self, numbered_rows: list[tuple[int, dict]]) -> dict:
        numbers, rows = zip(*numbered_rows, strict=True)
        inputs = dict(self.collator.image_processor([row["image"] for row in rows], return_tensors="pt"))
        truths = []
        for row in rows:
            self.collator.check(row)
            truths.append(
                [
                    {"label": self.collator.labels[thing["category"]], "box": thing["box"], "mask": thing["mask"]}
                    for thing in row["instances"]
                ]
            )
        return {"inputs": inputs, "numbers": list(numbers), "truths": truths, "sizes": [_size(row) for row in rows]}


def _size(row: dict) -> tuple[int, int]:
    return row["height"], row["width"]


class DetectionTrainer(ReferringSegmentationTrainer):
    """Trains [`MaskRcnnForInstanceSegmentation`]; takes a [`DetectionCollator`] for training and evaluation.

    `evaluate()` reports `eval_mask_AP`, `eval_mask_AP50`, `eval_box_AP`, `eval_box_AP50` and `eval_num`, the number of
    images, as pycocotools counts them.
    """

    def get_eval_dataloader(self, eval_dataset=None) -> DataLoader:
        rows = self.eval_dataset if eval_dataset is None else eval_dataset
        return self.accelerator.prepare(
            DataLoader(
                NumberedRows(rows),
                batch_size=self.args.eval_batch_size,
                collate_fn=NumberedCollator(self.eval_collator),
                num_workers=self.args.dataloader_num_workers,
            )
        )

    def evaluation_loop(
        self, dataloader, description, prediction_loss_only=None, ignore_keys=None, metric_key_prefix="eval"
    ) -> EvalLoopOutput:
        model = self.accelerator.unwrap_model(self.model_wrapped)
        model.eval()
        self.callback_handler.eval_dataloader = dataloader
        images = []
        for batch in dataloader:
            inputs = self._prepare_inputs(batch["inputs"])
            with torch.no_grad(), self.compute_loss_context_manager():
                outputs = model(**inputs, score_threshold=SCORE_THRESHOLD)
            results = self.processing_class.post_process_instance_segmentation(outputs, inputs["original_sizes"])
            for columns in zip(batch["numbers"], batch["sizes"], batch["truths"], results, strict=True):
                number, size, truths, result = columns
                images.append((number, {"size": size, "truths": truths, "found": detections_of(result)}))
            self.control = self.callback_handler.on_prediction_step(self.args, self.state, self.control)
        images = [image for _, image in sorted(dict(gather_object(images)).items())]
        categories = list(self.eval_collator.labels)
        numbers = {
            f"{metric_key_prefix}_{name}": value for name, value in average_precision(images, categories).items()
        }
        return EvalLoopOutput(predictions=None, label_ids=None, metrics=numbers, num_samples=len(images))

    @staticmethod
    def summary(metrics: dict) -> str:
        return (
            f"mask AP50 {metrics['eval_mask_AP50']:.3f}, AP {metrics['eval_mask_AP']:.3f}; box AP50 "
            f"{metrics['eval_box_AP50']:.3f} (COCOeval, {metrics['eval_num']} images)"
        )


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
