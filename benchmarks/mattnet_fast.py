"""What fewer proposals, MAttNet's fast setting, do to boxes and masks: `python benchmarks/mattnet_fast.py`.

The checkpoints that ship, on scenes of RefShapes' test split: average precision of the detector by COCOeval, overall
IoU and box accuracy of MAttNet, and the processor time of a whole answer. Their `post_nms_top_n` is 50 where the
published detector's is 300, so read the effect of a half, a quarter and so on.
"""

import argparse
import time

import torch
from tqdm import tqdm
from transformers import AutoImageProcessor, AutoModel, AutoProcessor
from transformers.utils import logging

import hf_refseg
from hf_refseg.data import RefShapes, decode_mask
from hf_refseg.metrics import RefSegMetric, get_protocol, make_sample
from hf_refseg.training.detection import average_precision, detections_of

PROPOSALS = (50, 25, 12, 6)


@torch.inference_mode()
def detection(number: int, rows: list[dict]) -> dict[str, float]:
    name = hf_refseg.checkpoint_path("refseg-shapes-mask-rcnn")
    model, processor = AutoModel.from_pretrained(name), AutoImageProcessor.from_pretrained(name)
    model.config.post_nms_top_n = number
    categories = [model.config.id2label[label] for label in range(model.config.num_labels)]
    images = []
    for row in tqdm(rows, f"detector, {number} proposals", leave=False):
        inputs = processor(row["image"])
        outputs = model(**inputs, score_threshold=0.05)
        (result,) = processor.post_process_instance_segmentation(outputs, inputs["original_sizes"])
        truths = [{**thing, "label": categories.index(thing["category"])} for thing in row["instances"]]
        images.append({"size": (row["height"], row["width"]), "truths": truths, "found": detections_of(result)})
    return average_precision(images, categories)


@torch.inference_mode()
def answers(number: int, rows: list[dict]) -> dict[str, float]:
    name = hf_refseg.checkpoint_path("refseg-shapes-mattnet")
    model, processor = AutoModel.from_pretrained(name), AutoProcessor.from_pretrained(name)
    model.detector.config.post_nms_top_n = number
    metric, protocol, seconds = RefSegMetric("hu2016"), get_protocol("hu2016"), 0.0
    for row in tqdm(rows, f"MAttNet, {number} proposals", leave=False):
        texts = [sentence["sent"] for sentence in row["sentences"]]
        inputs = processor(row["image"], texts, return_tensors="pt")
        start = time.process_time()
        outputs = model(**inputs)
        seconds += time.process_time() - start
        target = decode_mask(row["mask"])
        for result in processor.post_process_referring_segmentation(outputs, inputs["original_sizes"]):
            boxes = {"pred_boxes": [result["box"]], "target_boxes": row["boxes"]}
            metric.add_sample(make_sample(protocol, result["mask"].numpy(), target, **boxes))
    return {**metric.compute(), "cpu_ms": 1e3 * seconds / len(rows)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=200)
    options = parser.parse_args()
    logging.disable_progress_bar()
    shapes = RefShapes(split="test", num_samples=options.scenes)
    rows = [shapes[index] for index in range(options.scenes)]
    print("| proposals | mask AP | mask AP50 | box AP | oIoU | box accuracy | CPU ms per scene |")
    print("|---|---|---|---|---|---|---|")
    for number in PROPOSALS:
        found, answered = detection(number, rows), answers(number, rows)
        numbers = [found["mask_AP"], found["mask_AP50"], found["box_AP"], answered["oIoU"], answered["box_acc"]]
        print(f"| {number} | " + " | ".join(f"{value:.3f}" for value in numbers) + f" | {answered['cpu_ms']:.0f} |")


if __name__ == "__main__":
    main()
