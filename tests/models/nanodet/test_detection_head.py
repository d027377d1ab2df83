import torch

from hf_refseg.models.nanodet.detection_head import decode_sides, list_points, place_points


def test_points_come_level_by_level_and_row_by_row():
    levels = tuple(
        torch.arange(height * width).view(1, height, width) + 100.0 * number
        for number, (height, width) in enumerate([(4, 6), (2, 3), (1, 2), (1, 1)])
    )
    assert list_points(levels)[:, 0].tolist() == [*range(24), *range(100, 106), 200, 201, 300]
    places, strides = place_points(levels)
    assert strides.tolist() == [8] * 24 + [16] * 6 + [32] * 2 + [64]
    assert places[7].tolist() == [8, 8], "no half cell"
    assert places[24 + 5].tolist() == [32, 16] and places[31].tolist() == [32, 0] and places[32].tolist() == [0, 0]


def test_a_side_is_the_mean_of_its_distribution():
    sides = torch.full((2, 4, 8), -1e4)
    sides[0, :, [0, 1]] = torch.tensor([[0.0, 0.0]]).repeat(4, 1)  # half a stride away
    for side, distance in enumerate((1, 2, 3, 7)):
        sides[1, side, distance] = 0
    boxes = decode_sides(sides.flatten(1), torch.tensor([[8.0, 16.0], [64.0, 32.0]]), torch.tensor([8.0, 16.0]))
    assert boxes.tolist() == [[4, 12, 12, 20], [48, 0, 112, 144]]


def test_boxes_are_float32_from_half_precision():
    boxes = decode_sides(torch.randn(3, 32, dtype=torch.bfloat16), torch.zeros(3, 2), torch.ones(3))
    assert boxes.dtype == torch.float32
