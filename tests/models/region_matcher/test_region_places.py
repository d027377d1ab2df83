"""Where regions lie among those of their kind, and to each other."""

import torch

from hf_refseg.models.region_matcher.region_places import (
    OFFSET_SIZE,
    PLACE_SIZE,
    RANK_SIZE,
    count_things,
    numbers_beside,
    orders,
    pair_offsets,
    pair_overlaps,
    places,
    relative_boxes,
    same_thing,
    soft_ranks,
)

# Three cups in a row, the first of them found twice, and something else between them.
BOXES = torch.tensor([[[0.0, 0.4, 0.1, 0.6], [0.01, 0.4, 0.11, 0.6], [0.4, 0.4, 0.5, 0.6], [0.8, 0.4, 0.9, 0.6],
                       [0.6, 0.1, 0.7, 0.2]]])  # fmt: skip
KIND = torch.tensor([[0.95, 0.9, 0.9, 0.95, 0.05]])


def test_boxes_become_shares_of_the_photo():
    boxes = torch.tensor([[[0.0, 0, 320, 240], [160, 120, 800, 240]]])
    relative = relative_boxes(boxes, torch.tensor([[480, 640]]))
    assert relative.tolist() == [[[0, 0, 0.5, 0.5], [0.25, 0.25, 1, 0.5]]]
    assert places(relative).shape == (1, 2, PLACE_SIZE) and places(relative).abs().max() <= 1


def test_what_is_found_twice_counts_once():
    same = same_thing(pair_overlaps(BOXES)[0])
    counted = count_things(KIND, same)
    assert abs(counted[0, :2].sum() - 1) < 0.1 and (counted[0, 2:4] > 0.95).all() and counted[0, 4] < 0.05


def test_the_surest_regions_count_where_none_is_sure():
    same, faint = same_thing(pair_overlaps(BOXES)[0]), torch.tensor([[0.0, 0.0, 0.1, 0.09, 0.02]])
    counted = count_things(faint, same)
    assert (counted[0, 2:4] > 0.7).all() and counted[0, 4] < 0.05 and not counted[0, :2].any()
    assert not count_things(torch.zeros(1, 5), same).any()


def test_ranks_are_those_of_things_and_not_of_regions():
    same = same_thing(pair_overlaps(BOXES)[0])
    counted = count_things(KIND, same)
    ranks = soft_ranks(*numbers_beside(orders(BOXES), same, counted), counted)
    assert ranks.shape == (1, 5, RANK_SIZE)
    before, after = (1 / ranks[0, :, start] - 1 for start in (0, 5))  # by the center's x
    for row, (left, right) in enumerate([(0, 2), (0, 2), (1, 1), (2, 0)]):
        assert abs(before[row] - left) < 0.15 and abs(after[row] - right) < 0.15, row
    total = 1 / ranks[0, :4, 20] - 1
    assert ((total - 2).abs() < 0.15).all(), "two others of the kind"


def test_pairs_say_how_the_second_lies_to_the_first():
    overlaps, inside = pair_overlaps(BOXES)
    assert overlaps[0, 0, 1] > 0.7 and overlaps[0, 0, 2] == 0 and torch.equal(overlaps, overlaps.transpose(1, 2))
    outer = torch.tensor([[[0.0, 0, 1, 1], [0.2, 0.2, 0.4, 0.4]]])
    assert pair_overlaps(outer)[1][0].tolist() == [[1, 0.04], [1, 1]] or torch.allclose(
        pair_overlaps(outer)[1][0], torch.tensor([[1, 0.04], [1, 1]])
    )
    offsets = pair_offsets(BOXES, overlaps, inside)
    assert offsets.shape == (1, 5, 5, OFFSET_SIZE)
    assert offsets[0, 0, 2, 0] > 0 > offsets[0, 2, 0, 0], "region 2 lies to the right of region 0"
    assert offsets[0, 0, 4, 1] < 0, "region 4 lies above it"
    assert not offsets[0].diagonal()[:2].any()
