"""What is measured of a model over the rows of a split: masks, the choice among regions, detections.

An evaluator has four methods. `batch` prepares what it compares with, where rows are read (a worker of a DataLoader);
`add` asks the model and keeps a few numbers per row; `compute` makes the metrics of all rows and processes, and forgets
the rows; `summary` says the metrics in one line. [`Evaluators`] composes them: a row is read, decoded and encoded once
for all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object, send_to_device
from tqdm import tqdm

from ..data.collator import ReferringSegmentationCollator
from ..data.objects import object_boxes, object_labels
from ..metrics import RefSegMetric, Sample, get_protocol
from ..processing.resizing import check_interpolation
from .average_precision import average_precision, detections_of
from .batches import EvaluationCollator, batch_samples

# What a processor says of images.
IMAGE_INPUTS = ("pixel_values", "pixel_mask", "original_sizes", "image_scales")
# Average precision asks for the unsure detections too.
SCORE_THRESHOLD = 0.05


class Evaluator:
    """What the evaluators have in common: results of rows, each counted once."""

    def __init__(self):
        self._results: list[tuple[int, Any]] = []

    def batch(self, rows: Sequence[dict]) -> dict[str, Any]:
        """What this evaluator needs of the rows of a batch beside what all evaluators share; it enters the batch."""
        return {}

    def add(self, model: torch.nn.Module, batch: Mapping[str, Any]) -> None:
        """Ask the model for the answers to one batch, and keep what `compute` needs of them."""
        raise NotImplementedError

    def compute(self) -> dict[str, Any]:
        """The metrics of all rows that were added since the last call, in any process."""
        raise NotImplementedError

    def summary(self, metrics: Mapping[str, Any]) -> str:
        """One line about what `compute` returned."""
        raise NotImplementedError

    def _take_results(self) -> list:
        """The results of all processes in the order of the rows. Rows that were repeated to fill up the last batches
        count once."""
        results, self._results = gather_object(self._results), []
        return [result for _, result in sorted(dict(results).items())]


class Evaluators:
    """
    Several evaluators over one pass through the rows.

    Args:
        collate: makes of numbered rows what all evaluators share: a dict of `inputs` (what the model takes), `numbers`
            and `rows`; of referring expressions an [`EvaluationCollator`].
        evaluators: asked one after the other.
        share: takes the model and the inputs and returns the inputs, with what all forwards have in common computed
            once; None: nothing.
    """

    def __init__(
        self,
        collate: Callable[[list[tuple[int, dict]]], dict],
        evaluators: Sequence[Evaluator],
        share: Callable[[torch.nn.Module, dict], dict] | None = None,
    ):
        self.collate, self.evaluators, self.share = collate, list(evaluators), share

    def batch(self, numbered_rows: list[tuple[int, dict]]) -> dict[str, Any]:
        """A batch of rows, each with its number, for `add`."""
        batch = self.collate(numbered_rows)
        for evaluator in self.evaluators:
            batch |= evaluator.batch(batch["rows"])
        # No evaluator needs the pictures any more: workers have less to send.
        rows = [{name: value for name, value in row.items() if name != "image"} for row in batch["rows"]]
        return {**batch, "rows": rows}

    @torch.no_grad()
    def add(self, model: torch.nn.Module, batch: Mapping[str, Any]) -> None:
        """Ask the model for the answers to one batch."""
        if self.share is not None:
            batch = {**batch, "inputs": self.share(model, batch["inputs"])}
        for evaluator in self.evaluators:
            evaluator.add(model, batch)

    def evaluate(self, model: torch.nn.Module, rows: Sequence[dict], batch_size: int = 8) -> dict[str, Any]:
        """The metrics of a model over rows, in this process alone."""
        model.eval()
        for start in tqdm(range(0, len(rows), batch_size), "evaluation", leave=False):
            batch = self.batch([(number, rows[number]) for number in range(start, min(start + batch_size, len(rows)))])
            self.add(model, {**batch, "inputs": send_to_device(batch["inputs"], model.device)})
        return self.compute()

    def compute(self) -> dict[str, Any]:
        """The metrics of all evaluators, of all rows that were added since the last call."""
        return {name: value for evaluator in self.evaluators for name, value in evaluator.compute().items()}

    def summary(self, metrics: Mapping[str, Any]) -> str:
        """One line about what `compute` returned."""
        return "; ".join(evaluator.summary(metrics) for evaluator in self.evaluators)


class SegmentationEvaluator(Evaluator):
    """
    Masks at the size of the photo, counted under a named protocol.

    Args:
        processor: brings the masks back to the size of the photo.
        protocol: name of a metric protocol; it also sets the threshold of the masks.
        interpolation: `"clean"` or `"paper"`, the way back to the original size.

    `compute` returns what [`RefSegMetric`] has under the protocol; `cut_off`, the number of expressions that are longer
    than the model reads; and `loss`, the mean over the expressions, where the inputs hold labels and the model has a
    loss of masks.

    Raises:
        ValueError: an unknown protocol or interpolation.
    """

    def __init__(self, processor, protocol: str = "hu2016", interpolation: str = "clean"):
        super().__init__()
        check_interpolation(interpolation)
        self.processor, self.protocol, self.interpolation = processor, get_protocol(protocol), interpolation
        self._losses: list[tuple[float, int]] = []

    def add(self, model: torch.nn.Module, batch: Mapping[str, Any]) -> None:
        inputs = batch["inputs"]
        outputs = model(**inputs)
        results = self.processor.post_process_referring_segmentation(
            outputs,
            target_sizes=[target.shape for target in batch["targets"]],
            threshold=self.protocol.probability_threshold,
            interpolation=self.interpolation,
        )
        cut_off = [
            sum(bool(self.processor.unread_words(sentence["sent"])) for sentence in row["sentences"])
            for row in batch["rows"]
        ]
        counted = batch_samples(results, batch, self.protocol)
        self._results += [(number, (samples, cut)) for (number, samples), cut in zip(counted, cut_off, strict=True)]
        if outputs.loss is not None:
            self._losses.append((outputs.loss.item(), len(results)))

    def compute(self) -> dict[str, Any]:
        metric, cut_off = RefSegMetric(self.protocol.name), 0
        for samples, cut in self._take_results():
            cut_off += cut
            for sample in samples:
                metric.add_sample(sample)
        losses, self._losses = gather_object(self._losses), []
        metrics = {**metric.compute(), "cut_off": cut_off}
        if losses:
            metrics["loss"] = sum(loss * num for loss, num in losses) / sum(num for _, num in losses)
        return metrics

    def summary(self, metrics: Mapping[str, Any]) -> str:
        return (
            f"oIoU {metrics['oIoU']:.3f}, mIoU {metrics['mIoU']:.3f} "
            f"({metrics['protocol']}, {metrics['num']} expressions)"
        )


class ComprehensionEvaluator(Evaluator):
    """
    How often a system that chooses among regions chooses the right one of the annotated objects.

    Only sentences that refer to exactly one object are counted.

    Args:
        labels: the label of each category that the model's detector knows.
        protocol: as of the masks.

    `compute` returns `region_acc`, NaN where no sentence refers to exactly one object.

    Raises (on `batch`):
        ValueError: a row that does not list the objects of its image, or holds an unknown category.
    """

    def __init__(self, labels: Mapping[str, int], protocol: str = "hu2016"):
        super().__init__()
        self.labels, self.protocol = dict(labels), protocol

    def batch(self, rows: Sequence[dict]) -> dict[str, Any]:
        objects = []
        for row in rows:
            labels, ids = object_labels(row, self.labels), [thing["ann_id"] for thing in row["instances"]]
            objects.append(
                {
                    "boxes": object_boxes(row),
                    "labels": torch.tensor(labels),
                    "right": ids.index(row["ann_ids"][0]) if len(row["ann_ids"]) == 1 else None,
                }
            )
        return {"objects": objects}

    def add(self, model: torch.nn.Module, batch: Mapping[str, Any]) -> None:
        regions = {f"region_{name}": [image[name] for image in batch["objects"]] for name in ("boxes", "labels")}
        chosen = iter(model(**batch["inputs"], **regions).chosen.tolist())
        for number, image, count in zip(batch["numbers"], batch["objects"], batch["expressions_per_row"], strict=True):
            answers = [next(chosen) for _ in range(count)]
            if image["right"] is not None:
                self._results.append((number, [answer == image["right"] for answer in answers]))

    def compute(self) -> dict[str, Any]:
        metric = RefSegMetric(self.protocol)
        answers = [answer for of_row in self._take_results() for answer in of_row]
        for answer in answers:
            metric.add_sample(Sample(None, None, correct=answer))
        return {"region_acc": metric.compute()["region_acc"] if answers else float("nan")}

    def summary(self, metrics: Mapping[str, Any]) -> str:
        return f"{metrics['region_acc']:.3f} right among annotated objects"


class DetectionEvaluator(Evaluator):
    """
    COCO's average precision of a detector.

    Args:
        image_processor: brings the masks back to the size of the photo.
        categories: their names in the order of the model's labels.

    `compute` returns `mask_AP`, `mask_AP50`, `box_AP`, `box_AP50` and `num`, the number of images.

    Raises (on `batch`):
        ValueError: a row that does not list the objects of its image, or holds an unknown category.
    """

    def __init__(self, image_processor, categories: Sequence[str]):
        super().__init__()
        self.image_processor, self.categories = image_processor, list(categories)
        self.labels = {name: label for label, name in enumerate(categories)}

    def batch(self, rows: Sequence[dict]) -> dict[str, Any]:
        truths = [
            [
                {"label": label, "box": thing["box"], "mask": thing["mask"]}
                for label, thing in zip(object_labels(row, self.labels), row["instances"], strict=True)
            ]
            for row in rows
        ]
        return {"truths": truths, "sizes": [(row["height"], row["width"]) for row in rows]}

    def add(self, model: torch.nn.Module, batch: Mapping[str, Any]) -> None:
        inputs = batch["inputs"]
        outputs = model(**inputs, score_threshold=SCORE_THRESHOLD)
        results = self.image_processor.post_process_instance_segmentation(outputs, inputs["original_sizes"])
        for columns in zip(batch["numbers"], batch["sizes"], batch["truths"], results, strict=True):
            number, size, truths, result = columns
            self._results.append((number, {"size": size, "truths": truths, "found": detections_of(result)}))

    def compute(self) -> dict[str, Any]:
        return average_precision(self._take_results(), self.categories)

    def summary(self, metrics: Mapping[str, Any]) -> str:
        return (
            f"mask AP50 {metrics['mask_AP50']:.3f}, AP {metrics['mask_AP']:.3f}; box AP50 "
            f"{metrics['box_AP50']:.3f} (COCOeval, {metrics['num']} images)"
        )


def in_place_of_images(inputs: Mapping[str, Any], **features) -> dict[str, Any]:
    """The inputs of a model with features that it made of the images in place of these: for `Evaluators.share`."""
    return {**{name: value for name, value in inputs.items() if name not in IMAGE_INPUTS}, **features}


def referring_evaluators(
    processor,
    protocol: str = "hu2016",
    interpolation: str = "clean",
    labels: bool = False,
    others: Sequence[Evaluator] = (),
    share: Callable[[torch.nn.Module, dict], dict] | None = None,
) -> Evaluators:
    """
    The evaluators of a system that answers with masks: [`SegmentationEvaluator`], and others over the same batches.

    Args:
        processor, protocol, interpolation: of the [`SegmentationEvaluator`].
        labels: whether the inputs hold labels, for a model that has a loss of masks.
        others, share: see [`Evaluators`].
    """
    collator = ReferringSegmentationCollator(processor, sentence="all", labels=labels)
    evaluators = [SegmentationEvaluator(processor, protocol, interpolation), *others]
    return Evaluators(EvaluationCollator(collator, get_protocol(protocol)), evaluators, share)
