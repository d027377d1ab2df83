"""Training and evaluating MAttNet: masks among its own detections, and comprehension among the annotated objects."""

from collections.abc import Sequence

import torch
from accelerate.utils import gather_object
from transformers.trainer_utils import EvalLoopOutput

from ..models.mattnet.region_geometry import with_area
from .trainer import ReferringSegmentationTrainer


class MatchingTrainer(ReferringSegmentationTrainer):
    """
    Trains [`MAttNetForReferringSegmentation`] on batches of a [`MAttNetCollator`].

    `evaluate()` reports what `ReferringSegmentationTrainer` does, for masks of the model's own detections ("dets" in
    the original), and `eval_accuracy`: how often the right one of the annotated objects is chosen ("easy"), of the
    sentences that mean exactly one.
    """

    def evaluation_loop(self, dataloader, description, *args, metric_key_prefix="eval", **kwargs) -> EvalLoopOutput:
        output = super().evaluation_loop(dataloader, description, *args, metric_key_prefix=metric_key_prefix, **kwargs)
        rows = dataloader.dataset.rows.with_instances()
        state = self.accelerator.state
        numbers = range(state.process_index, len(rows), state.num_processes)
        model = self.accelerator.unwrap_model(self.model_wrapped).eval()
        answers = []
        for start in range(0, len(numbers), self.args.eval_batch_size):
            batch = [rows[number] for number in numbers[start : start + self.args.eval_batch_size]]
            answers += comprehension(model, self.processing_class, batch, self.args.device)
        answers = gather_object(answers)
        output.metrics[f"{metric_key_prefix}_accuracy"] = sum(answers) / max(len(answers), 1)
        return output

    @staticmethod
    def summary(metrics: dict) -> str:
        return f"accuracy {metrics['eval_accuracy']:.3f} among annotated objects; among detections " + (
            ReferringSegmentationTrainer.summary(metrics)
        )


@torch.no_grad()
def comprehension(model, processor, rows: Sequence[dict], device: torch.device | str = "cpu") -> list[bool]:
    """
    Whether the right object is chosen, of each sentence of each row that means exactly one (the original's "easy").

    Args:
        rows: of the one schema, with `instances`.

    Raises:
        ValueError: an object of a category that the detector does not know.
    """
    rows = [row for row in rows if len(row["ann_ids"]) == 1]
    if not rows:
        return []
    labels = {name: label for label, name in model.config.detector_config.id2label.items()}
    for row in rows:
        if unknown := {thing["category"] for thing in row["instances"]} - labels.keys():
            raise ValueError(f"image {row['image_id']} holds {sorted(unknown)}; the detector knows {list(labels)}")
    texts = [[sentence["sent"] for sentence in row["sentences"]] for row in rows]
    inputs = processor(images=[row["image"] for row in rows], text=texts, allow_unknown=True, return_tensors="pt").to(
        device
    )
    boxes = [with_area(torch.tensor([thing["box"] for thing in row["instances"]], device=device)) for row in rows]
    kinds = [torch.tensor([labels[thing["category"]] for thing in row["instances"]], device=device) for row in rows]
    outputs = model(**inputs, region_boxes=boxes, region_labels=kinds)
    answers = []
    for chosen, image in zip(outputs.chosen.tolist(), outputs.image_index.tolist(), strict=True):
        answers.append(rows[image]["instances"][chosen]["ann_id"] == rows[image]["ann_ids"][0])
    return answers
