"""
What fewer proposals, MAttNet's fast setting, do to boxes and masks: `python benchmarks/mattnet_fast.py`.

The checkpoints that ship, on scenes of RefShapes' test split: average precision of the detector by COCOeval, overall
IoU and box accuracy of MAttNet, and the processor time of a whole answer. Their `post_nms_top_n` is 50 where the
published detector's is 300, so read the effect of a half, a quarter and so on.
"""

from functools import partial

import torch
from report import argument_parser, publish
from timed_process import clock
from tqdm import tqdm
from transformers import AutoImageProcessor, AutoModel, AutoProcessor
from transformers.utils import logging

import hf_refseg
from hf_refseg.checkpoints import resolve_checkpoint
from hf_refseg.data import RefShapes, decode_mask
from hf_refseg.metrics import RefSegMetric, get_protocol, make_sample
from hf_refseg.models.mask_rcnn.training_mask_rcnn import detection_evaluators

PROPOSALS = (50, 25, 12, 6)
COLUMNS = {
    "proposals": ("proposals", ""),
    "mask_AP": ("mask AP", ".3f"),
    "mask_AP50": ("mask AP50", ".3f"),
    "box_AP": ("box AP", ".3f"),
    "oIoU": ("oIoU", ".3f"),
    "box_acc": ("box accuracy", ".3f"),
    "cpu_ms": ("CPU ms per scene", ".0f"),
}


def detection(number: int, rows: list[dict]) -> dict[str, float]:
    name = hf_refseg.checkpoint_path("refseg-shapes-mask-rcnn")
    model, processor = AutoModel.from_pretrained(name), AutoImageProcessor.from_pretrained(name)
    model.config.post_nms_top_n = number
    categories = [model.config.id2label[label] for label in range(model.config.num_labels)]
    evaluators = detection_evaluators(processor, categories)
    return evaluators.evaluate(model, rows, batch_size=1)


@torch.inference_mode()
def answers(checkpoint: str, number: int, rows: list[dict], repeats: int) -> dict[str, float]:
    """Masks and boxes of a model over a detector, with so many proposals, and the time of an answer."""
    name = resolve_checkpoint(checkpoint)
    model, processor = AutoModel.from_pretrained(name), AutoProcessor.from_pretrained(name)
    model.detector.config.post_nms_top_n = number
    metric, protocol, seconds = RefSegMetric("hu2016"), get_protocol("hu2016"), 0.0
    for row in tqdm(rows, f"{checkpoint}, {number} proposals", leave=False):
        texts = [sentence["sent"] for sentence in row["sentences"]]
        inputs = processor(row["image"], texts, return_tensors="pt")
        outputs = model(**inputs)
        seconds += min(cpu for _, cpu in (clock(partial(model, **inputs)) for _ in range(repeats)))
        target = decode_mask(row["mask"])
        for result in processor.post_process_referring_segmentation(outputs, inputs["original_sizes"]):
            boxes = {"pred_boxes": [result["box"]], "target_boxes": row["boxes"]}
            metric.add_sample(make_sample(protocol, result["mask"].numpy(), target, **boxes))
    return {**metric.compute(), "cpu_ms": 1e3 * seconds / len(rows)}


def main():
    parser = argument_parser(__doc__, repeats=1)
    parser.add_argument("--scenes", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable_progress_bar()
    shapes = RefShapes(split="test", num_samples=options.scenes)
    scenes = [shapes[index] for index in range(options.scenes)]
    rows = [
        {
            **detection(number, scenes),
            **answers("refseg-shapes-mattnet", number, scenes, options.repeats),
            "proposals": number,
        }
        for number in PROPOSALS
    ]
    publish(options, rows, COLUMNS, scenes=options.scenes)


if __name__ == "__main__":
    main()
