import pytest
import torch

from hf_refseg.models.cac.coverage import cover_by_boxes, cover_by_masks

BOXES = torch.tensor([[0.0, 0, 96, 80], [16, 32, 48, 48], [10, 4, 11, 6], [88, 72, 96, 80], [0, 0, 40, 50]])
SIZES, CANVAS = [(5, 6)] * 5, (5, 6)


def filled(box: list[float], size: tuple[int, int]) -> torch.Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    x1, y1, x2, y2 = map(int, box)
    mask[y1:y2, x1:x2] = True
    return mask


def test_a_box_covers_what_its_pixels_cover():
    masks = [filled(box, (80, 96)) for box in BOXES.tolist()]
    by_masks = cover_by_masks(masks, SIZES, CANVAS)
    by_boxes = cover_by_boxes(BOXES, torch.tensor([[80, 96]] * 5), SIZES, CANVAS)
    torch.testing.assert_close(by_boxes, by_masks)
    assert (by_boxes[0] == 1).all() and by_boxes[1].sum() == 2
    assert by_boxes[2].sum().item() == pytest.approx(2 / 256), "the smallest box is seen too"


def test_cells_beyond_an_images_own_map_are_empty():
    boxes = torch.tensor([[0.0, 0, 50, 30], [0, 0, 96, 80]])
    shares = cover_by_boxes(boxes, torch.tensor([[30, 50], [80, 96]]), [(2, 4), (5, 6)], CANVAS)
    assert (shares[0, :2, :4] == 1).all() and shares[0].sum() == 8 and (shares[1] == 1).all()
    masks = [torch.ones(30, 50, dtype=torch.bool), torch.ones(80, 96, dtype=torch.bool)]
    torch.testing.assert_close(cover_by_masks(masks, [(2, 4), (5, 6)], CANVAS), shares)
