import torch

from hf_refseg.models.nanodet.losses_nanodet import crop_masks, mask_losses, move_sides


def test_sides_move_by_a_share_of_the_box():
    torch.manual_seed(0)
    boxes = torch.tensor([[10.0, 20, 110, 40]]).repeat(1000, 1)
    moved = (move_sides(boxes, 0.1) - boxes).abs()
    assert (moved.amax(0) <= torch.tensor([10.0, 2, 10, 2])).all()
    assert (moved.amax(0) > torch.tensor([9.0, 1.8, 9, 1.8])).all()
    assert torch.equal(move_sides(boxes, 0.0), boxes)


def test_a_cell_says_how_much_of_it_is_covered():
    masks = torch.zeros(2, 40, 60, dtype=torch.bool)
    masks[1, 8:16, 20:40] = True
    boxes = torch.tensor([[20.0, 8, 40, 16], [20, 4, 60, 20], [20, 8, 40, 16]])
    crops = crop_masks(masks, torch.tensor([1, 1, 0]), boxes, 4)
    torch.testing.assert_close(crops[0], torch.ones(4, 4))
    # rows of 4 pixels, columns of 10: the middle half of the rows, the left half of the columns
    expected = torch.zeros(4, 4)
    expected[1:3, :2] = 1
    torch.testing.assert_close(crops[1], expected)
    assert crops[2].sum() == 0


def test_losses_of_perfect_and_of_opposite_masks():
    targets = torch.zeros(2, 8, 8)
    targets[0, :4], targets[1, 2:5, 2:5] = 1, 1
    right, wrong = (mask_losses(sign * (2 * targets - 1) * 30, targets, 1.5, 2.0) for sign in (1, -1))
    assert right["mask_pixels"] < 1e-6 and right["mask_dice"] < 1e-6
    assert wrong["mask_pixels"] > 20 and 1.9 < wrong["mask_dice"] <= 2


def test_no_boxes_at_all():
    logits = torch.zeros(0, 8, 8, requires_grad=True)
    sum(mask_losses(logits, torch.zeros(0, 8, 8), 1.5, 1.0).values()).backward()
    assert logits.grad is not None


def test_the_border_of_a_mask_lies_where_the_positive_weight_says():
    logits, targets = torch.zeros(1, 8, 8, requires_grad=True), torch.full((1, 8, 8), 0.4)
    weighted, plain = (
        torch.autograd.grad(mask_losses(logits, targets, weight, 0.0)["mask_pixels"], logits)[0]
        for weight in (1.5, 1.0)
    )
    # 0.4 * 1.5 = 0.6: one half is the best answer
    torch.testing.assert_close(weighted, torch.zeros_like(weighted), atol=1e-9, rtol=0)
    assert (plain > 0).all(), "less than one half would be better"
