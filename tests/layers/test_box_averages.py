import torch

from hf_refseg.layers.box_averages import average_in_boxes, cell_shares


def test_a_cell_counts_by_what_lies_inside():
    """Cells lie around pixels 0, 8, 16, 24: they end at 4.5, 12.5 and 20.5."""
    shares = cell_shares(torch.tensor([4.5, 0.0, 16.5]), torch.tensor([12.5, 32.0, 22.5]), 4, 8)
    torch.testing.assert_close(
        shares, torch.tensor([[0, 1, 0, 0], [4.5 / 32, 0.25, 0.25, 11.5 / 32], [0, 0, 4 / 6, 2 / 6]])
    )


def test_averages_of_a_map():
    maps = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[4.5, 12.5, 28.5, 20.5], [0, 0, 56, 40]])  # row 2, columns 1 to 3; everything
    averages = average_in_boxes(maps, boxes, 8)
    torch.testing.assert_close(averages[0], maps[:, 2, 1:4].mean(1))
    assert averages.shape == (2, 3)
    torch.testing.assert_close(average_in_boxes(torch.ones(1, 5, 7), boxes, 8), torch.ones(2, 1))


def test_a_box_without_area_and_one_at_the_border_have_an_average_too():
    maps = torch.arange(6.0).view(1, 2, 3)
    boxes = torch.tensor([[8.2, 8.2, 8.2, 8.2], [40.0, 40, 60, 60]])
    torch.testing.assert_close(average_in_boxes(maps, boxes, 8)[:, 0], torch.tensor([4.0, 5.0]))
