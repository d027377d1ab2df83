"""Small masks back in photos: every pixel by hand, and boxes that a detector should not make but does."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.layers.image_geometry import paste_probabilities
from hf_refseg.processing.mask_pasting import AT_ONCE, paste_masks, stretch_to_bytes


def pasted_by_hand(mask: np.ndarray, box: list[float], size: tuple[int, int]) -> np.ndarray:
    """Bilinear interpolation at the center of each pixel, cells beyond the outermost repeated."""
    (x1, y1, x2, y2), cells = box, len(mask)
    result = np.zeros(size)
    for y, x in np.ndindex(size):
        if not (x1 <= x + 0.5 < x2 and y1 <= y + 0.5 < y2):
            continue
        row = min(max((y + 0.5 - y1) / (y2 - y1) * cells - 0.5, 0), cells - 1)
        column = min(max((x + 0.5 - x1) / (x2 - x1) * cells - 0.5, 0), cells - 1)
        top, left = min(int(row), cells - 2), min(int(column), cells - 2)
        down, across = row - top, column - left
        part = mask[top : top + 2, left : left + 2]
        result[y, x] = (np.array([1 - down, down]) @ part) @ np.array([1 - across, across])
    return result


@pytest.mark.parametrize(
    "box",
    [[3, 4, 17, 18], [2.3, 1.7, 21.9, 8.2], [-6.5, -3, 10, 9], [14, 5, 40, 33], [0, 0, 24, 20], [5.2, 5.2, 6.1, 19]],
    ids=["whole", "fractions", "beyond the top left", "beyond the bottom right", "everything", "one column"],
)
def test_probabilities_are_interpolated_at_every_pixel(box):
    mask = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    pasted = paste_probabilities(mask[None], torch.tensor([box], dtype=torch.float32), (20, 24))
    assert pasted.dtype == torch.float32 and pasted.any()
    np.testing.assert_allclose(pasted[0], pasted_by_hand(mask.numpy(), box, (20, 24)), atol=2e-6)


def test_a_constant_mask_fills_its_box_to_the_edge():
    pasted = paste_probabilities(torch.full((1, 14, 14), 0.8), torch.tensor([[3.0, 4, 10, 16]]), (20, 24))[0]
    expected = torch.zeros(20, 24)
    expected[4:16, 3:10] = 0.8
    torch.testing.assert_close(pasted, expected)


@pytest.mark.parametrize("interpolation", ["clean", "paper"])
def test_a_half_mask_fills_half_of_its_box(interpolation):
    half = torch.zeros(1, 14, 14)
    half[:, :, 7:] = 1
    mask = paste_masks(half, torch.tensor([[4.0, 2, 18, 16]]), (20, 24), interpolation=interpolation)[0]
    expected = torch.zeros(20, 24, dtype=torch.bool)
    expected[2:16, 11:18] = True
    assert torch.equal(mask, expected)


NOTHING = {
    "right of the photo": [30.0, 4, 40, 9],
    "above the photo": [3.0, -9, 10, -2],
    "no width": [6.0, 3, 6, 9],
    "no width, at the center of a pixel": [6.5, 3, 6.5, 9],
    "no height, at the center of a pixel": [3.0, 6.5, 9, 6.5],
    "turned around": [12.0, 12, 4, 4],
}


@pytest.mark.parametrize("box", NOTHING.values(), ids=NOTHING)
def test_boxes_without_a_pixel_give_zeros(box):
    pasted = paste_probabilities(torch.ones(1, 14, 14), torch.tensor([box]), (20, 24))
    assert torch.equal(pasted, torch.zeros(1, 20, 24))
    assert not paste_masks(torch.ones(1, 14, 14), torch.tensor([box]), (20, 24)).any()


@pytest.mark.parametrize("box", NOTHING.values(), ids=NOTHING)
def test_boxes_without_a_pixel_do_not_stop_the_papers_interpolation(box):
    """Clipped to the photo as in the original, such a box keeps at most a row or a column of pixels."""
    mask = paste_masks(torch.rand(1, 14, 14), torch.tensor([box]), (20, 24), interpolation="paper")[0]
    assert mask.shape == (20, 24) and (mask.any(0).sum() <= 1 or mask.any(1).sum() <= 1)


@pytest.mark.parametrize("number", [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE])
@pytest.mark.parametrize("interpolation", ["clean", "paper"])
def test_any_number_of_masks(number, interpolation):
    generator = torch.Generator().manual_seed(1)
    masks = torch.rand(number, 6, 6, generator=generator)
    corners = torch.rand(number, 2, generator=generator) * 8
    boxes = torch.cat([corners, corners + 5], 1)
    together = paste_masks(masks, boxes, (16, 16), interpolation=interpolation)
    assert together.shape == (number, 16, 16) and together.dtype == torch.bool
    for row in range(0, number, 13):
        assert torch.equal(
            together[row, None], paste_masks(masks[row, None], boxes[row, None], (16, 16), 0.5, interpolation)
        )


def test_the_threshold_is_a_probability():
    values = torch.tensor([[[0.2, 0.2], [0.9, 0.9]]])
    box = torch.tensor([[0.0, 0, 8, 8]])
    areas = [int(paste_masks(values, box, (8, 8), threshold).sum()) for threshold in (0.1, 0.5, 0.95)]
    assert areas[0] == 64 > areas[1] > areas[2] == 0


def test_half_precision_masks_are_interpolated_in_float32():
    mask = torch.rand(2, 6, 6).bfloat16()
    boxes = torch.tensor([[1.0, 1, 12, 13], [3, 3, 9, 7]])
    torch.testing.assert_close(
        paste_probabilities(mask, boxes, (16, 16)), paste_probabilities(mask.float(), boxes, (16, 16))
    )


# ---- The paper's interpolation ----


def test_the_paper_stretches_each_mask_to_its_own_range():
    """A map that nowhere falls below 0.66 still becomes a mask with a hole."""
    mask = torch.full((1, 14, 14), 0.66)
    mask[:, :7] = 0.95
    box = torch.tensor([[2.0, 2, 16, 16]])
    assert paste_masks(mask, box, (20, 20))[0].sum() == 14 * 14
    paper = paste_masks(mask, box, (20, 20), interpolation="paper")[0]
    assert paper[2:9, 2:16].all() and not paper[9:].any()


def test_the_paper_rounds_and_resizes_as_scipy_and_pillow_did():
    mask = torch.rand(14, 14, generator=torch.Generator().manual_seed(3))
    x1, y1, x2, y2 = 3.6, -2.4, 19.2, 11.9  # both corners inside, partly above the photo
    paper = paste_masks(mask[None], torch.tensor([[x1, y1, x2 + 1, y2 + 1]]), (20, 24), interpolation="paper")[0]
    values = mask.numpy() * np.float32(255)
    low, high = values.min(), values.max()
    stretched = np.floor((values - low) * (255 / (high - low)) + 0.5).astype(np.uint8)
    rows, columns = int(y2 - 0 + 1), int(x2 - x1 + 1)
    expected = np.zeros((20, 24), bool)
    picture = Image.fromarray(stretched).resize((columns, rows), Image.Resampling.BILINEAR)
    expected[:rows, 3 : 3 + columns] = np.asarray(picture) > 122
    np.testing.assert_array_equal(paper.numpy(), expected)


def test_stretching():
    np.testing.assert_array_equal(stretch_to_bytes(np.array([[10.0, 20], [15, 10]])), [[0, 255], [128, 0]])
    np.testing.assert_array_equal(stretch_to_bytes(np.full((2, 2), 99.0)), np.zeros((2, 2)))


def test_options_that_do_not_fit_are_refused():
    mask, box = torch.ones(1, 4, 4), torch.tensor([[0.0, 0, 4, 4]])
    with pytest.raises(ValueError, match="interpolation='paper' cuts at 122 of 255; threshold needs 'clean'"):
        paste_masks(mask, box, (8, 8), 0.4, "paper")
    with pytest.raises(ValueError, match="unknown interpolation 'original'; use one of clean, paper"):
        paste_masks(mask, box, (8, 8), interpolation="original")
