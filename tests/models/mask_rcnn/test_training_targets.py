"""Which anchors and regions a training step draws, and what it compares them with."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.models.mask_rcnn.boxes import encode_boxes, make_anchors, overlaps, shift_anchors
from hf_refseg.models.mask_rcnn.training_targets import (
    SampledRegions,
    crop_masks,
    detection_losses,
    pick,
    proposal_losses,
    sample_regions,
)
from tests.tiny import tiny_mask_rcnn_config

SIZE = (96, 128)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_picking_draws_without_replacement():
    candidates = torch.arange(10, 30)
    assert torch.equal(pick(candidates, 20), candidates) and len(pick(candidates, 0)) == 0
    drawn = pick(candidates, 8)
    assert len(set(drawn.tolist())) == 8 and set(drawn.tolist()) <= set(candidates.tolist())


# ---- Anchors ----


def make_all_anchors() -> torch.Tensor:
    return shift_anchors(make_anchors(16, [1], [1, 2]), 6, 8, 16)


def gradients_of_anchors(config, boxes, anchors=None, size=SIZE):
    """How the classification and the box loss push each anchor: rows that took part are not 0."""
    anchors = make_all_anchors() if anchors is None else anchors
    logits, deltas = torch.zeros(len(anchors), 2, requires_grad=True), torch.zeros(len(anchors), 4, requires_grad=True)
    class_loss, box_loss = proposal_losses(config, anchors, logits, deltas, boxes, size)
    (class_loss + box_loss).backward()
    return class_loss, box_loss, logits.grad, deltas.grad


def test_anchors_that_reach_out_take_no_part():
    config = tiny_mask_rcnn_config(rpn_batch_size=10_000)
    anchors = make_all_anchors()
    inside = (anchors[:, 0] >= 0) & (anchors[:, 1] >= 0) & (anchors[:, 2] < 128) & (anchors[:, 3] < 96)
    _, _, logits, _ = gradients_of_anchors(config, torch.zeros(0, 4))
    assert torch.equal(logits.any(1), inside) and 0 < inside.sum() < len(anchors)


def test_every_box_gets_its_best_anchor():
    """Also a box with which no anchor overlaps well."""
    config = tiny_mask_rcnn_config(rpn_batch_size=10_000)
    anchors = make_all_anchors()
    boxes = torch.tensor([[40.0, 40, 46, 46], [20, 30, 110, 90]])
    iou = overlaps(anchors, boxes)
    assert iou.max() < 0.7
    _, _, logits, deltas = gradients_of_anchors(config, boxes)
    positive = logits[:, 1] < 0  # the loss would like it higher
    inside = logits.any(1)
    for box in range(2):
        best = iou[inside, box].max()
        assert positive[(iou[:, box] == best) & inside].all()
    assert torch.equal(deltas.any(1), positive), "boxes are learnt of the positive ones only"


def test_anchors_between_the_thresholds_take_no_part():
    config = tiny_mask_rcnn_config(rpn_batch_size=10_000)
    anchors = torch.tensor([[0.0, 0, 15, 15], [0, 0, 15, 7], [0, 0, 15, 3], [0, 0, 15, 15]])
    boxes = anchors[:1]
    _, _, logits, _ = gradients_of_anchors(config, boxes, anchors)
    assert (logits[:, 1] < 0).tolist() == [True, False, False, True], "1"
    assert logits.any(1).tolist() == [True, False, True, True], "an overlap of a half is neither"


def test_at_most_half_of_the_sampled_anchors_are_positive():
    config = tiny_mask_rcnn_config(rpn_batch_size=8)
    anchors = torch.cat(
        [torch.tensor([[10.0, 10, 41, 41]]).repeat(40, 1), torch.tensor([[60.0, 60, 75, 75]]).repeat(40, 1)]
    )
    _, _, logits, deltas = gradients_of_anchors(config, anchors[:1] + 1, anchors)
    assert logits.any(1).sum() == 8 and deltas.any(1).sum() == (logits[:, 1] < 0).sum() == 4
    few = anchors[39:]  # one positive: the rest is filled up with negative ones
    _, _, logits, _ = gradients_of_anchors(config, anchors[:1] + 1, few)
    assert logits.any(1).sum() == 8 and (logits[:, 1] < 0).sum() == 1


def test_the_box_loss_is_a_mean_over_all_sampled_anchors():
    config = tiny_mask_rcnn_config(rpn_batch_size=4)
    anchors = torch.cat([torch.tensor([[10.0, 10, 41, 41]]), torch.tensor([[60.0, 60, 75, 75]]).repeat(9, 1)])
    boxes = torch.tensor([[12.0, 9, 44, 40]])
    _, box_loss, _, _ = gradients_of_anchors(config, boxes, anchors)
    target = encode_boxes(anchors[:1], boxes)[0].abs()
    expected = torch.where(target < 1 / 9, 4.5 * target**2, target - 0.5 / 9).sum() / 4  # sigma 3
    torch.testing.assert_close(box_loss, expected)


def test_an_image_without_anchors_has_no_loss_but_a_gradient():
    class_loss, box_loss, logits, deltas = gradients_of_anchors(
        tiny_mask_rcnn_config(), torch.tensor([[0.0, 0, 5, 5]]), size=(8, 8)
    )
    assert class_loss == box_loss == 0 and logits is not None and not logits.any()


# ---- Regions ----

TRUTH = torch.tensor([[10.0, 10, 40, 40], [60, 20, 100, 80]])
LABELS = torch.tensor([3, 0])


def test_regions_are_positive_from_half_an_overlap_on():
    near = torch.cat([TRUTH + 2, TRUTH - 3])
    far = torch.tensor([[0.0, 60, 20, 90]]).repeat(40, 1)
    sample = sample_regions(tiny_mask_rcnn_config(), torch.cat([far, near]), TRUTH, LABELS)
    assert len(sample.boxes) == 16 and len(sample.targets) == 4, "16 regions, of which at most a quarter positive"
    assert (sample.class_labels[4:] == 0).all() and torch.equal(sample.class_labels[:4], LABELS[sample.instances] + 1)
    assert torch.equal(sample.targets, TRUTH[sample.instances])
    assert (overlaps(sample.boxes[:4], TRUTH).max(1).values >= 0.5).all()


def test_more_positive_regions_than_a_quarter_are_drawn_among():
    sample = sample_regions(tiny_mask_rcnn_config(), torch.cat([TRUTH.repeat(9, 1), TRUTH * 0]), TRUTH, LABELS)
    assert len(sample.targets) == 4 and len(sample.boxes) == 16


def test_without_a_positive_region_the_truth_is_one():
    far = torch.tensor([[0.0, 60, 20, 90]]).repeat(40, 1)
    sample = sample_regions(tiny_mask_rcnn_config(), far, TRUTH, LABELS)
    assert sorted(sample.instances.tolist()) == [0, 1] and torch.equal(sample.boxes[:2], TRUTH[sample.instances])
    assert len(sample.boxes) == 16


def test_the_truth_is_added_always_where_the_configuration_says_so():
    near, far = TRUTH[:1] + 1, torch.tensor([[0.0, 60, 20, 90]]).repeat(40, 1)
    plain = sample_regions(tiny_mask_rcnn_config(), torch.cat([near, far]), TRUTH, LABELS)
    assert plain.instances.tolist() == [0]
    added = sample_regions(tiny_mask_rcnn_config(add_ground_truth=True), torch.cat([near, far]), TRUTH, LABELS)
    assert sorted(added.instances.tolist()) == [0, 0, 1]


def test_background_is_repeated_so_that_every_image_weighs_alike():
    sample = sample_regions(tiny_mask_rcnn_config(), torch.cat([TRUTH, TRUTH[:1] * 0]), TRUTH, LABELS)
    assert len(sample.boxes) == 16 and not sample.boxes[2:].any()
    without = sample_regions(tiny_mask_rcnn_config(), TRUTH, TRUTH, LABELS)
    assert len(without.boxes) == 2, "no background at all"


def test_an_image_without_objects_is_background():
    proposals = torch.rand(40, 4) * 50
    sample = sample_regions(tiny_mask_rcnn_config(), proposals, TRUTH[:0], LABELS[:0])
    assert len(sample.boxes) == 16 and not sample.class_labels.any() and sample.targets.shape == (0, 4)
    few = sample_regions(tiny_mask_rcnn_config(), proposals[:3], TRUTH[:0], LABELS[:0])
    assert len(few.boxes) == 3


# ---- Masks ----


@pytest.mark.parametrize("sides", [(14, 14), (28, 42), (5, 9), (1, 1), (333, 200), (98, 546)])
def test_masks_are_cropped_by_the_nearest_pixel_as_pillow_does(sides):
    height, width = sides
    mask = torch.rand(1, height + 12, width + 9) > 0.5
    box = torch.tensor([[4.0, 7, 4 + width - 1, 7 + height - 1]])
    cropped = crop_masks(mask, torch.zeros(1, dtype=torch.long), box, 14)[0]
    picture = Image.fromarray(mask[0, 7 : 7 + height, 4 : 4 + width].numpy().astype(np.uint8))
    np.testing.assert_array_equal(cropped.numpy(), np.asarray(picture.resize((14, 14), Image.Resampling.NEAREST)) > 0)


def test_the_nearest_pixel_is_pillows_for_every_length():
    """Also where the center of a cell lies between two pixels, which Pillow's sums decide: 60 and 64 are such."""
    for size in (7, 14, 28):
        lengths = torch.arange(1, 301)
        mask = torch.zeros(1, 1, 300, dtype=torch.long)
        mask[0, 0] = torch.arange(300)
        boxes = torch.stack([lengths * 0, lengths * 0, lengths - 1, lengths * 0], 1).float()
        cropped = crop_masks(mask, lengths * 0, boxes, size)[:, 0]
        for length, row in zip(lengths.tolist(), cropped.numpy(), strict=True):
            pixels = Image.fromarray(np.arange(length, dtype=np.int32)[None])
            expected = np.asarray(pixels.resize((size, 1), Image.Resampling.NEAREST))[0]
            np.testing.assert_array_equal(row, expected)


def test_boxes_beyond_the_mask_repeat_its_border():
    mask = torch.zeros(1, 10, 10, dtype=torch.bool)
    mask[0, :, 9] = True
    cropped = crop_masks(mask, torch.tensor([0]), torch.tensor([[8.0, -4, 15, 13]]), 8)[0]
    assert not cropped[:, 0].any() and cropped[:, 1:].all()


def test_each_region_reads_its_own_instance():
    masks = torch.stack([torch.ones(10, 10), torch.zeros(10, 10)]).bool()
    cropped = crop_masks(masks, torch.tensor([1, 0, 1]), torch.tensor([[0.0, 0, 5, 5]] * 3), 4)
    assert [bool(one.all()) for one in cropped] == [False, True, False] and cropped.shape == (3, 4, 4)


# ---- Losses ----


def sampled(positive: int, background: int) -> SampledRegions:
    boxes = torch.tensor([[10.0, 10, 40, 40]]).repeat(positive + background, 1)
    labels = torch.tensor([2] * positive + [0] * background)
    return SampledRegions(boxes, labels, boxes[:positive], torch.zeros(positive, dtype=torch.long))


def losses_of(samples, logits=None, deltas=None):
    number, seen = sum(len(sample.boxes) for sample in samples), []
    masks = [torch.ones(1, 64, 64, dtype=torch.bool) for _ in samples]

    def draw(rows, labels):
        seen.append((rows.tolist(), labels.tolist()))
        return torch.zeros(len(rows), 14, 14, requires_grad=True)

    logits = torch.zeros(number, 6, requires_grad=True) if logits is None else logits
    deltas = torch.zeros(number, 6, 4, requires_grad=True) if deltas is None else deltas
    return detection_losses(tiny_mask_rcnn_config(), samples, logits, deltas, masks, draw), seen


def test_losses_are_read_at_the_rows_of_the_positive_regions():
    samples = [sampled(2, 3), sampled(0, 2), sampled(1, 1)]
    deltas = torch.full((9, 6, 4), 5.0)
    deltas[[0, 1, 7], 2] = 0.0  # of the right category; the regions lie where they should
    losses, seen = losses_of(samples, deltas=deltas)
    assert seen == [([0, 1, 7], [1, 1, 1])], "the mask branch is asked for the category, without the background"
    assert set(losses) == {"class", "box", "mask"} and all(loss.shape == () for loss in losses.values())
    assert losses["box"] == 0
    torch.testing.assert_close(losses["class"], torch.tensor(6.0).log())
    torch.testing.assert_close(losses["mask"], torch.tensor(2.0).log())


def test_the_box_loss_is_divided_by_all_regions():
    losses, _ = losses_of([sampled(1, 7)], deltas=torch.full((8, 6, 4), 3.0))
    assert losses["box"] == pytest.approx(4 * 2.5 / 8)


def test_no_positive_region_gives_losses_of_zero_with_a_gradient():
    losses, seen = losses_of([sampled(0, 4)])
    assert losses["box"] == losses["mask"] == 0 and seen == [([], [])]
    sum(losses.values()).backward()
