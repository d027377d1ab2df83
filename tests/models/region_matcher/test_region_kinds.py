"""Which regions are things of a kind, by what is annotated."""

import torch

from hf_refseg.models.region_matcher.region_kinds import which_are

# two dogs and a cup: the first dog, a half of it, something between, and the cup
OVERLAPS = torch.tensor([[0.9, 0.0, 0.1], [0.39, 0.0, 0.0], [0.45, 0.2, 0.0], [0.1, 0.0, 0.6]])


def test_parts_of_things_are_none():
    assert which_are(OVERLAPS, [True, True, False], True).tolist() == [1, 0, -1, 0]


def test_nothing_is_known_of_the_rest_where_not_all_things_are_listed():
    assert which_are(OVERLAPS, [True, True, False], False).tolist() == [1, -1, -1, 0]


def test_what_is_not_there_is_nowhere():
    assert which_are(OVERLAPS, [False] * 3, True).tolist() == [0, 0, 0, 0]
    assert which_are(OVERLAPS, [False] * 3, False).tolist() == [-1] * 4
    assert which_are(torch.zeros(2, 0), [], True).tolist() == [0, 0]
