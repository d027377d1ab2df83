"""The region matcher: the contract of all systems, given regions, several and none, and its training step."""

import pytest
import torch

from hf_refseg.models.region_matcher.outputs_region_matcher import RegionMatches
from tests.models.model_tester import SIZE
from tests.models.region_tester import BOXES, RegionTester
from tests.tiny import VOCAB_SIZE, tiny_mask_rcnn_config, tiny_region_matcher


class TestRegionMatcher(RegionTester):
    def make_model(self, **kwargs):
        return tiny_region_matcher(word_dropout=0.0, dropout=0.0, **kwargs)

    def allowed(self, scores):
        return 0.1 * scores.abs().max()

    def with_labels(self, inputs, labels):
        """One thing is meant, nothing is, and two things are."""
        return {
            **inputs,
            "target_overlaps": torch.tensor([[0.9, 0, 0.5, 0], [0, 0, 0, 0], [0.8, 0.7, 0, 0.1]]),
            "target_numbers": torch.tensor([1, 0, 2]),
            "target_categories": torch.tensor([2, -1, 4]),
            "region_kinds": torch.tensor([[1, 0, 1, -1], [-1, -1, -1, -1], [1, 1, 0, 0]]),
            "names_color": torch.tensor([True, False, False]),
        }

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"image_index": torch.tensor([0, 1, 2])}, "runs from 0 to 2, but there are 2 images"),
            ({"input_ids": torch.zeros(0, 4, dtype=torch.long)}, r"shape \(0, 4\); give at least one expression"),
            ({"input_ids": torch.full((3, 4), VOCAB_SIZE)}, f"to {VOCAB_SIZE}, but .* 0 to {VOCAB_SIZE - 1}"),
            ({"attention_mask": torch.ones(3, 5)}, r"attention_mask has the shape \(3, 5\), input_ids \(3, 4\)"),
            ({"pixel_values": torch.zeros(3, SIZE, SIZE)}, r"shape \(3, 64, 64\); give at least one image"),
            ({"region_boxes": torch.tensor([BOXES])}, "region_boxes are of 1 images, but there are 2"),
            ({"region_boxes": [torch.zeros(0, 4), torch.tensor(BOXES)]}, "image 0 has no region to choose from"),
            ({"target_numbers": torch.tensor([1, 0, 1])}, "a training step needs .* target_overlaps, .* missing"),
            ({"region_descriptions": torch.zeros(2, 4, 9)}, "described before needs .* region_counts, .* missing"),
        ],
    )
    def test_rejects_inputs_that_do_not_fit(self, model, inputs, changes, message):
        if "input_ids" in changes:
            inputs["attention_mask"] = None
        with pytest.raises(ValueError, match=message):
            model(**{**inputs, **changes})

    @torch.no_grad()
    def test_regions_that_were_described_before_give_the_same_losses(self, model, inputs):
        step = self.with_labels(inputs, None)
        images = {name: inputs[name] for name in ("pixel_values", "region_boxes")}
        seen = model.detector.get_image_features(inputs["pixel_values"])
        features = model.get_image_features(**images)
        descriptions, _ = model.describe(inputs["pixel_values"], seen, features.regions)
        before = {
            **{name: value for name, value in step.items() if name != "pixel_values"},
            "region_descriptions": features.regions.pad(descriptions),
            "region_counts": torch.tensor([4, 4]),
            "original_sizes": torch.tensor([[SIZE, SIZE]] * 2),
        }
        torch.testing.assert_close(model(**before).losses, model(**step).losses)
        with pytest.raises(ValueError, match="region_descriptions are for a training step"):
            model(
                **{
                    name: value
                    for name, value in before.items()
                    if "target" not in name and name not in ("region_kinds", "names_color")
                }
            )


@pytest.fixture
def model():
    torch.manual_seed(0)
    return tiny_region_matcher()


@pytest.fixture
def images() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "pixel_values": torch.randn(1, 3, SIZE, SIZE, generator=generator),
        "region_boxes": torch.tensor([BOXES]),
        "input_ids": torch.tensor([[5, 6], [7, 20]]),
    }


@torch.no_grad()
def test_labels_of_regions_are_read_or_refused(model, images):
    labels = [[0, 1, 2, 3]]
    with pytest.raises(ValueError, match="region_labels would not be read where no mask is drawn by its category"):
        model(**images, region_labels=labels)
    torch.manual_seed(0)
    by_category = tiny_region_matcher(detector_config=tiny_mask_rcnn_config())
    drawn = [by_category(**images, region_labels=given).region_masks for given in (labels, [[1, 2, 3, 4]])]
    assert not torch.equal(*drawn)
    with pytest.raises(ValueError, match="has the label 5, but the detector draws masks of the categories 0 to 4"):
        by_category(**images, region_labels=[[0, 5, 2, 3]])
    masks = torch.ones(1, 4, SIZE, SIZE, dtype=torch.bool)
    with pytest.raises(ValueError, match="region_labels would not be read"):
        by_category(**images, region_masks=masks, region_labels=labels)


def matches_of(scores, nothing, several) -> RegionMatches:
    return RegionMatches(scores=torch.tensor(scores), nothing=torch.tensor(nothing), several=torch.tensor(several))


def choice_of(model, matches, overlaps, sure=None):
    """What is chosen among regions that the detector is `sure` (R,) of."""
    sure = torch.ones(overlaps.shape[-1]) if sure is None else torch.tensor(sure)
    class_scores = torch.stack([sure / 2, sure], -1).expand(len(matches.scores), -1, -1)
    return model.choose(matches, overlaps.expand(len(matches.scores), -1, -1), class_scores)


def test_an_answer_is_one_region_several_or_none(model):
    scores = [[3.0, 1.0, 2.5, -torch.inf]] * 4
    choice = choice_of(model, matches_of(scores, [2.0, 2.0, 9.0, 9.0], [-1.0, 1.0, -1.0, 1.0]), torch.eye(4))
    assert choice.answers.tolist() == [[1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    torch.testing.assert_close(choice.probabilities.sum(1) + choice.nothing, torch.ones(4))
    assert (choice.nothing[:2] < 0.5).all() and (choice.nothing[2:] > 0.5).all()
    torch.testing.assert_close(choice.expected, choice.probabilities[:, 0])


def test_how_sure_nothing_must_be(model, monkeypatch):
    matches = matches_of([[1.0, -torch.inf]], [2.0], [-1.0])  # "none of them" with a probability of .73
    monkeypatch.setattr(model.config, "nothing_threshold", 0.7)
    assert not choice_of(model, matches, torch.eye(2)).answers.any()
    monkeypatch.setattr(model.config, "nothing_threshold", 0.8)
    assert choice_of(model, matches, torch.eye(2)).answers.tolist() == [[1, 0]]


def test_the_score_is_the_expected_overlap(model):
    overlaps = torch.eye(3)
    overlaps[1, 2] = overlaps[2, 1] = 0.8
    choice = choice_of(model, matches_of([[2.5, 2.8, 2.9]], [0.0], [-1.0]), overlaps)
    assert choice.best.tolist() == [2] and choice.answers.tolist() == [[0, 0, 1]]
    torch.testing.assert_close(choice.expected, choice.probabilities[:, 2] + 0.8 * choice.probabilities[:, 1])


def test_regions_of_one_thing_speak_for_each_other(model):
    overlaps = torch.eye(4)
    overlaps[1:, 1:] += 0.8 * (1 - torch.eye(3))  # three regions of one thing share its likelihood
    matches = matches_of([[2.0, 1.9, 1.8, 1.7]], [-9.0], [-1.0])
    assert choice_of(model, matches, overlaps).best.tolist() == [1]
    assert choice_of(model, matches, torch.eye(4)).best.tolist() == [0]
    assert choice_of(model, matches, overlaps, [0.9, 0.5, 0.5, 0.9]).best.tolist() == [3], "the surest of them"
    unlikely = matches_of([[2.0, 1.9, 1.8, 0.7]], [-9.0], [-1.0])
    assert choice_of(model, unlikely, overlaps, [0.9, 0.5, 0.4, 0.9]).best.tolist() != [3], "a sure one of another kind"


def test_where_nothing_is_meant_there_is_a_best_region_all_the_same(model):
    choice = choice_of(model, matches_of([[-90.0, -70.0]], [80.0], [-1.0]), torch.eye(2))
    assert choice.best.tolist() == [1] and not choice.answers.any() and choice.expected.tolist() == [0.0]


@torch.no_grad()
def test_several_regions_are_one_mask(model, images):
    features = model.get_image_features(images["pixel_values"], region_boxes=images["region_boxes"])
    index, chosen = torch.zeros(4, dtype=torch.long), torch.tensor([0, 3, 0, 1])
    one, other, both, none = (
        torch.tensor([row], dtype=torch.bool) for row in ([1, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 1], [0, 0, 0, 0])
    )
    drawn = model.draw_answers(features, index, torch.cat([one, other, both, none]), chosen)
    assert drawn["pred_boxes"].tolist() == [BOXES[0], BOXES[3], [4, 0, 64, 40], BOXES[1]]
    first, second, union, nothing = drawn["logits"].sigmoid()
    # the answer's own grid has cells of another size, so that outlines differ by a part of a pixel
    inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    inside[6:38, 6:28] = True
    assert (union - first.maximum(second))[inside].abs().mean() < 0.02
    assert not (nothing > 1e-5).any()


@torch.no_grad()
def test_given_masks_come_back_as_they_are(model, images):
    masks = torch.zeros(3, SIZE, SIZE, dtype=torch.bool)
    masks[0, 4:20, 4:20] = masks[1, 30:50, 30:60] = masks[2, 8:12, 40:50] = True
    features = model.get_image_features(images["pixel_values"], region_masks=[masks])
    answers = torch.tensor([[1, 0, 1], [0, 0, 0]], dtype=torch.bool)
    drawn = model.draw_answers(features, torch.zeros(2, dtype=torch.long), answers, torch.tensor([0, 1]))
    assert torch.equal(drawn["given_masks"][0], masks[0] | masks[2]) and not drawn["given_masks"][1].any()


@torch.no_grad()
def test_its_own_detector_finds_the_regions(model, images):
    outputs = model(pixel_values=images["pixel_values"], input_ids=images["input_ids"], output_attentions=True)
    assert outputs.region_scores.shape == outputs.explanation.answers.shape
    assert outputs.region_masks.shape == (2, 24, 24)
    torch.testing.assert_close(outputs.no_target_scores, outputs.explanation.nothing)
    torch.testing.assert_close(outputs.explanation.word_attentions.sum(2), torch.ones(2, 5))
    neighbors, chosen = outputs.explanation.neighbors, outputs.chosen
    assert (neighbors != chosen).all(), "a region is no neighbor of itself"


@torch.no_grad()
def test_it_chooses_among_the_regions_of_mask_rcnn(images):
    torch.manual_seed(0)
    model = tiny_region_matcher(detector_config=tiny_mask_rcnn_config())
    outputs = model(**images)
    assert outputs.logits.shape == (2, SIZE, SIZE) and outputs.region_scores.shape == (2, 4)


def test_the_detector_never_trains(model, images):
    trained = {name for name, parameter in model.train().named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if not name.startswith("detector.")}
    assert not model.detector.training
