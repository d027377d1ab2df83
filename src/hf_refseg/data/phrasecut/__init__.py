"""VGPhraseCut (Wu et al., PhraseCut, CVPR 2020): reader of the official files and their rasteriser."""

from .polygons import polygons_to_mask
from .reader import PhraseCutFolder, load_phrasecut, name_counts, read_skipped

__all__ = ["PhraseCutFolder", "load_phrasecut", "name_counts", "polygons_to_mask", "read_skipped"]
