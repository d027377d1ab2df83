"""Referring segmentation metrics with named protocols, as a module of Hugging Face evaluate."""

import datasets
import evaluate

from hf_refseg.data.run_lengths import check_rle
from hf_refseg.data.schema import text_rle
from hf_refseg.mask_values import as_count
from hf_refseg.metrics import PROTOCOLS, RefSegMetric

DESCRIPTION = (
    "Overall IoU, mean IoU, precision at X, gIoU, cIoU, N-acc and T-acc of referring segmentation, counted as a named "
    "protocol counts them: " + ", ".join(PROTOCOLS) + "."
)
INPUTS = """
Configurations, all with one sample per expression:
    counts: intersection, union (pixels), and optionally has_target and pred_no_target (bool).
    rle: predictions and references are COCO run lengths {"size": [height, width], "counts": str, bytes or list}.
    image: predictions and references are pictures (PIL, arrays, paths) of 0 and one other value, the foreground.
compute() takes protocol (default "hu2016"): """ + ", ".join(PROTOCOLS)
CITATION = "See hf_refseg.metrics.protocols for the evaluation code behind each protocol."

COUNTS = {"intersection": datasets.Value("int64"), "union": datasets.Value("int64")}
FLAGS = {"has_target": datasets.Value("bool"), "pred_no_target": datasets.Value("bool")}
RLE = {"size": datasets.List(datasets.Value("int32"), length=2), "counts": datasets.Value("string")}
FEATURES = {
    "counts": datasets.Features(COUNTS | FLAGS),
    "rle": datasets.Features({"predictions": RLE, "references": RLE}),
    "image": datasets.Features({"predictions": datasets.Image(), "references": datasets.Image()}),
}


class RefSeg(evaluate.Metric):
    """`evaluate.load("refseg_metric", "counts" | "rle" | "image")`; fractions in [0, 1]."""

    def _info(self):
        if self.config_name not in FEATURES:
            raise ValueError(
                f"refseg_metric has no configuration {self.config_name!r}: "
                f"evaluate.load(path, name) with one of {', '.join(FEATURES)}"
            )
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=FEATURES[self.config_name],
        )

    def add(self, **example):
        """One sample; has_target and pred_no_target may be left out of counts."""
        self._check_names(example)
        unknown = dict.fromkeys(FLAGS) if self.config_name == "counts" else {}
        super().add(**{**unknown, **{name: self._stored(name, value) for name, value in example.items()}})

    def add_batch(self, **batch):
        """A list of samples per column; has_target and pred_no_target may be left out of counts."""
        batch = {name: column for name, column in batch.items() if column is not None}
        self._check_names(batch)
        if self.config_name == "counts" and "intersection" in batch:
            batch = {name: [None] * len(batch["intersection"]) for name in FLAGS} | batch
        super().add_batch(**{name: [self._stored(name, value) for value in column] for name, column in batch.items()})

    def compute(self, *, protocol="hu2016", **columns):
        """The numbers of what was added, or of these columns, counted by a named protocol."""
        columns = {name: column for name, column in columns.items() if column is not None}
        if columns:
            self._check_names(columns)
        return super().compute(protocol=protocol, **columns)

    def _check_names(self, given):
        """Raises ValueError for columns that this configuration lacks or does not read."""
        features = FEATURES[self.config_name]
        unknown, missing = given.keys() - features.keys(), features.keys() - FLAGS.keys() - given.keys()
        if unknown or missing:
            others = [f"unknown {', '.join(sorted(unknown))}"] * bool(unknown)
            others += [f"missing {', '.join(sorted(missing))}"] * bool(missing)
            raise ValueError(f"{self.config_name} takes {', '.join(features)} and protocol; {'; '.join(others)}")

    def _stored(self, name, value):
        """A value as its column keeps it; the column itself would cut 1.5 to 1."""
        if self.config_name == "rle":
            return text_rle(check_rle(value))
        return as_count(value, name) if name in COUNTS else value

    def _compute(self, protocol="hu2016", **columns):
        metric = RefSegMetric(protocol)
        if self.config_name == "counts":
            for numbers in zip(*columns.values(), strict=True):
                counts = dict(zip(columns, numbers, strict=True))
                flags = [counts.pop(name) for name in FLAGS]
                if metric.protocol.knows_no_target and None in flags:
                    raise ValueError(
                        f"protocol {protocol} needs to know of each sample whether it has a target and whether the "
                        "system denies that: add has_target and pred_no_target beside intersection and union"
                    )
                metric.add_counts(**counts, has_target=flags[0] is not False, pred_no_target=flags[1])
        else:
            for prediction, reference in zip(columns["predictions"], columns["references"], strict=True):
                metric.add(prediction, reference)
        return metric.compute()
