"""Neighbours and offsets against the original's rule, written out object by object."""

import functools

import pytest
import torch

from hf_refseg.models.mattnet.region_geometry import location_features, neighbours, relative_locations


def sorted_ids(boxes: list, region: int, allowed: list[int]) -> list[int]:
    """The original's sort: a comparison that is -1 for equal distances, under Python's own sort."""

    def distance(other):
        x, y, w, h = boxes[other]
        own_x, own_y, own_w, own_h = boxes[region]
        return (x + w / 2 - own_x - own_w / 2) ** 2 + (y + h / 2 - own_y - own_h / 2) ** 2

    compare = functools.cmp_to_key(lambda a, b: -1 if distance(a) <= distance(b) else 1)
    return sorted(allowed, key=compare)


@pytest.mark.parametrize("num_regions", [1, 2, 9, 150])
def test_neighbours_are_the_originals_ties_included(num_regions):
    generator = torch.Generator().manual_seed(num_regions)
    # A coarse lattice: most distances occur several times.
    boxes = torch.randint(0, 6, (2, num_regions, 4), generator=generator).double() * 8
    categories = torch.randint(1, 4, (2, num_regions), generator=generator)
    mask = torch.ones(2, num_regions, dtype=torch.bool)
    mask[1, num_regions // 2 :] = False
    found = {
        kinds: neighbours(boxes, categories, mask, 5, kinds) for kinds in ("same", "different", "different_then_same")
    }
    for image in range(2):
        exists = mask[image].nonzero()[:, 0].tolist()
        for region in range(num_regions):
            if region not in exists:
                assert all((index[image, region] == -1).all() for index in found.values())
                continue
            others = [other for other in exists if other != region]
            same = [other for other in others if categories[image, other] == categories[image, region]]
            same = sorted_ids(boxes[image].tolist(), region, same)
            different = [other for other in others if other not in same]
            different = sorted_ids(boxes[image].tolist(), region, different)
            for kinds, expected in (
                ("same", same),
                ("different", different),
                ("different_then_same", different + same),
            ):
                padded = (expected + [-1] * 5)[:5]
                assert found[kinds][image, region].tolist() == padded, (kinds, image, region)


def test_locations_by_hand():
    boxes = torch.tensor([[[10.0, 20.0, 40.0, 20.0], [50.0, 0.0, 10.0, 30.0]]])
    numbers = location_features(boxes, torch.tensor([[100, 200]]))
    torch.testing.assert_close(numbers[0, 0], torch.tensor([10 / 200, 20 / 100, 49 / 200, 39 / 100, 800 / 20000]))
    offsets = relative_locations(boxes, torch.tensor([[[1, -1], [0, -1]]]))
    # centre of the first (30, 30), sides 40 and 20
    torch.testing.assert_close(offsets[0, 0, 0], torch.tensor([20 / 40, -30 / 20, 30 / 40, 0.0, 300 / 800]))
    assert not offsets[0, :, 1].any()


def test_boxes_without_area_stay_finite():
    boxes = torch.tensor([[[10.0, 10, 0, 0], [10, 10, 5, 0], [0, 0, 4, 4]]])
    index = neighbours(boxes, torch.ones(1, 3), torch.ones(1, 3, dtype=torch.bool), 2, "same")
    assert (index >= 0).all()
    assert relative_locations(boxes, index).isfinite().all()


def test_float32_boxes_are_computed_in_float64():
    boxes = torch.rand(1, 20, 4, generator=torch.Generator().manual_seed(0)) * 300
    index = neighbours(boxes, torch.ones(1, 20), torch.ones(1, 20, dtype=torch.bool), 5, "same")
    exact = relative_locations(boxes.double(), index)
    assert exact.dtype == torch.float32 and torch.equal(relative_locations(boxes, index), exact)
