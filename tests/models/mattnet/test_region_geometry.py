"""Neighbors and offsets against the original's rule, written out object by object."""

import functools

import pytest
import torch

from hf_refseg.layers.regions import Regions
from hf_refseg.models.mattnet.region_geometry import (
    location_features,
    neighbor_rows,
    neighbors,
    relative_locations,
)


def sorted_ids(boxes: list, region: int, allowed: list[int]) -> list[int]:
    """The original's sort: a comparison that is -1 for equal distances, under Python's own sort."""

    def distance(other):
        x, y, w, h = boxes[other]
        own_x, own_y, own_w, own_h = boxes[region]
        return (x + w / 2 - own_x - own_w / 2) ** 2 + (y + h / 2 - own_y - own_h / 2) ** 2

    compare = functools.cmp_to_key(lambda a, b: -1 if distance(a) <= distance(b) else 1)
    return sorted(allowed, key=compare)


@pytest.mark.parametrize("num_regions", [1, 2, 9, 150])
def test_neighbors_are_the_originals_ties_included(num_regions):
    generator = torch.Generator().manual_seed(num_regions)
    # A coarse lattice: most distances occur several times.
    xywh = torch.randint(0, 6, (num_regions + num_regions // 2, 4), generator=generator).double() * 8
    counts = (num_regions, num_regions // 2)
    labels = torch.randint(1, 4, (len(xywh),), generator=generator)
    regions = Regions(torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1), counts, labels)
    found = {kinds: neighbor_rows(regions, 5, kinds) for kinds in ("same", "different", "different_then_same")}
    start = 0
    for count in counts:
        boxes, categories = xywh[start : start + count].tolist(), labels[start : start + count]
        for region in range(count):
            others = [other for other in range(count) if other != region]
            same = [other for other in others if categories[other] == categories[region]]
            same = sorted_ids(boxes, region, same)
            different = [other for other in others if other not in same]
            different = sorted_ids(boxes, region, different)
            for kinds, expected in (
                ("same", same),
                ("different", different),
                ("different_then_same", different + same),
            ):
                padded = ([start + other for other in expected] + [-1] * 5)[:5]
                assert found[kinds][start + region].tolist() == padded, (kinds, start, region)
        start += count


def test_locations_by_hand():
    boxes = torch.tensor([[10.0, 20.0, 50.0, 40.0], [50.0, 0.0, 60.0, 30.0]])
    numbers = location_features(boxes, torch.tensor([[100, 200]] * 2))
    torch.testing.assert_close(numbers[0], torch.tensor([10 / 200, 20 / 100, 49 / 200, 39 / 100, 800 / 20000]))
    offsets = relative_locations(boxes, torch.tensor([[1, -1], [0, -1]]))
    # center of the first (30, 30), sides 40 and 20
    torch.testing.assert_close(offsets[0, 0], torch.tensor([20 / 40, -30 / 20, 30 / 40, 0.0, 300 / 800]))
    assert not offsets[:, 1].any()


def test_boxes_without_area_stay_finite():
    boxes = torch.tensor([[10.0, 10, 10, 10], [10, 10, 15, 10], [0, 0, 4, 4]])
    index = neighbors(boxes, torch.ones(3), 2, "same")
    assert (index >= 0).all()
    assert relative_locations(boxes, index).isfinite().all()


def test_float32_boxes_are_computed_in_float64():
    boxes = torch.rand(20, 4, generator=torch.Generator().manual_seed(0)) * 300
    index = neighbors(boxes, torch.ones(20), 5, "same")
    exact = relative_locations(boxes.double(), index)
    assert exact.dtype == torch.float32 and torch.equal(relative_locations(boxes, index), exact)


def test_a_tie_in_float32_is_none_in_float64():
    """The order of two neighbors whose distances differ by less than float32 can tell."""
    near = 100 + 2.0**-30
    boxes = torch.tensor([[0, 0, 10, 10], [100, 0, 110, 10], [near, 0, near + 10, 10]], dtype=torch.float64)
    assert neighbors(boxes, torch.ones(3), 2, "same")[0].tolist() == [1, 2]
    assert neighbors(boxes.float(), torch.ones(3), 2, "same")[0].tolist() == [2, 1], "a tie: the last comes first"
