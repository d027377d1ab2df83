"""Metrics of referring segmentation with named protocols: the accumulators everything else wraps."""

from .attributes import AttributeMetric
from .boxes import box_counts, inclusive_box_iou
from .counts import Sample, mask_counts
from .phrasecut_subsets import PHRASECUT_SUBSETS, PhraseCutSubsets
from .protocols import PROTOCOLS, Protocol, get_protocol
from .ratios import PRECISION_THRESHOLDS
from .refseg import RefSegMetric, make_sample
from .threshold_search import ThresholdSearch

__all__ = [
    "PHRASECUT_SUBSETS",
    "PRECISION_THRESHOLDS",
    "PROTOCOLS",
    "AttributeMetric",
    "PhraseCutSubsets",
    "Protocol",
    "RefSegMetric",
    "Sample",
    "ThresholdSearch",
    "box_counts",
    "get_protocol",
    "inclusive_box_iou",
    "make_sample",
    "mask_counts",
]
