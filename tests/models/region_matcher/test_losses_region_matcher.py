"""Losses of the region matcher, by numbers worked out by hand."""

import math

import torch

from hf_refseg.models.region_matcher.losses_region_matcher import (
    category_loss,
    choice_loss,
    color_loss,
    kind_loss,
)

INF = float("inf")


def loss_of(scores, nothing, overlaps, numbers) -> float:
    return choice_loss(*map(torch.tensor, (scores, nothing, overlaps, numbers)), least=0.5).item()


def test_one_thing_is_shared_among_the_regions_that_overlap_it():
    # of equal scores each choice has a third, and the regions above an IoU of 0.5 are right
    assert math.isclose(loss_of([[0.0, 0.0]], [0.0], [[0.9, 0.7]], [1]), math.log(3), rel_tol=1e-5)
    scores = [[2.0, 0.0]]
    first, second = (-torch.tensor([2.0, 0, 0]).log_softmax(0)[:2]).tolist()
    shared = loss_of(scores, [0.0], [[0.9, 0.6]], [1])
    assert math.isclose(shared, 0.8 * first + 0.2 * second, rel_tol=1e-5)


def test_nothing_is_a_choice_like_others():
    expected = -torch.tensor([2.0, 0.0, 1.0]).log_softmax(0)[2].item()
    assert math.isclose(loss_of([[2.0, 0.0]], [1.0], [[0.0, 0.0]], [0]), expected, rel_tol=1e-5)


def test_of_several_each_region_is_asked():
    # one right of two, all undecided: log 2 on average over the regions, and log 2 over the right ones
    undecided = loss_of([[1.0, 1.0]], [1.0], [[0.9, 0.0]], [2])
    assert math.isclose(undecided, 2 * math.log(2), rel_tol=1e-5)
    assert loss_of([[30.0, -30.0]], [0.0], [[0.9, 0.0]], [2]) < 1e-6


def test_what_no_region_overlaps_does_not_count():
    missed, found = ([0.0, 0.0], [0.3, 0.0]), ([2.0, 0.0], [0.9, 0.0])
    both = loss_of([missed[0], found[0]], [0.0, 0.0], [missed[1], found[1]], [1, 1])
    assert math.isclose(both, loss_of([found[0]], [0.0], [found[1]], [1]), rel_tol=1e-5)
    assert loss_of([missed[0]], [0.0], [missed[1]], [1]) == 0


def test_regions_that_are_not_there_are_no_choice():
    for overlaps, number in (([0.9, 0.0], 1), ([0.9, 0.0], 2), ([0.0, 0.0], 0)):
        padded = loss_of([[1.0, 0.5, -INF]], [0.0], [[*overlaps, 0.0]], [number])
        assert math.isclose(padded, loss_of([[1.0, 0.5]], [0.0], [overlaps], [number]), rel_tol=1e-5), number


def test_the_right_category_weighs_as_much_as_all_others():
    logits, unknown = torch.zeros(2, 5), torch.tensor([3, -1])
    assert math.isclose(category_loss(logits, unknown).item(), 5 * math.log(2), rel_tol=1e-5), "the second is unknown"
    right = torch.full((1, 5), -30.0).index_fill(1, torch.tensor([3]), 30.0)
    assert category_loss(right, unknown[:1]) < 1e-6
    assert category_loss(logits, torch.tensor([-1, -1])) == 0


def test_regions_of_an_unknown_kind_do_not_count():
    kind = torch.tensor([[0.5, 0.25, 0.9]])
    expected = -(math.log(0.5) + math.log(0.75)) / 2
    assert math.isclose(kind_loss(kind, torch.tensor([[1, 0, -1]])).item(), expected, rel_tol=1e-5)
    assert kind_loss(kind, torch.full((1, 3), -1)) == 0
    assert kind_loss(torch.tensor([[0.0]]), torch.tensor([[1]])).isfinite()


def loss_of_colors(scores, overlaps, is_kind, names_color) -> float:
    return color_loss(*map(torch.tensor, (scores, overlaps, is_kind, names_color))).item()


def test_a_color_is_told_apart_among_the_regions_of_the_kind():
    # the third region is of another kind, and the fourth may be: neither is a choice
    scores, overlaps, is_kind = [[2.0, 0.0, 9.0, 9.0]], [[0.9, 0.0, 0.1, 0.0]], [[1, 1, 0, -1]]
    expected = -torch.tensor([2.0, 0.0]).log_softmax(0)[0].item()
    assert math.isclose(loss_of_colors(scores, overlaps, is_kind, [True]), expected, rel_tol=1e-5)
    # any region of the thing is right, and the one that overlaps it best need not be the one of its kind
    twice = loss_of_colors([[2.0, 2.0, 0.0]], [[0.9, 0.6, 0.0]], [[-1, 1, 1]], [True])
    right = -torch.tensor([2.0, 2.0, 0.0]).log_softmax(0)[:2].logsumexp(0).item()
    assert math.isclose(twice, right, rel_tol=1e-5)


def test_colors_count_where_words_name_one_and_there_is_another_thing_of_the_kind():
    scores, overlaps, is_kind = [2.0, 0.0], [0.9, 0.0], [1, 1]
    asked = loss_of_colors([scores], [overlaps], [is_kind], [True])
    unasked = {
        "no color": (overlaps, is_kind, False),
        "no other of the kind": (overlaps, [1, 0], True),
        "the other region is of the same thing": ([0.9, 0.4], is_kind, True),
        "no region of it": ([0.3, 0.0], is_kind, True),
    }
    for reason, case in unasked.items():
        assert loss_of_colors([scores], *([part] for part in case)) == 0, reason
        both = loss_of_colors(
            [scores] * 2, *([part, other] for part, other in zip((overlaps, is_kind, True), case, strict=True))
        )
        assert math.isclose(both, asked, rel_tol=1e-5), reason
