"""
What the detectors have in common: the way from proposals to regions, and from a caller's boxes to described regions.

A detector brings the steps `propose`, `score`, `summarize`, `describe`, `describe_with_labels` and `draw`; here they
are joined.
M regions of all images, P places of one image that may be regions, K categories; C and D channels of crops and of what
masks are drawn from, S cells per side of a crop.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

from ..layers.arguments import check_sources, refuse_beside, refuse_unknown
from ..layers.inputs import values_are_readable
from ..layers.regions import Regions


class RegionDetector:
    """Mixin of a detector's model class."""

    masks_by_category: ClassVar[bool]  # whether `draw` reads labels: the masks of each category are drawn apart

    def images_of_call(self, unknown: Mapping, image_features, labels, choosing: Mapping, **given):
        """
        What a forward starts from: the features that are given, or those of the images. Every argument is read.

        Args:
            unknown: the `**kwargs` of the forward.
            image_features: what `get_image_features` returned, or None.
            labels: of a training step, or None.
            choosing: arguments that say what is chosen, which a training step does not do; None where not given.
            given: arguments of `get_image_features`.

        Raises:
            ValueError: neither images nor features, or both; `choosing` in a training step; another number of labels
                than of images. TypeError: an unknown argument.
        """
        refuse_unknown(self, unknown)
        check_sources({"image_features": image_features}, given)
        if labels is not None:
            refuse_beside("in a training step (labels), which chooses nothing", choosing)
        if image_features is None:
            image_features = self.get_image_features(**given)
        num_images = len(image_features.geometry.input_sizes)
        if labels is not None and len(labels) != num_images:
            raise ValueError(f"there are labels of {len(labels)} images, but {num_images} images")
        return image_features

    def choose(self, scored, score_threshold: float | None = None, at_least_one: bool = False) -> Regions:
        """
        The detections of B images.

        Args:
            scored: what `score` returned.
            score_threshold: least score; None: the configuration's.
            at_least_one: lower the threshold of an image until it has a detection, as MAttNet needs one to choose.
        """
        threshold = self.config.score_threshold if score_threshold is None else score_threshold
        columns = (values.split(scored.counts) for values in (scored.boxes, scored.probabilities()))
        found = [self._choose_in_image(*of_image, threshold, at_least_one) for of_image in zip(*columns, strict=True)]
        boxes, scores, labels = zip(*found, strict=True)
        counts = tuple(len(of_image) for of_image in labels)
        return Regions(torch.cat(boxes), counts, torch.cat(labels), torch.cat(scores))

    def detect(self, features, score_threshold: float | None = None, at_least_one: bool = False) -> Regions:
        """Propose, score and choose: the regions of B images; arguments as of `choose`."""
        return self.choose(self.score(features, self.propose(features)), score_threshold, at_least_one)

    def find_regions(
        self,
        features,
        region_boxes: torch.Tensor | Sequence | None = None,
        region_labels: torch.Tensor | Sequence | None = None,
        region_masks: torch.Tensor | Sequence | None = None,
        **options,
    ) -> tuple[Regions, torch.Tensor, torch.Tensor]:
        """
        The regions that a caller brings, with the likeliest category where none is said, or else those of `detect`.

        Args:
            features: of B images.
            region_boxes, region_labels, region_masks: of the caller, see [`Regions.of`].
            options: of `choose`.

        Returns:
            the regions, and their crops and maps as of `describe`.
        """
        if region_boxes is None and region_labels is None and region_masks is None:
            regions = self.detect(features, **options)
            return regions, *self.describe(features, regions)
        sizes = features.geometry.original_sizes
        regions = Regions.of(region_boxes, region_labels, region_masks, image_sizes=sizes)
        if regions.labels is not None and regions.masks is None:
            self.check_labels(regions.labels)
        return self.describe_with_labels(features, regions)

    def check_labels(self, labels: torch.Tensor) -> None:
        """
        Raises ValueError (where `values_are_readable`) for labels (M,) of which `draw` has no masks.

        Other numbers than the detector's own have a meaning where it does not read them: which regions are of one kind.
        """
        if not self.masks_by_category or not values_are_readable(labels) or not len(labels):
            return
        last = self.config.num_labels - 1
        if not 0 <= labels.min() <= labels.max() <= last:
            raise ValueError(
                f"a region has the label {labels.min() if labels.min() < 0 else labels.max()}, but the detector draws "
                f"masks of the categories 0 to {last} (config.id2label); give its labels, or leave them out"
            )


__all__ = ["RegionDetector"]
