"""Metrics of referring segmentation with named protocols: the accumulators everything else wraps."""

from .protocols import PROTOCOLS, Protocol, get_protocol
from .refseg import PRECISION_THRESHOLDS, RefSegMetric, mask_counts

__all__ = ["PRECISION_THRESHOLDS", "PROTOCOLS", "Protocol", "RefSegMetric", "get_protocol", "mask_counts"]
