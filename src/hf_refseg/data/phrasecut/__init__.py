"""VGPhraseCut (Wu et al., PhraseCut, CVPR 2020): reads the official files and draws their polygons."""

from .polygons import polygons_to_mask
from .reader import PhraseCutFolder, load_phrasecut, name_counts, read_skipped

__all__ = ["PhraseCutFolder", "load_phrasecut", "name_counts", "polygons_to_mask", "read_skipped"]
