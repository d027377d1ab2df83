"""The modules of the region matcher: what each of them has beyond MAttNet's."""

import pytest
import torch

from hf_refseg.models.region_matcher.outputs_region_matcher import RegionMatcherRegionFeatures
from tests.tiny import tiny_region_matcher


@pytest.fixture(scope="module")
def matching():
    torch.manual_seed(0)
    return tiny_region_matcher().matching


def of_image(num_regions: int) -> RegionMatcherRegionFeatures:
    return RegionMatcherRegionFeatures(exists=torch.ones(1, num_regions, dtype=torch.bool))


@torch.no_grad()
def test_a_region_is_of_a_kind_if_it_is_any_of_the_named_categories(matching):
    never, always, even = -40.0, 40.0, 0.0
    logits = torch.tensor([[always, never], [even, even]])
    scores = torch.tensor([[[0.6, 0.3], [0.0, 0.9], [0.0, 0.0]]] * 2)
    exists = torch.tensor([[True, True, False]] * 2)
    regions = RegionMatcherRegionFeatures(exists=exists, class_scores=scores)
    kind = matching.membership(logits, regions)
    expected = torch.tensor([[0.6, 1e-4, 0.0], [1 - 0.7 * 0.85, 0.45, 0.0]])
    torch.testing.assert_close(kind, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_unlikely_kinds_are_exact_to_their_last_digits(matching):
    """Where the surest region is unlikely, all of them are counted by what little they have."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.empty(4, 80).uniform_(-12, -6, generator=generator)
    scores = torch.empty(4, 9, 80).uniform_(0, 0.1, generator=generator)
    exists = torch.ones(4, 9, dtype=torch.bool)
    kind = matching.membership(logits, RegionMatcherRegionFeatures(exists=exists, class_scores=scores))
    fits = logits.double().sigmoid()[:, None] * scores.double()
    expected = -torch.log1p(-fits).sum(-1).expm1()
    assert 1e-4 < expected.min() and expected.max() < 0.01
    torch.testing.assert_close(kind.double(), expected, rtol=1e-5, atol=0)


@torch.no_grad()
def test_what_is_of_a_kind_is_a_probability_that_training_finds(matching):
    regions = RegionMatcherRegionFeatures(exists=torch.ones(1, 2, dtype=torch.bool), class_scores=torch.ones(1, 2, 1))
    regions.class_scores[0] = torch.tensor([[0.3], [0.5]])
    matching.kind_line.copy_(torch.tensor([2.0, 1.0]))
    kind = matching.membership(torch.tensor([[40.0]]), regions)
    matching.kind_line.copy_(torch.tensor([1.0, 0.0]))
    expected = (2 * torch.tensor([[0.3, 0.5]]).logit() + 1).sigmoid()
    torch.testing.assert_close(kind, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_scores_are_evened_out_to_be_read_and_not_to_count_by(matching):
    descriptions = torch.full((1, 2, matching.description_size), 0.25)
    boxes, exists = torch.tensor([[[0.0, 0, 8, 8], [8, 8, 16, 16]]]), torch.tensor([[True, False]])
    features = matching.encode_regions(descriptions, boxes, exists, torch.tensor([[16, 16]]))
    expected = torch.tensor([0.25, 0.0])[:, None].expand(-1, matching.num_labels)
    torch.testing.assert_close(features.class_scores[0], expected)


@torch.no_grad()
def test_a_relation_is_to_another_region(matching):
    beside = torch.tensor([[[9.0, 1.0, 2.0], [1.0, 9.0, 0.0], [0.0, 0.0, 9.0]]])  # each fits best to itself
    scores, neighbors = matching.relate(of_image(3), beside, torch.tensor([[1.0, 1.0, 0.0]]))
    assert neighbors.tolist() == [[1, 0, 0]], "the third region is of another kind"
    assert scores.shape == (1, 3) and scores[0, 0] > scores[0, 2]


@torch.no_grad()
def test_an_expression_is_read_over_the_pairs_of_its_own_image(matching):
    torch.manual_seed(3)
    phrase = matching.config.word_size + 2 * matching.config.hidden_size
    pairs, phrases = torch.rand(3, 4, 4, matching.config.pair_size), torch.rand(5, phrase)
    image_index = torch.tensor([2, 0, 2, 2, 1])
    read = matching.relation(pairs, phrases, image_index)
    for number, image in enumerate(image_index):
        alone = matching.relation(pairs[image : image + 1], phrases[number : number + 1], torch.tensor([0]))
        torch.testing.assert_close(read[number], alone[0])


@torch.no_grad()
def test_a_region_is_compared_with_other_things_of_its_kind(matching):
    differs = torch.tensor([[[9.0, 2.0, 4.0], [9.0, 9.0, 9.0], [9.0, 9.0, 9.0]]])
    alone, same = torch.eye(3)[None], torch.eye(3)[None].clone()
    same[0, 0, 1] = 1.0  # the second region is the first thing, found twice
    counted = torch.tensor([[1.0, 1.0, 1.0]])
    compare = [matching.compare(of_image(3), differs, one, counted)[0, 0].item() for one in (alone, same)]
    assert compare == pytest.approx([(2 + 4) / 2.5, 4 / 1.5])
    assert matching.compare(of_image(3), differs, alone, torch.zeros(1, 3)).abs().max() == 0


@torch.no_grad()
def test_places_that_are_filled_up_change_no_score(matching):
    torch.manual_seed(1)
    descriptions = torch.rand(1, 3, matching.description_size)
    boxes = torch.tensor([[[0.0, 0, 20, 20], [10, 10, 40, 40], [30, 5, 60, 30]]])
    sizes, text = torch.tensor([[64, 64]]), matching.encode_words(torch.tensor([[5, 6, 7]]))
    more = torch.nn.functional.pad(descriptions, (0, 0, 0, 2)), torch.nn.functional.pad(boxes, (0, 0, 0, 2))
    found = []
    for described, places in ((descriptions, boxes), more):
        exists = torch.arange(described.shape[1])[None] < 3
        features = matching.encode_regions(described, places, exists, sizes)
        found.append(matching.match(features, text, torch.tensor([0])))
    few, filled = found
    torch.testing.assert_close(filled.scores[:, :3], few.scores)
    torch.testing.assert_close(filled.nothing, few.nothing)
    assert filled.scores[:, 3:].eq(-torch.inf).all()
